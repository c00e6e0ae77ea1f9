"""What goes into a linear layer, where the port's record shows only what comes out of it, as of a plain function."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.families.glue.arrangements import SECONDS, candidates
from jax_impl.parity.causes.families.glue.at_hand import operands, reproduces, short
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured


def received(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield other arrangements of what is at hand as the input of a linear layer."""
    x, weight = case.input, case.parameter("weight")
    if case.role != "output" or "Linear" not in case.module.type or any(one is not None for one in case.mine.inputs):
        return
    if x is None or weight is None or weight.shape[-1:] != x.shape[-1:] or not reproduces(case, linear(case, x)):
        return
    around = replace(case, evidence=replace(case.evidence, role="input", index=0))
    if around.parent is None:
        return
    arranged = list(arrangements(around, x.shape))
    theirs = next((name for name, array in arranged if np.allclose(array, x, rtol=1e-9, atol=1e-12)), "")
    for name, array in arranged:
        if theirs and name != theirs and not np.allclose(array, x, rtol=1e-9, atol=1e-12):
            layer = short(around, case.call)
            yield Hypothesis(
                cause=f"{layer} receives {name} instead of {theirs}",
                fix=f"hand {layer} {theirs}",
                test=partial(confirm, case, array),
            )


def arrangements(case: ForwardCase, shape: tuple[int, ...]) -> Iterator[tuple[str, Floats]]:
    """Yield what is at hand in this shape, as it is and in other arrangements."""
    until = time.process_time() + SECONDS
    found = [one for one in operands(case, absent=True) if not one.late]
    yield from ((one.name, one.array) for one in found if one.array.shape == shape)
    for name, array in candidates(found, shape):
        result = array()
        if result.size == np.prod(shape):
            yield name, result.reshape(shape)
        if time.process_time() > until:
            return


def linear(case: ForwardCase, x: Floats) -> Floats | None:
    """Return what the layer makes of an input: torch.nn.functional.linear."""
    weight, bias = case.parameter("weight"), case.parameter("bias")
    if weight is None:
        return None
    y = x.astype(np.float64) @ weight.T
    return np.asarray(y if bias is None else y + bias)


def confirm(case: ForwardCase, x: Floats) -> Measured | None:
    """Compare the layer's output of another input with the port's."""
    return case.target.agrees(linear(case, x))


FAMILIES = (Family("what a linear layer receives", received),)
