"""Compare the replay of MKL's Bernoulli numbers with Intel's own library, which `pip install mkl` brings.

python -m tests.replay.mkl_check PATH/libmkl_rt.so.3
"""

import ctypes
import sys
from itertools import product

import numpy as np

from jax_impl.replay import mkl

MCG31 = 1 << 20  # VSL_BRNG_MCG31
N = 100_003
SEEDS = (0, 1, 5, 123, 2**31 - 1, 2**31, 2**31 + 5, 2**32 - 1, 3_999_999_999)
PROBABILITIES = (0.0, 0.1, 1 / 3, 0.5, 0.9, 1 - 1e-9, 1.0)


def of_intel(library: ctypes.CDLL, seed: int, n: int, p: float) -> np.ndarray:
    """Return n numbers of `viRngBernoulli` on a new stream."""
    stream, drawn = ctypes.c_void_p(), np.empty(n, np.int32)
    failed = library.vslNewStream(ctypes.byref(stream), MCG31, ctypes.c_uint(seed))
    failed |= library.viRngBernoulli(0, stream, n, drawn.ctypes.data_as(ctypes.c_void_p), ctypes.c_double(p))
    library.vslDeleteStream(ctypes.byref(stream))
    if failed:
        raise RuntimeError(f"MKL refused seed {seed} with p = {p}")
    return drawn


def main(path: str) -> int:
    """Return how many pairs of a seed and a probability differ."""
    library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    pairs = list(product(SEEDS, PROBABILITIES))
    wrong = [pair for pair in pairs if not np.array_equal(of_intel(library, pair[0], N, pair[1]),
                                                          mkl.bernoulli(pair[0], N, pair[1]))]  # fmt: skip
    print(f"{len(pairs) - len(wrong)} of {len(pairs)} pairs of a seed and a probability agree in all {N:,} numbers")
    print(of_intel(library, 123, 32, 0.5).tolist(), of_intel(library, 2**31 + 5, 32, 0.3).tolist())
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
