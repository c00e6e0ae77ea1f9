"""Rounding to the dtypes that accelerators compute in. NumPy knows neither bfloat16 nor TF32."""

import numpy as np

from jax_impl.parity.causes.compute.layers.convolutions import Floats

BITS = {"bfloat16": 8, "TF32": 11, "float16": 11, "float32": 24}  # of the significand, with the leading one
SMALLEST = {"bfloat16": -126, "TF32": -126, "float16": -14, "float32": -126}  # exponents of normal numbers
LARGEST = {"float16": 65504.0}


def rounded(x: Floats, dtype: str, *, away: bool = False, cut: bool = False) -> Floats:
    """Return x rounded to the nearest number of a dtype, as float64.

    Args:
        x: Finite or not.
        dtype: A key of `BITS`.
        away: Whether a number in the middle is rounded away from zero, as NVIDIA's tensor cores take TF32; otherwise
            to even.
        cut: Whether the digits that do not fit are cut off instead.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        _, exponent = np.frexp(x)
        unit = np.ldexp(1.0, np.maximum(exponent, SMALLEST[dtype] + 1) - BITS[dtype])
        scaled = x / unit
        if cut:
            whole = np.trunc(scaled)
        elif away:
            whole = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
        else:
            whole = np.rint(scaled)
        found = np.where(np.isfinite(x), whole * unit, x)
        limit = LARGEST.get(dtype)
        return found if limit is None else np.where(np.abs(found) > limit, np.copysign(np.inf, found), found)


def is_exact(x: Floats, dtype: str) -> bool:
    """Return whether all elements are numbers of a dtype."""
    return bool(np.array_equal(rounded(x, dtype), x, equal_nan=True))
