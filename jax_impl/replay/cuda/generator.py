"""torch's CUDA generator in NumPy: what `torch.rand(n, device="cuda")` and others draw after `torch.manual_seed`.

A kernel draws n numbers by a grid of threads. Each thread calls `curand4`, and its words go to the elements thread,
thread + grid, thread + 2 grid and thread + 3 grid. Then the generator's offset advances by 4 for each call.

The sources are aten/src/ATen/native/cuda/DistributionTemplates.h, Dropout.cu and Randperm.cu, and curand_kernel.h.
Compared with an NVIDIA H200 (docs/same-draws.md).
"""

import math

import numpy as np
from jaxtyping import Bool, Float, Int64
from numpy.typing import DTypeLike

from jax_impl.replay.arguments import (
    Kind,
    Reals,
    Size,
    arranged,
    count_of,
    floating,
    integer,
    probability,
    shape_of,
    within,
)
from jax_impl.replay.cuda import philox
from jax_impl.replay.cuda.stream import CALL, PhiloxStream, unit32, unit64
from jax_impl.replay.discrete import Draws, Memory
from jax_impl.replay.rounding import multiply_add

LOADED = 16  # bytes that a thread of dropout loads at once, if the tensor is a multiple of them
ISLANDS = math.log(0.9) * 12  # of randperm's keys: with a probability of 0.9 no two are equal


class CudaGenerator(PhiloxStream, Draws):
    """The generator of a CUDA device after `torch.manual_seed(seed)`.

    `gpu` is a name in `gpus.GPUS` or a `Gpu`. Sizes, dtypes and `memory` are those of `TorchGenerator`. A tensor of
    2 GiB or more is a ValueError.
    """

    def uniform(
        self,
        size: Size,
        low: float = 0.0,
        high: float = 1.0,
        dtype: DTypeLike = np.float32,
        *,
        memory: Memory = None,
    ) -> Reals:
        """Draw from U[low, high), as `Tensor.uniform_(low, high)`; with the default bounds, as `torch.rand(size)`."""
        shape, kind = shape_of(size, memory), floating(dtype)
        if not (low <= high and max(-low, high, high - low) <= kind.largest):
            raise ValueError(f"low must be at most high, and {kind.name} hold both, got {low} and {high}")
        bounds = kind.rounded(np.array([low, high], kind.computes))
        (first, last), (width,) = bounds, kind.rounded(np.diff(bounds))
        unit = self.unit(count_of(shape), kind)
        values = kind.rounded(multiply_add(unit, kind.computes.type(width), kind.computes.type(first)))
        values[values == last] = first
        return arranged(values, shape, memory)

    def normal(
        self,
        size: Size,
        mean: float = 0.0,
        std: float = 1.0,
        dtype: DTypeLike = np.float32,
        *,
        memory: Memory = None,
    ) -> Reals:
        """Draw from N(mean, std²), as `Tensor.normal_(mean, std)`, not to the bit.

        A device computes float32 by its own approximate sine and cosine, float64 by its own accurate functions.
        """
        shape, kind = shape_of(size, memory), floating(dtype)
        within("mean", mean)
        within("std", std, 0.0)
        values = self._normals(count_of(shape), kind)
        number = kind.computes.type
        return arranged(kind.rounded(multiply_add(values, number(std), number(mean))), shape, memory)

    def randperm(self, n: int) -> Int64[np.ndarray, " n"]:
        """Draw a permutation of 0 to n - 1, as `torch.randperm(n, device="cuda")`: sorted by random keys.

        Entries with equal keys are shuffled among each other.
        """
        n = integer("n", n, 0)
        if n == 0:
            return np.arange(0)
        bits = min(64, math.ceil(math.log2(n - (6 * n * n + 1) / ISLANDS)))
        info = np.iinfo(np.int32 if bits <= 32 else np.int64)
        keys = self.randint(info.min, info.max, n) & (2**bits - 1 if bits < 64 else -1)
        order = np.argsort(keys if bits < 64 else keys.view(np.int64), kind="stable")
        offset, self.offset = self.offset, self.offset + -(-n // CALL) * CALL
        same = np.diff(keys[order], prepend=keys[order[0]] - 1) != 0
        begins = np.flatnonzero(same)
        for begin, end in zip(begins, np.append(begins[1:], n), strict=True):
            if end - begin > 1:
                self._shuffle(order[begin:end], int(begin), offset)
        return order

    def _shuffle(self, island: Int64[np.ndarray, " k"], thread: int, offset: int) -> None:
        """Shuffle entries with equal keys, with the words of the thread where they begin."""
        calls = -(-(len(island) - 1) // CALL)
        counter = np.zeros((calls, 4), np.uint32)
        counter[:, 0] = offset // CALL + np.arange(calls)
        counter[:, 2] = thread
        words = philox.philox(counter, (self.seed % 2**32, self.seed >> 32)).ravel()
        for last, word in zip(range(len(island) - 1, 0, -1), words.tolist(), strict=False):
            other = word % (last + 1)
            island[last], island[other] = island[other], island[last]

    def kept(self, p: float, n: int, kind: Kind) -> Bool[np.ndarray, " n"]:
        """Draw n truth values for a dtype, each true with probability p: `bernoulli_` with a number."""
        return _below(self.unit(n, kind), p, kind)

    def kept_each(self, p: Float[np.ndarray, " n"], kind: Kind) -> Bool[np.ndarray, " n"]:
        """Draw float32 numbers: each thread for four neighbours. The offset advances by 12 whatever the size."""
        del kind
        words = philox.of_threads(self.seed, self.offset, -(-len(p) // CALL), 1).ravel()[: len(p)]
        self.offset += 12
        return np.asarray(unit32(words) <= p)

    def dropout_mask(
        self, size: Size, p: float = 0.5, dtype: DTypeLike = np.float32, *, memory: Memory = None
    ) -> Reals:
        """Return what `torch.nn.functional.dropout` multiplies with: 0 with probability p, else 1 / (1 - p)."""
        shape, kind = shape_of(size, memory), floating(dtype)
        keep, n = 1 - probability(p), count_of(shape)
        if p in (0, 1) or n == 0:
            return kind.rounded(np.full(shape, keep))
        per = next(size for size in (8, 4, 2, 1) if size * kind.bytes <= LOADED and n % size == 0)
        scale = kind.computes.type(1) / kind.computes.type(keep)
        values = kind.rounded(self._loaded(n, keep, kind, per).astype(kind.computes) * scale)
        return arranged(values, shape, memory if per > 1 else None)

    def _loaded(self, n: int, keep: float, kind: Kind, per: int) -> Bool[np.ndarray, " n"]:
        """Draw which elements dropout keeps (`fused_dropout_kernel_vec`), by float32 numbers in any dtype.

        `per` is how many neighbours a thread loads at once, and then draws for.
        """
        threads, calls = self.launched(n, kind, CALL)
        offset = self.advanced(calls)
        if per == 1:
            words = philox.of_threads(self.seed, offset, threads, calls)
            return _below(unit32(words.transpose(0, 2, 1).ravel()[:n]), keep, kind)
        each = -(-per // CALL)  # calls for the neighbours that are loaded at once
        loads = -(-n // (threads * per))
        drawn = philox.of_threads(self.seed, offset, threads, -(-loads * each * min(per, CALL) // CALL))
        parts = drawn.reshape(-1, each, threads, CALL // min(per, CALL), min(per, CALL))
        parts = parts.transpose(0, 3, 2, 1, 4)  # loads, parts of a call, threads, calls of a load, neighbours
        return _below(unit32(parts.ravel()[:n]), keep, kind)

    def _normals(self, n: int, kind: Kind) -> Float[np.ndarray, " n"]:
        """Draw n standard normal numbers by Box-Muller, sine first (`curand_normal4` and `curand_normal2_double`)."""
        if kind.computes == np.float64:
            unit = unit64(self.drawn(n, 2, kind))
            radius, angle = np.sqrt(-2 * np.log(unit[..., 0])), 2 * np.pi * unit[..., 1]
            both = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1)
            return both.transpose(0, 2, 1).ravel()[:n]
        words = self.drawn(n, 4, kind)
        radius = np.sqrt(np.float32(-2) * np.log(unit32(words[..., 0::2])))
        turn = words[..., 1::2].astype(np.float32)
        angle = multiply_add(turn, np.float32(2 * np.pi * 2**-32), np.float32(np.pi * 2**-32))
        both = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1)  # (calls, threads, 2, 2)
        return both.reshape(*words.shape).transpose(0, 2, 1).ravel()[:n]


def _below(unit: Float[np.ndarray, " n"], p: float, kind: Kind) -> Bool[np.ndarray, " n"]:
    kept: Bool[np.ndarray, " n"] = unit < kind.computes.type(p)
    return kept
