"""Resizing of images in NumPy, as torch and JAX do it: one matrix (output, input) for each axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jax_impl.parity.causes.compute.layers.convolutions import Floats


@dataclass(frozen=True, kw_only=True)
class Resizing:
    """How to resize one axis.

    Attributes:
        kernel: "nearest", "linear", "cubic", "lanczos3", "lanczos5" or "area".
        places: Where an output lies in the input: "half-pixel", "corners" (torch's align_corners) or "origin".
        antialias: Whether the kernel is widened when the image shrinks.
        sharpness: The cubic kernel's a.
        clamped: Whether what lies outside is the edge, as in torch; otherwise the weights inside are normalised, as
            in JAX.
    """

    kernel: str
    places: str = "half-pixel"
    antialias: bool = False
    sharpness: float = -0.75
    clamped: bool = True


def resized(x: Floats, size: Sequence[int], how: Resizing, scale: Sequence[float | None] = ()) -> Floats:
    """Return x, shape (n, channels, …), with other sizes of its spatial axes.

    Args:
        x: The images.
        size: The new sizes.
        how: The method.
        scale: torch's scale_factor of each axis, if it decides where outputs lie; None stands for the ratio of sizes.
    """
    for axis, count in enumerate(size, start=2):
        factor = scale[axis - 2] if scale else None
        matrix = weights(x.shape[axis], count, how, factor)
        x = np.moveaxis(np.tensordot(x, matrix, axes=([axis], [1])), -1, axis)
    return x


def weights(length: int, count: int, how: Resizing, scale: float | None = None) -> Floats:
    """Return the matrix of one axis, shape (count, length)."""
    step = length / count if scale is None else 1 / scale
    if how.kernel == "area":
        return _area(length, count)
    if how.kernel == "nearest":
        offset = 0.5 if how.places == "half-pixel" else 0.0
        chosen = np.clip(np.floor((np.arange(count) + offset) * step).astype(int), 0, length - 1)
        return np.asarray(np.eye(length)[chosen])
    if how.places == "corners":
        places: Floats = np.arange(count, dtype=np.float64) * ((length - 1) / max(count - 1, 1))
    elif how.places == "origin":
        places = np.arange(count, dtype=np.float64) * step
    else:
        places = (np.arange(count, dtype=np.float64) + 0.5) * step - 0.5
    return _by_kernel(length, places, max(step, 1.0) if how.antialias else 1.0, how)


def _by_kernel(length: int, places: Floats, width: float, how: Resizing) -> Floats:
    """Return the matrix of a kernel centred at each place."""
    function, reach = KERNELS[how.kernel](how.sharpness)
    margin = int(np.ceil(reach * width)) + 1 if how.clamped else 0
    known = np.arange(-margin, length + margin)
    matrix = function(np.abs(places[:, None] - known[None]) / width)
    if how.clamped:
        edges = np.clip(known, 0, length - 1)
        matrix = matrix @ np.eye(length)[edges]
    total = matrix.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(matrix, total, out=np.zeros_like(matrix), where=np.abs(total) > 1e-12))


def _area(length: int, count: int) -> Floats:
    """Return torch's mode "area": adaptive mean pooling."""
    matrix = np.zeros((count, length))
    for i in range(count):
        low, high = i * length // count, -(-(i + 1) * length // count)
        matrix[i, low:high] = 1 / (high - low)
    return matrix


Kernel = tuple[Callable[[Floats], Floats], int]  # of the distance, and how far it reaches


def _linear(_: float) -> Kernel:
    return lambda x: np.maximum(0.0, 1 - x), 1


def _cubic(a: float) -> Kernel:
    """Return Keys' kernel."""

    def function(x: Floats) -> Floats:
        inner = ((a + 2) * x - (a + 3)) * x * x + 1
        outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))

    return function, 2


def _lanczos(radius: int) -> Callable[[float], Kernel]:
    return lambda _: (lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0.0), radius)


KERNELS: dict[str, Callable[[float], Kernel]] = {
    "linear": _linear,
    "cubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
