"""The stream of torch's CUDA generator: a seed, an offset, and the words that a grid of threads draws."""

from typing import TypeVar

import numpy as np
from jaxtyping import Float, UInt8, UInt32, UInt64

from jax_impl.replay.arguments import Kind, integer
from jax_impl.replay.cuda import philox
from jax_impl.replay.cuda.gpus import Gpu, gpu_named
from jax_impl.replay.rounding import multiply_add

Generator = TypeVar("Generator", bound="PhiloxStream")
CALL = 4  # words of one call, by which offsets advance
_LARGEST = 2**31 - 1  # bytes of a tensor; torch draws larger ones in parts


class PhiloxStream:
    """A seed, an offset, and a GPU: a name in `gpus.GPUS` or a `Gpu`."""

    def __init__(self, seed: int, gpu: str | Gpu, *, offset: int = 0) -> None:
        self.seed = integer("seed", seed, -(2**63), 2**64 - 1) % 2**64
        self.gpu = gpu_named(gpu)
        self.offset = integer("offset", offset, 0)
        if self.offset % CALL:
            raise ValueError(f"offset must be a multiple of {CALL}, got {offset}")

    def state(self) -> UInt8[np.ndarray, "16"]:
        """Return the state as the bytes of `torch.cuda.get_rng_state()`."""
        return np.array([self.seed, self.offset], np.uint64).view(np.uint8)

    @classmethod
    def from_state(cls: type[Generator], state: UInt8[np.ndarray, "16"], gpu: str | Gpu) -> Generator:
        """Return a generator with a state that `state()` or `torch.cuda.get_rng_state()` returned."""
        if state.shape != (16,) or state.dtype != np.uint8:
            raise ValueError(f"state must be uint8 (16,), got {state.dtype} {state.shape}")
        seed, offset = np.frombuffer(state.tobytes(), np.uint64).tolist()
        return cls(seed, gpu, offset=offset)

    def launched(self, n: int, kind: Kind | None, per_call: int) -> tuple[int, int]:
        """Return the number of threads, and of the calls of each."""
        if n * np.dtype(kind.computes if kind else np.int64).itemsize > _LARGEST:
            raise ValueError(f"a tensor must have fewer than 2 GiB, got {n} elements")
        threads = self.gpu.grid(n)
        return threads, (n - 1) // (threads * per_call) + 1

    def advanced(self, calls: int) -> int:
        """Return the offset, and advance it."""
        before = self.offset
        self.offset += CALL * calls
        return before

    def drawn(self, n: int, per_call: int, kind: Kind | None = None) -> UInt32[np.ndarray, "calls threads 4"]:
        """Draw the words for n numbers, of which a call yields 4 or 2."""
        if n == 0:
            return np.zeros((0, 1, 4), np.uint32)
        threads, calls = self.launched(n, kind, per_call)
        return philox.of_threads(self.seed, self.advanced(calls), threads, calls)

    def words(self, n: int, kind: Kind | None = None) -> UInt32[np.ndarray, " n"]:
        """Draw n words, in the order of the elements."""
        return self.drawn(n, 4, kind).transpose(0, 2, 1).ravel()[:n]

    def words64(self, n: int) -> UInt64[np.ndarray, " n"]:
        """Draw n integers of 64 bits, the high half of each first."""
        words = self.drawn(n, 2).astype(np.uint64)
        both = words[..., 0::2] << np.uint64(32) | words[..., 1::2]
        return both.transpose(0, 2, 1).ravel()[:n]

    def unit(self, n: int, kind: Kind) -> Float[np.ndarray, " n"]:
        """Draw n numbers from (0, 1] (`curand_uniform4` and `curand_uniform2_double`)."""
        if kind.computes == np.float32:
            return unit32(self.words(n, kind))
        return unit64(self.drawn(n, 2, kind)).transpose(0, 2, 1).ravel()[:n]


def unit32(words: UInt32[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return numbers from (0, 1] (`_curand_uniform`)."""
    return multiply_add(words.astype(np.float32), np.float32(2**-32), np.float32(2**-33))


def unit64(words: UInt32[np.ndarray, "... 4"]) -> Float[np.ndarray, "... 2"]:
    """Return two numbers from (0, 1] of four words (`_curand_uniform_double_hq`)."""
    wide = words.astype(np.uint64)
    bits = wide[..., 0::2] ^ (wide[..., 1::2] << np.uint64(21))
    return bits.astype(np.float64) * 2**-53 + 2**-54
