"""How a setting's training ended, and why, as far as the measurements say."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jax_impl.study import verdicts

KINDS = (verdicts.TRAINS, verdicts.SLOW, verdicts.DEAD, verdicts.PARTLY, verdicts.DIVERGED)
# A variance below this share of the first layer's is lost, and one above this many times it has exploded. Those of
# gradients are compared with the last hidden layer's.
LOST, EXPLODED = 1e-3, 1e3
MOST = 0.9  # share of units, or of pairs of a unit and an image, from which a layer counts as flat
ALIKE = 1.5  # an effective rank below this: all images look alike
SMALL_STEP, LARGE_STEP = 1e-4, 0.03  # of the first step of a kernel, relative to the kernel's norm
RISING = 0.02  # by which the accuracy rose between the last two tests if the network is still learning

# The reasons, and what they say. A layer is counted from 1.
REASONS = (
    "level",  # signal and gradient reach every layer
    "rescaled",  # they change a lot on their way, but Adam divides each gradient by its size
    "uneven",  # they change a lot on their way, and plain SGD trains nevertheless
    "zeros",  # all weights are 0, so the units of a layer stay equal
    "lost",  # the signal has shrunk to almost nothing by this layer
    "faded",  # the gradient has shrunk to almost nothing by this layer, on its way down from the output
    "alike",  # all images look alike to this layer
    "exploded",  # the signal has exploded by this layer
    "gradient exploded",  # the gradient has exploded by this layer, on its way down from the output
    "flat",  # almost all ReLU of this layer are off for every image from the start
    "saturated",  # almost all units of this layer are saturated from the start
    "died",  # almost all units of this layer were off or saturated in the end, but not at the start
    "diverged",  # none of these, and a loss or a weight became infinite
    "rate too large",  # none of these, and the first step is large
    "rate too small",  # none of these, and the first step is small
    "still learning",  # none of these, and the accuracy was still rising at the end
    "unclear",  # none of these
)


class Verdict(NamedTuple):
    """How training ended, why, and where."""

    kind: str  # one of `KINDS`
    reason: str  # one of `REASONS`
    layer: int = 0  # from 1; 0 if the reason is not about a layer


class Evidence(NamedTuple):
    """What a verdict is based on: measurements by hidden layer, and those of the seeds."""

    accuracy: Float[np.ndarray, "seeds tests"]  # from the first test to the last, which is after the last step
    diverged: Bool[np.ndarray, " seeds"]
    variance: Float[np.ndarray, " hidden"]  # of the activations, before the first step
    gradient: Float[np.ndarray, " hidden"]  # variance of the gradients, before the first step
    flat_before: Float[np.ndarray, " hidden"]  # share of units
    saturated: Float[np.ndarray, " hidden"]  # share of pairs of a unit and an image
    rank: Float[np.ndarray, " hidden"]  # effective rank of the activations
    flat_after: Float[np.ndarray, " hidden"]
    update: Float[np.ndarray, " hidden"]  # first change of the kernel / kernel
    optimizer: str
    activation: str


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on one setting. Limits are the constants of this module and of `study.verdicts`."""
    last = evidence.accuracy[~evidence.diverged, -1]
    kind = verdicts.verdict(tuple(map(float, last)), int(evidence.diverged.sum()))
    if not evidence.variance.any() and not np.nan_to_num(evidence.gradient).any():
        return Verdict(kind, "zeros")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        signal, gradient = evidence.variance / evidence.variance[0], evidence.gradient / evidence.gradient[-1]
    exploded, back = _first(~(signal <= EXPLODED)), _last(~(gradient <= EXPLODED))
    lost, faded = _first(signal < LOST), _last(gradient < LOST)
    if kind == verdicts.TRAINS:
        changes = lost or faded or exploded or back
        return Verdict(kind, ("rescaled" if evidence.optimizer == "adam" else "uneven") if changes else "level")
    relu = evidence.activation == "relu"
    found = {
        "exploded": exploded,
        "lost": lost,
        "flat": _first(evidence.flat_before > MOST) if relu else 0,
        "saturated": 0 if relu else _first(evidence.saturated > MOST),
        "gradient exploded": back,
        "faded": faded,
        "alike": _first(evidence.rank < ALIKE),
        "died": _first(evidence.flat_after > MOST),
    }
    reasons = (Verdict(kind, reason, layer) for reason, layer in found.items() if layer)
    return next(reasons, Verdict(kind, _pace(kind, evidence)))


def _pace(kind: str, evidence: Evidence) -> str:
    """Return a reason why training did not get far although signal and gradient reach every layer."""
    if kind in (verdicts.DIVERGED, verdicts.PARTLY):
        return "diverged"
    if np.nanmedian(evidence.update) < SMALL_STEP:
        return "rate too small"
    if evidence.update.max() > LARGE_STEP:
        return "rate too large"
    before, last = evidence.accuracy[~evidence.diverged, -2:].mean(axis=0)
    return "still learning" if last - before > RISING else "unclear"


def _first(condition: Bool[np.ndarray, " hidden"]) -> int:
    """Return the number of the first layer, from 1, or 0 if there is none."""
    return int(condition.argmax()) + 1 if condition.any() else 0


def _last(condition: Bool[np.ndarray, " hidden"]) -> int:
    """Return the number of the last layer, from 1, or 0 if there is none."""
    return int(np.flatnonzero(condition)[-1]) + 1 if condition.any() else 0
