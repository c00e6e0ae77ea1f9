"""Pooling in NumPy, as torch computes it. Arrays are float64 in torch's layout, (n, channels, …)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jax_impl.parity.causes.compute.layers.convolutions import Floats, padded, windows


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How to pool over 1 to 3 spatial axes.

    Attributes:
        kind: "max", "mean" or "sum".
        kernel: Size of the windows.
        stride: Of the windows.
        before: Padding in front of each axis; negative numbers cut off.
        after: Padding behind each axis, as far as a mean counts it.
        dilation: Distance of a window's elements.
        size: Number of windows along each axis. They may reach further than `after`, as with torch's ceil_mode.
        counted: Whether a mean counts the padding.
        divisor: By which a sum is divided in place of the count.
        value: Of the padding; by default, it has no effect.
    """

    kind: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilation: tuple[int, ...]
    size: tuple[int, ...]
    counted: bool = True
    divisor: int | None = None
    value: float | None = None


def number_of_windows(length: int, kernel: int, stride: int, padding: int, dilation: int, *, ceil: bool) -> int:
    """Return torch's size of the output along one axis."""
    rest = length + 2 * padding - dilation * (kernel - 1) - 1
    count = (rest + (stride - 1 if ceil else 0)) // stride + 1
    return (
        count - 1 if ceil and (count - 1) * stride >= length + padding else count
    )  # none begins in the padding behind


def pooled(x: Floats, how: Pooling) -> Floats:
    """Return torch's max_pool1d to 3d or avg_pool1d to 3d."""
    nothing = -np.inf if how.kind == "max" else 0.0
    seen = _windows(x, how, nothing if how.value is None else how.value)
    axes = tuple(range(x.ndim, seen.ndim))
    if how.kind == "max":
        return np.asarray(seen.max(axis=axes))
    total = np.asarray(seen.sum(axis=axes))
    if how.kind == "sum":
        return total
    if how.divisor:
        return total / how.divisor
    inside = np.ones((1, 1, *x.shape[2:]))
    if how.counted:
        sides = tuple((max(low, 0), max(high, 0)) for low, high in zip(how.before, how.after, strict=True))
        inside = padded(inside, sides, value=1.0)
        how_far = tuple(min(low, 0) for low in how.before)
    else:
        how_far = how.before
    return np.asarray(total / np.maximum(_windows(inside, how, 0.0, how_far).sum(axis=axes), 1))


def _windows(x: Floats, how: Pooling, value: float, before: tuple[int, ...] | None = None) -> Floats:
    """Return all windows, shape (n, channels, *size, *kernel), of x with padding of one value."""
    before = how.before if before is None else before
    reach = [
        (count - 1) * step + gap * (kernel - 1) + 1
        for count, step, gap, kernel in zip(how.size, how.stride, how.dilation, how.kernel, strict=True)
    ]
    sides = tuple((low, end - low - length) for low, end, length in zip(before, reach, x.shape[2:], strict=True))
    return windows(padded(x, sides, value=value), how.kernel, how.stride, how.dilation)


def adaptively_pooled(x: Floats, size: tuple[int, ...], kind: str) -> Floats:
    """Return torch's adaptive_avg_pool or adaptive_max_pool: window i is from floor(i·n/size) to ceil((i+1)·n/size)."""
    reduce: Any = {"max": np.max, "mean": np.mean, "sum": np.sum}[kind]
    for axis, count in enumerate(size, start=2):
        length = x.shape[axis]
        edges = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
        parts = [reduce(np.take(x, range(low, high), axis=axis), axis=axis, keepdims=True) for low, high in edges]
        x = np.concatenate(parts, axis=axis)
    return x
