"""Modules in a row: strides that are exchanged, as between the versions of a ResNet's bottleneck, or one left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from jax_impl.parity.arrays import Array
from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.compute.layers.convolutions import convolved
from jax_impl.parity.causes.families.modules import again
from jax_impl.parity.causes.families.modules.making import Compute, Making, about, attempted, linked, makings, output
from jax_impl.parity.causes.hypotheses import Family, Hypothesis

LONGEST = 8  # calls in a row
NAMES = ("strides", "stride", "window_strides")


@dataclass(frozen=True)
class Part:
    """A call in a row: what it does, with which stride the port does it, and what follows up to the next call."""

    case: ForwardCase
    stride: tuple[int, ...] | None
    link: Compute


def strides(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the port's own strides in a row of modules that ends with the one whose output differs.

    Where the port's input has another shape, the recorder could not replace it: so what it computed before counts.
    """
    if case.role != "output" or not case.mine.inputs or case.mine.inputs[0] is not None:
        return
    parts = row(case)
    changed = [part for part in parts if part.stride is not None]
    if not changed or parts[0].stride is None or not reproduced(parts):
        return
    ours = " and ".join(f"{part.stride} in {part.case.module.path}" for part in changed)
    theirs = " and ".join(str(tuple(part.case.settings["stride"])) for part in changed)
    making = Making(case, parts[0].case, lambda y: y)
    yield Hypothesis(
        cause=f"strides {ours} instead of {theirs}",
        fix=f"strides of {theirs}",
        test=partial(making.confirm, partial(run, parts=parts, own=True), screened=False),
    )


def row(case: ForwardCase) -> list[Part]:
    """Return the calls in a row that end with the case's, from the first one on whose stride the port changes."""
    parent = case.parent
    before = [call for call in about(case, parent).inside if call.order <= case.call.order] if parent else []
    found: list[Part] = []
    link: Compute = lambda y: y  # noqa: E731
    for call in reversed(before[-LONGEST:]):
        inner = about(case, call)
        y = output(inner)
        if found:
            wanted = found[0].case.input
            joined = None if y is None or wanted is None else linked(y, wanted)
            if joined is None:
                break
            link = joined
        found.insert(0, Part(inner, own_stride(inner), link))
    first = next((number for number, part in enumerate(found) if part.stride is not None), len(found))
    return found[first:]


def own_stride(case: ForwardCase) -> tuple[int, ...] | None:
    """Return the stride of the port's convolution, if it is another one."""
    own, x = case.own_module, case.input
    if own is None or x is None or again.convolution(case, x) is None:
        return None
    value = next((own.settings[name] for name in NAMES if own.settings.get(name) is not None), None)
    if not isinstance(value, int | list | tuple):
        return None
    stride = again.each(value, x.ndim - 2)
    return stride if stride != tuple(case.settings["stride"]) and len(stride) == x.ndim - 2 else None


def reproduced(parts: Sequence[Part]) -> bool:
    """Return whether the unchanged row gives what the reference's last module returned."""
    x = parts[0].case.input
    making = Making(parts[-1].case, parts[-1].case, lambda y: y, source=x)
    return x is not None and making.reproduced_by(partial(run, parts=parts, own=False))


def run(x: Array, *, parts: Sequence[Part], own: bool) -> Array | None:
    """Return what the row makes of x, with the port's strides or the reference's."""
    y: Array | None = x
    for part in parts:
        if y is None:
            return None
        how, weight = again.convolution(part.case, y), part.case.parameter("weight")
        if own and part.stride is not None and how is not None and weight is not None:
            y = convolved(y, weight, part.case.parameter("bias"), replace(how, stride=part.stride))
        else:
            y = again.recomputed(part.case, y)
        y = None if y is None else part.link(y)
    return y


def left_out(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield a module that keeps the shape and that the port does not apply; not activation functions."""
    for making in makings(case):
        inner, x = making.inner, making.x
        if inner is case or x is None or again.activation(inner, x) is not None:
            continue
        run = partial(again.recomputed, inner)
        same = attempted(run, x)  # as of a pooling of single pixels: to leave it out changes nothing
        if making.reproduced_by(run) and not (same is not None and np.array_equal(same, x)):
            path = inner.module.path
            yield Hypothesis(
                cause=f"{path} is not applied",
                fix=f"call the port's {path}, a {inner.module.type}",
                test=partial(making.confirm, lambda y: y),
            )


FAMILIES = (Family("strides", strides), Family("a module left out", left_out))
