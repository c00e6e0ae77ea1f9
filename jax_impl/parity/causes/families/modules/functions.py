"""Functions that torch calls without a module, such as max_pool2d: found by trying the usual settings."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from jax_impl.parity.arrays import Array
from jax_impl.parity.causes.cases import ForwardCase, whole
from jax_impl.parity.causes.families.modules.making import Compute, Making, attempted, linked
from jax_impl.parity.causes.families.modules.unseen import ancestors, parents
from jax_impl.parity.measures.execution import key

Settings = TypeVar("Settings")


def handed(
    case: ForwardCase, candidates: Callable[[Array], Iterable[tuple[Settings, Compute]]]
) -> Iterator[tuple[Making, Settings]]:
    """Yield a function of the last module's output that gives the array that differs, and its settings.

    Args:
        case: The array is handed to a module, or returned by one that calls others.
        candidates: Gives functions of an array, (n, channels, …), that may be the one, with their settings.
    """
    expected = case.expected
    if (case.role == "output" and not case.inside) or expected is None or expected.dtype.kind != "f":
        return
    source = last(case)
    if source is None or source.ndim < 3 or source.dtype.kind != "f" or not len(expected.shape):
        return
    for x in (source, np.maximum(source, 0)):
        for settings, compute in candidates(x):
            y = attempted(compute, x)
            link = None if y is None or (y.shape == x.shape and np.array_equal(x, y)) else linked(y, expected)
            if y is not None and link is not None:
                yield Making(case, case, link, source=x, result=y), settings
                break


def last(case: ForwardCase) -> Array | None:
    """Return what the module had when it came to the array: the output that was returned last before, or its input."""
    calls = case.passes[0].free
    above = parents(calls)
    own = key(case.call)
    around = {own, *ancestors(own, above)}
    before = [
        call
        for call in calls  # in the order of returning
        if key(call) not in around
        and (call.order < case.call.order if case.role == "input" else own in ancestors(key(call), above))
    ]
    if not before:
        return case.input
    return whole(case.pair.theirs, before[-1].outputs[0]) if len(before[-1].outputs) == 1 else None
