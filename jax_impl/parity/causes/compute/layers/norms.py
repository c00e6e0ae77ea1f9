"""Normalisation in NumPy, as torch computes it. Arrays are float64 in torch's layout, (n, channels, …)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Norm:
    """How to normalise.

    Attributes:
        axes: Over which mean and variance are taken.
        by_channel: Whether weight and bias belong to the second axis; otherwise to the last ones.
        shape: To which the input is reshaped before, for groups.
        eps: Added to the variance.
        centred: Whether the mean is subtracted; RMSNorm does not.
        unbiased: Whether the variance is divided by n - 1.
        inside: Whether epsilon is added inside the root; otherwise it is added to the root.
    """

    axes: tuple[int, ...]
    eps: float
    by_channel: bool = False
    shape: tuple[int, ...] | None = None
    centred: bool = True
    unbiased: bool = False
    inside: bool = True


def statistics(x: Floats, how: Norm) -> tuple[Floats, Floats]:
    """Return the mean and the variance, or the mean square, with the reduced axes kept."""
    mean = x.mean(axis=how.axes, keepdims=True) if how.centred else np.zeros(1)
    centred = x - mean
    count = np.prod([x.shape[axis] for axis in how.axes])
    total = np.square(centred).sum(axis=how.axes, keepdims=True)
    return mean, total / (count - how.unbiased)


def normalised(
    x: Floats, how: Norm, weight: Floats | None = None, bias: Floats | None = None,
    mean: Floats | None = None, variance: Floats | None = None,
) -> Floats:  # fmt: skip
    """Return x normalised, by given statistics or its own, then times weight plus bias."""
    shaped = x.reshape(how.shape) if how.shape else x
    own = statistics(shaped, how)
    mean = own[0] if mean is None or not how.centred else channels(mean, x.ndim)
    variance = own[1] if variance is None else channels(variance, x.ndim)
    spread = np.sqrt(variance + how.eps) if how.inside else np.sqrt(variance) + how.eps
    y = ((shaped - mean) / spread).reshape(x.shape)
    weight, bias = (channels(one, x.ndim) if one is not None and how.by_channel else one for one in (weight, bias))
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def channels(vector: Floats, ndim: int) -> Floats:
    """Return a vector by channel, shaped to be broadcast over (n, channels, …)."""
    return vector.reshape(1, -1, *(1,) * (ndim - 2))
