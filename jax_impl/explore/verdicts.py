"""How a setting's training ended, and why, as far as the measurements say."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jax_impl.study import verdicts

KINDS = (verdicts.TRAINS, verdicts.SLOW, verdicts.DEAD, verdicts.PARTLY, verdicts.DIVERGED)
LOST = 1e-3  # a variance below this share of that of the first layer (or of the last one, for gradients) is lost
FADED = 1e-6  # the same for gradients
EXPLODED = 1e3  # a variance above this many times that of the first layer has exploded
MOST = 0.9  # share of units, or of pairs of a unit and an image, from which a layer counts as flat
SMALL_STEP = 1e-4  # a first step below this share of a kernel's norm is small

# The reasons, and what they say. A layer is counted from 1.
REASONS = (
    "level",  # signal and gradient reach every layer
    "rescaled",  # they do not, but Adam divides each gradient by its size
    "zeros",  # all weights are 0, so no error reaches the hidden layers
    "lost",  # the signal has shrunk to almost nothing by this layer
    "faded",  # the gradient has shrunk to almost nothing by this layer, on its way down from the output
    "exploded",  # the signal has exploded by this layer
    "flat",  # almost all units of this layer are off or saturated from the start
    "died",  # almost all units of this layer were off or saturated in the end, but not at the start
    "rate too large",  # the signal is fine, so the learning rate is too large
    "rate too small",  # the signal is fine, and the first step is small
    "unclear",  # none of these
)


class Verdict(NamedTuple):
    """How training ended, why, and where."""

    kind: str  # one of `KINDS`
    reason: str  # one of `REASONS`
    layer: int = 0  # from 1; 0 if the reason is not about a layer


class Evidence(NamedTuple):
    """What a verdict is based on: measurements by hidden layer, and those of the seeds."""

    accuracy: Float[np.ndarray, " seeds"]  # after the last step
    diverged: Bool[np.ndarray, " seeds"]
    variance: Float[np.ndarray, " hidden"]  # of the activations, before the first step
    gradient: Float[np.ndarray, " hidden"]  # variance of the gradients, before the first step
    flat_before: Float[np.ndarray, " hidden"]  # share of units
    saturated: Float[np.ndarray, " hidden"]  # share of pairs of a unit and an image
    flat_after: Float[np.ndarray, " hidden"]
    update: Float[np.ndarray, " hidden"]  # first change of the kernel / kernel
    optimizer: str
    activation: str


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on one setting. Limits are the constants of this module and of `study.verdicts`."""
    finite = evidence.accuracy[~evidence.diverged]
    kind = verdicts.verdict(tuple(map(float, finite)), int(evidence.diverged.sum()))
    return Verdict(kind, *_reason(kind, evidence))


def _reason(kind: str, evidence: Evidence) -> tuple[str, int]:
    if not evidence.variance.any() and not np.nan_to_num(evidence.gradient).any():
        return "zeros", 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        signal, gradient = evidence.variance / evidence.variance[0], evidence.gradient / evidence.gradient[-1]
    exploded = _first(~(signal <= EXPLODED))
    lost, faded = _first(signal < LOST), _last(gradient < FADED)
    if kind == verdicts.TRAINS:
        return ("rescaled" if evidence.optimizer == "adam" and lost + faded else "level"), 0
    if exploded:
        return "exploded", exploded
    if kind in (verdicts.DIVERGED, verdicts.PARTLY):
        return "rate too large", 0
    share = evidence.flat_before if evidence.activation == "relu" else evidence.saturated
    return next(
        (
            (reason, layer)
            for reason, layer in (
                ("lost", lost),
                ("flat", _first(share > MOST)),
                ("faded", faded),
                ("died", _first(evidence.flat_after > MOST)),
            )
            if layer
        ),
        ("rate too small" if np.nanmedian(evidence.update) < SMALL_STEP else "unclear", 0),
    )


def _first(condition: Bool[np.ndarray, " hidden"]) -> int:
    """Return the number of the first layer, from 1, or 0 if there is none."""
    return int(condition.argmax()) + 1 if condition.any() else 0


def _last(condition: Bool[np.ndarray, " hidden"]) -> int:
    """Return the number of the last layer, from 1, or 0 if there is none."""
    return int(np.flatnonzero(condition)[-1]) + 1 if condition.any() else 0
