"""Box-Muller as torch computes it: blocks of 16 in float32 with Cephes' polynomials, and pairs in float64.

torch draws 16 or more numbers in blocks of 8 radii and 8 angles (`normal_fill` in aten's DistributionTemplates.h). On
AVX2 it takes the logarithm, sine and cosine of float32 from Cephes' polynomials (S. Moshier, logf.c and sinf.c). There
each product that is added to something is rounded together with the sum. In float64 torch calls the C library, as
Python's `math` does.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt32

from jax_impl.replay.rounding import multiply_add

ROWS = 2_048  # blocks of 16 at a time, which fit into the processor's cache: twice as fast as all at once

# Cephes' logf: ln(1 + x) = x - x²/2 + x³ P(x), and ln 2 in two parts
_LOG = tuple(np.float32(c) for c in (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
))  # fmt: skip
_LN2_LOW, _LN2_HIGH = np.float32(-2.12194440e-4), np.float32(0.693359375)
_ROOT_HALF = np.float32(0.707106781186547524)

# Cephes' sinf and cosf: π/4 in three parts, and the polynomials in x²
_PI_4 = tuple(np.float32(c) for c in (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8))
_SIN = tuple(np.float32(c) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
_COS = tuple(np.float32(c) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))
_4_PI = np.float32(1.27323954473516)

F32 = Float32[np.ndarray, "..."]
Transform = Callable[[Float64[np.ndarray, " n"]], Float64[np.ndarray, " n"]]


def in_blocks(unit: Float[np.ndarray, " n"], std: float, mean: float) -> Float[np.ndarray, " n"]:
    """Turn each 16 uniform numbers from [0, 1), 8 for radii and 8 for angles, into normal numbers (`NormalFill16`).

    `unit` is float32 or float64, a multiple of 16 long; so is the result.
    """
    if unit.dtype == np.float64:
        return in_blocks_by_c(unit, std, mean)
    result = np.empty_like(unit)
    for begin in range(0, len(unit), 16 * ROWS):
        part = unit[begin : begin + 16 * ROWS].reshape(-1, 2, 8)
        radius = np.sqrt(np.float32(-2) * log(1 - part[:, 0]))
        sine, cosine = sincos(np.float32(2 * math.pi) * part[:, 1])
        both = np.stack([radius * cosine, radius * sine], axis=1)
        result[begin : begin + 16 * ROWS] = multiply_add(both, np.float32(std), np.float32(mean)).ravel()
    return result


def in_blocks_by_c(unit: Float[np.ndarray, " n"], std: float, mean: float) -> Float[np.ndarray, " n"]:
    """Do the same with the C library's functions: in float64, and in float32 where torch runs without AVX2.

    The C library's float32 functions are not correctly rounded everywhere, and these are.
    """
    kind = unit.dtype.type
    tail, turn = np.moveaxis(unit.reshape(-1, 2, 8), 1, 0)  # each (blocks, 8)
    radius, angle = np.sqrt(kind(-2) * each(math.log, 1 - tail)), (2 * math.pi * turn.astype(np.float64)).astype(kind)
    both = np.stack([radius * each(math.cos, angle), radius * each(math.sin, angle)], axis=1)
    return multiply_add(both, kind(std), kind(mean)).ravel()


def each(function: Callable[[float], float], x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Apply a function of Python's `math` to each number: it calls the C library, from whose bits NumPy's differ."""
    return np.array(list(map(function, x.ravel().tolist())), x.dtype).reshape(x.shape)


def log(x: F32) -> F32:
    """Return the natural logarithm of normal float32 numbers above 0, as `log256_ps` of torch's avx_mathfun.h."""
    bits = x.view(np.uint32)
    exponent = (bits >> 23).astype(np.int32) - 126
    x = (bits & 0x7FFFFF | 0x3F000000).view(np.float32)  # the significand, in [0.5, 1)
    small = x < _ROOT_HALF
    exponent = (exponent - small).astype(np.float32)
    x = x - 1 + np.where(small, x, np.float32(0))
    square = x * x
    y: Any = _LOG[0]
    for coefficient in _LOG[1:]:
        y = multiply_add(x, y, coefficient)
    y = multiply_add(y * x, square, exponent * _LN2_LOW)
    return multiply_add(exponent, _LN2_HIGH, x + (y - square * np.float32(0.5)))


def sincos(x: F32) -> tuple[F32, F32]:
    """Return the sine and cosine of float32 numbers from 0 to 8192, as `sincos256_ps` of torch's avx_mathfun.h."""
    octant = ((x * _4_PI).astype(np.int32) + 1) & ~1
    y = octant.astype(np.float32)
    for part in _PI_4:
        x = multiply_add(y, part, x)
    square = x * x
    cosine = multiply_add(multiply_add(square, _COS[0], _COS[1]), square, _COS[2]) * square
    cosine = multiply_add(cosine, square, -(square * np.float32(0.5))) + 1
    sine = multiply_add(multiply_add(square, _SIN[0], _SIN[1]), square, _SIN[2]) * square
    sine = multiply_add(sine, x, x)
    exchanged = (octant & 2) != 0
    first, second = np.where(exchanged, cosine, sine), np.where(exchanged, sine, cosine)
    return _negated(first, octant & 4), _negated(second, ~(octant - 2) & 4)


def _negated(x: F32, where: Any) -> F32:
    """Change the sign where bit 2 is set."""
    bits: UInt32[np.ndarray, ...] = x.view(np.uint32) ^ (where.astype(np.uint32) << np.uint32(29))
    return bits.view(np.float32)


def in_pairs(turn: Float64[np.ndarray, " n"], tail: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 2"]:
    """Turn pairs of uniform numbers into pairs of normal numbers (`at::normal_distribution<double>`)."""
    radius, angle = np.sqrt(-2 * each(math.log1p, -tail)), 2 * math.pi * turn
    return np.stack([radius * each(math.cos, angle), radius * each(math.sin, angle)], axis=1)
