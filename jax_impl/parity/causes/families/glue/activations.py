"""Activations: GELU exact or by tanh, slopes, and any known activation in the place of another."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.activations import IDENTITY, Activation, fitted_slope
from jax_impl.parity.causes.families.glue.explaining import Glue
from jax_impl.parity.causes.families.glue.expressions import Expression, fitted
from jax_impl.parity.causes.families.glue.relations import confirm
from jax_impl.parity.causes.hypotheses import Family, Hypothesis

GELU = {"the exact GELU", "GELU by tanh"}


def activation(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the reference's expression with another activation in the place of one of its own."""
    glue = Glue.of(case)
    theirs = glue.reference
    if theirs is None:
        return
    for place, now, before in places(theirs, glue.shape):
        if now is IDENTITY and not isinstance(place, str):
            continue
        sample = before.reshape(-1)[glue.positions]
        seen: list[Floats] = [now.apply(sample)]
        for other in alternatives(now, glue, sample):
            with np.errstate(all="ignore"):
                values = other.apply(sample)
            if any(np.allclose(values, one, rtol=1e-9, atol=1e-12) for one in seen):
                continue  # on these numbers, it is the same function
            seen.append(values)
            yield Hypothesis(
                cause=wording(other, now, str(glue.reference)),
                fix=now.jax if now is not IDENTITY else f"leave {other.name} out",
                known="jax 4428" if {now.name, other.name} == GELU else "",
                test=partial(confirm, case, changed(theirs, place, other)),
            )


def alternatives(now: Activation, glue: Glue, sample: Floats) -> Iterator[Activation]:
    """Yield the activations to try: none, the known ones, and LeakyReLU of the port's own slope."""
    yield IDENTITY
    yield from (one for one in glue.activations if one.name != now.name)
    slope = fitted_slope(sample, glue.ours)
    if slope is not None:
        yield slope


def wording(other: Activation, now: Activation, expression: str) -> str:
    """Return the cause in words."""
    if now is IDENTITY:
        return f"{other.name} is applied, in place of no activation"
    if other is IDENTITY:
        return f"the activation is forgotten: nothing instead of {now.name}"
    return f"{other.name} instead of {now.name}" + (f", in {expression}" if " × " in expression else "")


def places(theirs: Expression, shape: tuple[int, ...]) -> Iterator[tuple[str | int, Activation, Floats]]:
    """Yield where an activation stands in an expression, which it is, and the array to which it is applied."""
    bare = replace(theirs, outer=IDENTITY).value()
    if bare is not None:
        yield "outer", theirs.outer, bare
    for number, term in enumerate(theirs.terms):
        array = fitted(term.operand.array, shape)
        if array is not None:
            yield number, term.inner, array


def changed(theirs: Expression, place: str | int, other: Activation) -> Expression:
    """Return an expression with another activation at a place."""
    if isinstance(place, str):
        return replace(theirs, outer=other)
    terms = list(theirs.terms)
    terms[place] = replace(terms[place], inner=other)
    return replace(theirs, terms=tuple(terms))


FAMILIES = (Family("activation", activation),)
