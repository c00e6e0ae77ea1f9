"""Fused multiply-adds and bfloat16, which NumPy lacks: x * factor + offset, rounded once."""

from typing import Any

import numpy as np
from jaxtyping import Float

Array = Float[np.ndarray, "..."]
Numbers = float | np.floating[Any] | Array

_BELOW = 2**29 - 1  # the bits of a float64 that a float32 does not have
_HALFWAY = 2**28  # these bits, of a number halfway between two float32
_HALF = ~(2**27 - 1)  # the first 26 bits of a float64's significand
_LAST = 2**28 - 1  # the last bits of a float64
_NEARLY = 2.0**-20
_NORMAL = 2.0**-126  # smaller float32 have fewer bits


def multiply_add(x: Array, factor: Numbers, offset: Numbers) -> Array:
    """Return x * factor + offset, rounded once to x's dtype (float32 or float64), as a fused multiply-add rounds it.

    `factor` and `offset` are numbers or arrays of x's dtype; for float64 they are numbers up to 1e290.
    """
    if x.dtype == np.float32:
        return _in_float32(x, factor, offset)
    return _in_float64(x, float(factor), float(offset))


def _in_float64(x: Array, factor: float, offset: float) -> Array:
    """Compute the sum and what its two roundings lost, and add both.

    That is wrong only if what was lost, itself rounded, leads exactly between two float64. Then it is less than 2**23
    times a quarter of the sum's last unit, so that its last 30 bits are 0, unless the terms nearly cancelled. These
    numbers are computed again. A sum with 0 is rounded once as it is, and keeps the sign of a 0.
    """
    if offset == 0:
        return x * factor + offset
    product, lost = _two_product(x, factor)
    total, rest = _two_sum(product, offset)
    rest += lost
    again = ((rest.view(np.int64) & _LAST) == 0) | (np.abs(total) <= _NEARLY * abs(offset))
    total += rest
    if again.any():
        high, low = _two_product(x[again], factor)
        upper, lower = _two_sum(low, offset)
        most, least = _two_sum(high, upper)
        total[again] = most + _sum_to_odd(least, lower)
    return total


def _in_float32(x: Array, factor: Numbers, offset: Numbers) -> Array:
    """Compute in float64, where the product is exact.

    Only a sum that is halfway between two float32, or too small to have all bits, would be rounded twice. It is
    computed again.
    """
    product = np.multiply(x, factor, dtype=np.float64)
    total = product + offset
    again = (total.view(np.int64) & _BELOW) == _HALFWAY
    again |= np.abs(total) < _NORMAL
    if again.any():
        total[again] = _sum_to_odd(product[again], np.broadcast_to(offset, total.shape)[again])
    return np.asarray(total.astype(np.float32))


def to_bfloat16(x: Array) -> Float[np.ndarray, "..."]:
    """Round float32 to the nearest bfloat16, ties to even, and return it in float32."""
    bits = x.view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return nearest.view(np.float32)


def _sum_to_odd(a: Array, b: Array | float) -> Array:
    """Return a + b rounded to odd: if inexact, to the neighbour whose last bit is 1. It may then be rounded again.

    Boldo & Melquiond, "Emulation of FMA and correctly rounded sums", IEEE Trans. Computers 57 (2008).
    """
    total, lost = _two_sum(a, b)
    even = (lost != 0) & (total.view(np.int64) & 1 == 0)
    return np.where(even, np.nextafter(total, np.copysign(np.inf, lost)), total)


def _two_sum(a: Array, b: Array | float) -> tuple[np.ndarray, np.ndarray]:
    """Return a + b rounded, and the exact rounding error (Knuth, TAOCP 2, 4.2.2)."""
    total = a + b
    part = total - a
    error = a - (total - part)
    error += b - part
    return total, error


def _two_product(a: Array, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a * b rounded, and the exact rounding error (Dekker 1971). Each factor is cut into halves of its bits."""
    a_high = (a.view(np.int64) & _HALF).view(np.float64)
    b_high = b * (2**27 + 1) - (b * (2**27 + 1) - b)
    a_low, b_low, product = a - a_high, b - b_high, a * b
    error = a_high * b_high
    error -= product
    error += a_high * b_low
    error += a_low * b_high
    error += a_low * b_low
    return product, error
