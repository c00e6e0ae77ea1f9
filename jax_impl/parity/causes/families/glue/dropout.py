"""Dropout: in the wrong mode, at another rate, unscaled, or by the inverted mask."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.families.glue.at_hand import calls_within, reproduces
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair
from jax_impl.parity.rungs.settings import RATE

OFF = "dropout is off in training mode", "deterministic=False in training, or model.train()"
SIGMAS = 6.0  # by which the share of dropped elements may differ from the rate
AS_MANY = "apply dropout where the reference does, and nowhere else"
DROPPED = 3  # elements that must be dropped before it counts as dropout


def layer(case: ForwardCase) -> tuple[Floats, float] | None:
    """Return what a dropout layer receives, and its rate; None if the module is none."""
    x = case.input
    if case.role != "output" or "Drop" not in case.module.type or x is None or calls_within(case, absent=True):
        return None
    rate = named_rate(case.settings)
    return None if rate is None or not np.isfinite(x).all() or not x.any() else (x.astype(np.float64), rate)


def named_rate(settings: dict[str, object]) -> float | None:
    """Return the dropout rate among a module's settings."""
    values = (settings.get(name) for name in RATE)
    found = (value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
    return next(map(float, found), None)


def mask_of(case: ForwardCase, shape: tuple[int, ...]) -> Floats | None:
    """Return the mask of this call, broadcast to the shape of the input; None if it is not known."""
    found = case.masks
    if case.call.call >= len(found):
        return None
    mask = case.mask(found[case.call.call])
    try:
        return None if mask is None else np.broadcast_to(mask, shape)
    except ValueError:
        return None


def dropout(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the ways in which a dropout layer goes wrong."""
    found = layer(case)
    if found is None:
        return
    x, rate = found
    if case.training:
        yield from in_training(case, x, rate)
    elif reproduces(case, x):
        yield Hypothesis(
            cause="dropout is on in evaluation mode",
            fix="deterministic=True in evaluation, or model.eval()",
            test=partial(drops, case, x, own_rate(case, rate)),
        )


def in_training(case: ForwardCase, x: Floats, rate: float) -> Iterator[Hypothesis]:
    """Yield what may be wrong in training, where the reference's mask is known."""
    mask = mask_of(case, x.shape)
    if mask is None or not 0 < rate < 1 or not reproduces(case, x * mask / (1 - rate)):
        return
    inverted = 1 - mask
    changes = [
        (*off(case, rate), x),
        ("what dropout keeps is not scaled by 1 / (1 - rate)", f"divide by {1 - rate:g} in training", x * mask),
        ("what dropout keeps is multiplied by 1 - rate", f"divide by {1 - rate:g}", x * mask * (1 - rate)),
        ("what dropout keeps is divided by the rate", f"divide by {1 - rate:g}", x * mask / rate),
        ("the dropout mask is inverted", "keep where the mask is True", x * inverted / (1 - rate)),
        ("the rate of dropout is taken for what is kept", f"rate={rate:g}", x * inverted / rate),
    ]
    for cause, fix, array in changes:
        if not reproduces(case, array):
            yield Hypothesis(cause=cause, fix=fix, test=partial(confirm, case, array))
    for cause, fix in number_drawn(case.pair):
        yield Hypothesis(cause=cause, fix=fix, test=partial(drops, case, x, own_rate(case, rate)))
    yield from shared(case, x, rate)
    other = own_rate(case, rate)
    if math.isclose(other, rate, rel_tol=1e-6):
        other = shown_rate(case, x * mask, rate)
    if 0 < other < 1 and not any(math.isclose(other, one, rel_tol=1e-6) for one in (rate, 1 - rate)):
        yield Hypothesis(
            cause=rate_differs(other, rate), fix=f"rate={rate:g}", test=partial(confirm, case, x * mask / (1 - other))
        )


def shared(case: ForwardCase, x: Floats, rate: float) -> Iterator[Hypothesis]:
    """Yield one mask for a whole axis, such as all examples, if the port draws such a mask."""
    own = case.pair.ours.content.own_masks
    shapes = {tuple(mask.shape) for mask in (own.forward if own else ()) if len(mask.shape) == x.ndim}
    for shape in sorted(shapes):
        axes = tuple(axis for axis, length in enumerate(shape) if length == 1 < x.shape[axis])
        if axes and all(length in (1, full) for length, full in zip(shape, x.shape, strict=True)):
            yield Hypothesis(
                cause=one_for_all(axes),
                fix="draw a mask for each number: broadcast_dims=()",
                test=partial(drops, case, x, own_rate(case, rate), axes),
            )


def one_for_all(axes: Sequence[int]) -> str:
    """Return the cause in words: the mask is the same along these axes."""
    whole = "all examples" if tuple(axes) == (0,) else f"all of axis {' and '.join(map(str, axes))}"
    return f"one dropout mask for {whole} instead of one for each"


def number_drawn(pair: Pair) -> Iterator[tuple[str, str]]:
    """Yield the cause and the fix if the port draws another number of masks, so that each falls to another place."""
    train, own = pair.theirs.content.forward.train, pair.ours.content.own_masks
    theirs, ours = train.masks if train else [], own.forward if own else []
    if not theirs or not ours or len(theirs) == len(ours):
        return
    paths = [(mask, pair.own_modules.get(pair.partners.get(mask.module, ""))) for mask in theirs]
    never = {mask.rate for mask, module in paths if module and named_rate(module.settings) == 0}
    count = sum(module is not None and named_rate(module.settings) == 0 for _, module in paths)
    if len(never) == 1 and len(theirs) - count == len(ours):  # the modules whose rate is 0 account for all
        rate = float(next(iter(never)) or 0.0)
        yield rate_differs(0.0, rate), f"rate={rate:g}"
        return
    masks = "1 dropout mask is" if len(ours) == 1 else f"{len(ours)} dropout masks are"
    yield f"{masks} drawn in training instead of {len(theirs)}, so that masks fall to other places", AS_MANY


def off(case: ForwardCase, rate: float) -> tuple[str, str]:
    """Return the cause and the fix if nothing is dropped."""
    if own_rate(case, rate) == 0:
        return rate_differs(0.0, rate), f"rate={rate:g}"
    return OFF


def rate_differs(ours: float, theirs: float) -> str:
    """Return the cause in words."""
    return f"dropout rate {ours:.6g} instead of {theirs:.6g}"


def own_rate(case: ForwardCase, rate: float) -> float:
    """Return the rate that the port's module names; the reference's if it names none."""
    found = named_rate(case.own_module.settings) if case.own_module else None
    return rate if found is None else found


def shown_rate(case: ForwardCase, kept: Floats, rate: float) -> float:
    """Return the rate by which the port scales what is kept."""
    ours = case.target.array
    if ours is None or ours.shape != kept.shape or not kept.any() or not ours.any():
        return rate
    factor = float(np.median(ours[kept != 0] / kept[kept != 0]))
    return round(1 - 1 / factor, 6) if factor > 1 else rate


def confirm(case: ForwardCase, prediction: Floats) -> Measured | None:
    """Compare an array with the port's."""
    return case.target.agrees(prediction)


def drops(case: ForwardCase, x: Floats, rate: float, axes: tuple[int, ...] = ()) -> Measured | None:
    """Compare the port's array with x dropped out by the port's own mask, which shows in its zeros.

    The values that are kept must be x / (1 - rate), and the share of the others must fit the rate. Along `axes`, the
    mask is the same.
    """
    ours = case.target.array
    if ours is None or ours.shape != x.shape or not 0 < rate < 1:
        return None
    at = x != 0
    gone = ((ours == 0) | ~at).all(axis=axes, keepdims=True) & at.any(axis=axes, keepdims=True)
    count, number = int(gone.sum()), int(at.any(axis=axes, keepdims=True).sum())
    deviation = math.sqrt(number * rate * (1 - rate))
    if count < DROPPED or count == number or abs(count - number * rate) > SIGMAS * deviation + 1:
        return None
    return case.target.agrees(np.where(gone, 0, x / (1 - rate)))


FAMILIES = (Family("dropout", dropout),)
