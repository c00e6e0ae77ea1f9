"""MKL's Bernoulli numbers, which torch draws on some Intel processors for `bernoulli_` with a number, and for dropout.

torch draws one seed from its own generator, and the rest from MKL's MCG31m1: x ← 1132489760 · x mod 2³¹ - 1. A
number is 1 where x / (2³¹ - 1) < p. The source is bernoulli_mkl_kernel in aten's DistributionKernels.cpp, and Intel's
"Notes for oneMKL Vector Statistics" (MCG31m1, Bernoulli by inversion).
"""

import numpy as np
from jaxtyping import Bool, Int64

MODULUS, FACTOR = 2**31 - 1, 1_132_489_760
ROW = 4_096


def bernoulli(seed: int, n: int, p: float) -> Bool[np.ndarray, " n"]:
    """Draw n truth values, each true with probability p, as `viRngBernoulli` on a stream of this seed."""
    return stream(seed, n) / MODULUS < p


def stream(seed: int, n: int) -> Int64[np.ndarray, " n"]:
    """Return the first n numbers of MCG31m1, from 1 to 2**31 - 2. The first one is the seed itself."""
    x = int(seed) % MODULUS or 1
    row = np.array([pow(FACTOR, i, MODULUS) for i in range(min(n, ROW))], np.int64)  # powers of the factor
    jump = pow(FACTOR, ROW, MODULUS)
    starts = []
    for _ in range(-(-n // ROW)):
        starts.append(x)
        x = x * jump % MODULUS
    return (np.array(starts, np.int64)[:, None] * row % MODULUS).ravel()[:n]
