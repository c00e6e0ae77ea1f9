"""Precision: a part of the port computes in bfloat16 or float16, or multiplies numbers rounded to these or to TF32.

Two rules, because rounding inside a function cannot be computed again: its order is the compiler's.

- Results in a dtype: all numbers of the port are numbers of the dtype, most of the reference's are not, and the two
  differ by at most a few roundings (`ROUNDINGS`). One rounding to the nearest differs by about 0.4 unit roundoffs.
- Rounded factors: products of rounded inputs and weights give the port's numbers, and leave at most a tenth of the
  difference (`LEFT`). Rounding errors are all but random, so no other mistake has the same ones.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import numpy as np

from jax_impl.parity.arrays import Array, sample_indices
from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.rounding import is_exact, rounded
from jax_impl.parity.causes.families.modules import again
from jax_impl.parity.causes.families.modules.making import Making, attempted, makings
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.comparing import l2
from jax_impl.parity.measures.tolerances import UNIT, Measured

ROUNDINGS = 2.0  # unit roundoffs of the L2 norm by which results in a dtype may differ; 176 in three models: 0.85
LEFT = 0.1  # of the difference may be left by products of rounded numbers
MOST = 0.5  # of the reference's numbers must not be numbers of the dtype, and of the two must differ
FEW = 16  # elements say nothing about their dtype
HIGHEST = 'jax.config.update("jax_default_matmul_precision", "highest")'
Round = Callable[[Floats], Floats]
ROUNDED: dict[str, tuple[str, Round]] = {  # factors of products
    "TF32": ("TF32", partial(rounded, dtype="TF32")),
    "TF32, ties away from zero": ("TF32", partial(rounded, dtype="TF32", away=True)),
    "TF32, cut off": ("TF32", partial(rounded, dtype="TF32", cut=True)),
    "bfloat16": ("bfloat16", partial(rounded, dtype="bfloat16")),
    "float16": ("float16", partial(rounded, dtype="float16")),
}


def sides(case: ForwardCase, prediction: Array | None) -> tuple[Floats, Floats] | None:
    """Return the stored elements of the port's array and the same ones of a prediction."""
    target = case.target
    if prediction is None or prediction.dtype.kind != "f" or list(prediction.shape) != target.ours.shape:
        return None
    mine = case.pair.ours.array(target.ours).reshape(-1)
    if mine.dtype.kind != "f" or mine.size < FEW:
        return None
    flat = prediction.reshape(-1)
    expected = flat if mine.size == flat.size else flat[sample_indices(flat.size, mine.size)]
    return mine.astype(np.float64), expected


def results(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield that the array is computed in a smaller dtype."""
    found = sides(case, case.expected)
    if found is None or not all(np.isfinite(one).all() for one in found):
        return
    mine, expected = found
    present = expected != 0  # zeros, of a ReLU or a mask, are numbers of any dtype
    other = (expected != mine)[present]
    if other.size < FEW:
        return
    for dtype in ("bfloat16", "float16"):
        inexact = (rounded(expected, dtype) != expected)[present]
        if other.mean() >= MOST and inexact.mean() >= MOST and is_exact(mine, dtype):
            yield in_dtype(case, dtype, partial(_few_roundings, mine, expected, dtype))
            return  # all numbers of bfloat16, unless they are very small, are numbers of float16, too


def in_dtype(case: ForwardCase, dtype: str, test: Callable[[], Measured | None]) -> Hypothesis:
    """Return the hypothesis that a part of the port computes in a dtype."""
    wide = case.pair.theirs.content.precision.get("model", "float32")
    cause, known = f"computed in {dtype} instead of {wide}", "openpi 989" if dtype == "bfloat16" else ""
    return Hypothesis(cause=cause, fix=f"dtype=jnp.{wide}", known=known, test=test)


def _few_roundings(mine: Floats, expected: Floats, dtype: str) -> Measured | None:
    allowed = ROUNDINGS * UNIT[dtype]
    reason = f"all {mine.size:,} numbers of ours are {dtype} numbers, and differ by {ROUNDINGS:g} roundings at most"
    return Measured(measured=l2(mine - expected) / (l2(expected) or 1.0), allowed=allowed, reason=reason)


def factors(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield products of rounded inputs and weights."""
    for making in makings(case):
        inner, x = making.inner, making.x
        multiplies = inner.module.type == "Linear" or (x is not None and again.convolution(inner, x) is not None)
        if not multiplies or not making.reproduced_by(partial(again.recomputed, inner)):
            continue
        for (name, (dtype, function)), (text, which) in product(ROUNDED.items(), PARTS.items()):
            unit = 2.0**-11 if dtype == "TF32" else UNIT[dtype]
            if case.check.measured is None or not case.check.measured < 16 * ROUNDINGS * unit:  # sums may cancel
                continue
            if dtype == "float16" and _is_like_tf32(making):
                continue
            both = " or float16, which is the same here" if dtype == "TF32" and _is_like_tf32(making) else ""
            test = partial(_rounded_alike, making, function, which, name)
            if which == PARTS["inputs"] and receives(making, dtype):
                yield in_dtype(case, dtype, test)
                continue
            yield Hypothesis(
                cause=f"{making.prefix}products of {text} rounded to {dtype}{both}",
                fix=f"{HIGHEST}, or precision=jax.lax.Precision.HIGHEST",
                known="jax 14022" if dtype == "TF32" else "",
                test=test,
            )


def _is_like_tf32(making: Making) -> bool:
    """Return whether rounding to float16, whose smallest numbers are larger, is rounding to TF32 here."""
    arrays = [one for one in (making.x, making.inner.parameter("weight")) if one is not None]
    same = [np.isclose(rounded(one, "float16"), rounded(one, "TF32"), rtol=1e-6, atol=0).mean() for one in arrays]
    return bool(min(same, default=1.0) > 0.99)


def receives(making: Making, dtype: str) -> bool:
    """Return whether the port's call already receives numbers of a dtype: an earlier part computes in it."""
    if making.inner is not making.case or dtype not in UNIT or not making.case.mine.inputs:
        return False
    x = making.case.mine.inputs[0]
    return x is not None and is_exact(making.case.pair.ours.array(x).astype(np.float64), dtype)


PARTS = {"inputs and weights": (True, True), "inputs": (True, False), "weights": (False, True)}


def _rounded_alike(making: Making, function: Round, which: tuple[bool, bool], name: str) -> Measured | None:
    """Compare how the port and products of rounded numbers differ from the reference."""
    inner, x = making.inner, making.x
    if x is None:
        return None

    def parameter(leaf: str) -> Floats | None:
        found = inner.parameter(leaf)
        return function(found) if found is not None and leaf == "weight" and which[1] else found

    y = attempted(lambda z: again.recomputed(inner, z, parameter), function(x) if which[0] else x)
    prediction = None if y is None else attempted(making.finish, y)
    found, before = sides(making.case, prediction), sides(making.case, making.case.expected)
    if found is None or before is None or not all(np.isfinite(one).all() for one in (*found, before[1])):
        return None
    scale = l2(before[1]) or 1.0
    difference = l2(before[0] - before[1]) / scale
    reason = f"{LEFT:g} of the difference, {name}"
    return Measured(measured=l2(found[0] - found[1]) / scale, allowed=LEFT * difference, reason=reason)


FAMILIES = (Family("a smaller dtype", results), Family("products of rounded numbers", factors))
