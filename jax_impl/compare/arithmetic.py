"""The arithmetic that the comparisons of leaves share, in float64. Use `jax_impl.compare`."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Signs = NDArray[np.int8]

# The distance from 1 to the next larger number. np.finfo does not know bfloat16.
_EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


def largest(errors: NDArray[Any], *_: NDArray[Any]) -> float:
    """Measure a leaf by its largest error."""
    return float(errors.max())


def magnitude(array: NDArray[Any]) -> Floats:
    """Return |array| in float64."""
    return np.abs(array.astype(np.float64))


def distance(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return |a - b| in float64; inf if it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        difference: Floats = np.abs(a.astype(np.float64) - b.astype(np.float64))
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        difference = np.maximum(difference, a != b)  # beyond 2**53 neighbouring integers are equal in float64
    return difference


def ratio(errors: Floats, scale: Any) -> Floats:
    """Return errors / scale. 0 / 0 is 0; any other error divided by 0 is inf."""
    quotient = np.zeros_like(errors)
    with np.errstate(divide="ignore", over="ignore"):
        np.divide(errors, scale, out=quotient, where=errors > 0)
    return quotient


def norm_ratio(errors: NDArray[Any], scale: NDArray[Any]) -> float:
    """Return ‖errors‖ / ‖scale‖ in the L2 norm; 0 / 0 is 0."""
    top, bottom = magnitude(errors), magnitude(scale)
    top_max, bottom_max = float(top.max()), float(bottom.max())
    if top_max == 0:
        return 0.0
    if bottom_max == 0 or math.isinf(top_max):
        return math.inf
    norms = np.linalg.norm(top / top_max) / np.linalg.norm(bottom / bottom_max)  # the squares cannot overflow
    return top_max / bottom_max * float(norms)


def max_ratio(errors: NDArray[Any], scale: NDArray[Any]) -> float:
    """Return max |errors| / max |scale|; 0 / 0 is 0."""
    return float(ratio(magnitude(errors).max(keepdims=True), magnitude(scale).max()).max())


def epsilon(array: NDArray[Any]) -> float:
    """Return the distance from 1 to the next larger number in the array's dtype, or raise a TypeError."""
    if array.dtype.name not in _EPSILON:
        raise TypeError(f"leaves must be {', '.join(_EPSILON)}, got {array.dtype}")
    return _EPSILON[array.dtype.name]


def infinite_signs(array: NDArray[Any]) -> Signs:
    """Return +1 or -1 where an element is an infinity of that sign, and 0 elsewhere."""
    return _signs(array, np.isinf(array))


def fill_signs(array: NDArray[Any]) -> Signs:
    """Return +1 or -1 where an element is a fill value of that sign, and 0 elsewhere.

    Fills are infinities, numbers within a factor of 4 of the largest float32 or float64, and float16's largest number
    in a float16 array. Attention masks are filled with `finfo.min`, or with half of it; bfloat16's is about float32's.
    """
    size = magnitude(array)
    filled = ((size >= 2.0**126) & (size < 2.0**128)) | (size >= 2.0**1022)
    return _signs(array, filled | (size == 65504) if array.dtype == np.float16 else filled)


def _signs(array: NDArray[Any], filled: NDArray[np.bool_]) -> Signs:
    return np.where(filled, np.where(array > 0, 1, -1), 0).astype(np.int8)
