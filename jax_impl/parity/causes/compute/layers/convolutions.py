"""Convolutions in NumPy, as torch computes them. Arrays are float64 in torch's layout, (n, channels, …)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sides = tuple[tuple[int, int], ...]  # before and after, for each spatial axis; a negative number cuts off

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # torch's and NumPy's


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """How to convolve over 1 to 3 spatial axes.

    Attributes:
        stride: Of the windows, or of a transposed convolution's output for each input.
        padding: Of the input. Of a transposed one: what is added to its output, so that torch's padding is negative.
        dilation: Distance of the kernel's elements.
        groups: Into which the channels are split.
        transposed: Whether it is torch's ConvTranspose.
        mode: torch's padding_mode.
    """

    stride: tuple[int, ...]
    padding: Sides
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False
    mode: str = "zeros"


def convolved(x: Floats, weight: Floats, bias: Floats | None, how: Convolution) -> Floats:
    """Return torch's conv1d to conv3d, or conv_transpose1d to 3d.

    Args:
        x: Shape (n, inputs, …).
        weight: Shape (outputs, inputs / groups, …); of a transposed one (inputs, outputs / groups, …).
        bias: Shape (outputs,).
        how: The settings.

    Raises:
        ValueError: The shapes do not fit.
    """
    y = _transposed(x, weight, how) if how.transposed else _windows(padded(x, how.padding, how.mode), weight, how)
    return y if bias is None else y + bias.reshape(1, -1, *(1,) * (x.ndim - 2))


def padded(x: Floats, sides: Sides, mode: str = "zeros", value: float = 0.0) -> Floats:
    """Return x with its spatial axes padded; where a number is negative, cut."""
    for axis, (low, high) in enumerate(sides, start=2):
        x = x.take(range(max(-low, 0), x.shape[axis] + min(high, 0)), axis=axis) if min(low, high) < 0 else x
    width = [(0, 0), (0, 0), *((max(low, 0), max(high, 0)) for low, high in sides)]
    if mode == "zeros":
        return np.pad(x, width, constant_values=value)
    return np.pad(x, width, mode=MODES[mode])  # type: ignore[call-overload, no-any-return]


def _windows(x: Floats, weight: Floats, how: Convolution) -> Floats:
    """Return the products of the kernel with all windows of an input that is already padded."""
    n, inputs, groups = len(x), x.shape[1], how.groups
    seen = windows(x, weight.shape[2:], how.stride, how.dilation)  # (n, inputs, *space, *kernel)
    space, axes = seen.shape[2 : x.ndim], range(x.ndim - 2)
    last = [x.ndim + 1 + axis for axis in axes]
    y = np.empty((n, groups, len(weight) // groups, *space))
    split = seen.reshape(n, groups, inputs // groups, *seen.shape[2:]) if groups > 1 else seen[:, None]
    for group, kernel in enumerate(np.split(weight, groups)):
        product = np.tensordot(
            split[:, group], kernel, axes=([1, *(axis - 1 for axis in last)], [1, *(a + 2 for a in axes)])
        )
        y[:, group] = np.moveaxis(product, -1, 1)
    return y.reshape(n, len(weight), *space)


def windows(x: Floats, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Floats:
    """Return a view of x, shape (n, channels, *outputs, *kernel)."""
    extent = [step * (size - 1) + 1 for size, step in zip(kernel, dilation, strict=True)]
    seen = np.lib.stride_tricks.sliding_window_view(x, extent, axis=tuple(range(2, x.ndim)))
    steps = [slice(None, None, step) for step in (*stride, *dilation)]
    return seen[(slice(None), slice(None), *steps)]


def kernel_gradient(x: Floats, slope: Floats, kernel: Sequence[int], how: Convolution) -> Floats:
    """Return the gradient of a kernel of these sizes, if `slope` is that of the convolution of x."""
    if how.transposed:  # each input meets the outputs to which it was added
        wide, narrow = padded(slope, tuple((-low, -high) for low, high in how.padding)), x
    else:
        wide, narrow = padded(x, how.padding, how.mode), slope
    seen = windows(wide, kernel, how.stride, how.dilation)[(slice(None), slice(None), *map(slice, narrow.shape[2:]))]
    axes = [0, *range(2, x.ndim)]
    pairs = zip(np.split(narrow, how.groups, axis=1), np.split(seen, how.groups, axis=1), strict=True)
    return np.concatenate([np.tensordot(one, other, axes=(axes, axes)) for one, other in pairs])


def _transposed(x: Floats, weight: Floats, how: Convolution) -> Floats:
    """Return the transposed convolution: zeros between the inputs, and a convolution by the flipped kernel."""
    inputs, outputs, kernel = weight.shape[0], weight.shape[1], weight.shape[2:]
    spread = np.zeros(
        (*x.shape[:2], *((size - 1) * step + 1 for size, step in zip(x.shape[2:], how.stride, strict=True)))
    )
    places = [slice(None, None, step) for step in how.stride]
    spread[(slice(None), slice(None), *places)] = x
    full = [step * (size - 1) for size, step in zip(kernel, how.dilation, strict=True)]
    sides = tuple((low + reach, high + reach) for (low, high), reach in zip(how.padding, full, strict=True))
    split = np.flip(weight, axis=tuple(range(2, weight.ndim))).reshape(
        how.groups, inputs // how.groups, outputs, *kernel
    )
    flipped = split.swapaxes(1, 2).reshape(how.groups * outputs, inputs // how.groups, *kernel)
    ones = (1,) * len(kernel)
    plain = Convolution(stride=ones, padding=sides, dilation=how.dilation, groups=how.groups)
    return _windows(padded(spread, sides), flipped, plain)
