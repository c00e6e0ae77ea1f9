"""Philox 4x32-10: ten rounds turn a counter of four words into four random words.

J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 5.
"""

import numpy as np
from jaxtyping import UInt32

_FACTORS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

Words = UInt32[np.ndarray, "..."]


def philox(counter: UInt32[np.ndarray, "... 4"], key: tuple[int, int]) -> UInt32[np.ndarray, "... 4"]:
    """Return the four words of each counter under a key of two words."""
    a, b, c, d = (counter[..., word] for word in range(4))
    first, second = key
    for _ in range(_ROUNDS):
        high_a, low_a = _multiplied(a, _FACTORS[0])
        high_c, low_c = _multiplied(c, _FACTORS[1])
        a, b, c, d = high_c ^ b ^ np.uint32(first), low_c, high_a ^ d ^ np.uint32(second), low_a
        first, second = (first + _WEYL[0]) % 2**32, (second + _WEYL[1]) % 2**32
    return np.stack([a, b, c, d], axis=-1)


def _multiplied(x: Words, factor: np.uint64) -> tuple[Words, Words]:
    """Return the high and the low word of a product."""
    product = x.astype(np.uint64) * factor
    return (product >> np.uint64(32)).astype(np.uint32), product.astype(np.uint32)


def of_threads(seed: int, offset: int, threads: int, calls: int) -> UInt32[np.ndarray, "calls threads 4"]:
    """Return what each thread draws in some calls of `curand4`, from an offset of the generator.

    The thread is the counter's upper half (`curand_init`'s subsequence); the lower half counts calls.
    """
    counter = np.zeros((calls, threads, 4), np.uint32)
    call = np.arange(calls, dtype=np.uint64) + np.uint64(offset // 4)
    counter[..., 0] = (call & np.uint64(2**32 - 1)).astype(np.uint32)[:, None]
    counter[..., 1] = (call >> np.uint64(32)).astype(np.uint32)[:, None]
    counter[..., 2] = np.arange(threads, dtype=np.uint32)
    return philox(counter, (seed % 2**32, seed >> 32))
