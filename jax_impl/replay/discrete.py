"""What torch's generators draw that is counted: integers, permutations, Bernoulli numbers and dropout."""

from abc import ABC, abstractmethod
from typing import Any, overload

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped, UInt32, UInt64
from numpy.typing import DTypeLike

from jax_impl.replay import mkl, permutations
from jax_impl.replay.arguments import (
    KINDS,
    Kind,
    Reals,
    Size,
    any_dtype,
    arranged,
    array_of,
    as_dtype,
    between,
    count_of,
    floating,
    integer,
    memory_of,
    probability,
    shape_of,
)
from jax_impl.replay.mersenne import Mersenne

Memory = tuple[int, ...] | None
PART = 2**22  # entries of a long permutation that are drawn at once
WIDE = 2**28  # from this range on, `random_` draws 64 bits (DistributionsHelper.h)


class Draws(ABC):
    """What a CPU and a CUDA device draw in the same way, from words of their own."""

    @abstractmethod
    def words(self, n: int) -> UInt32[np.ndarray, " n"]:
        """Draw n words, in the order of the elements."""

    @abstractmethod
    def words64(self, n: int) -> UInt64[np.ndarray, " n"]:
        """Draw n integers of 64 bits, the high half of each first."""

    @abstractmethod
    def kept(self, p: float, n: int, kind: Kind) -> Bool[np.ndarray, " n"]:
        """Draw n truth values for a dtype, each true with probability p: `bernoulli_` with a number."""

    @abstractmethod
    def kept_each(self, p: Float[np.ndarray, " n"], kind: Kind) -> Bool[np.ndarray, " n"]:
        """Draw a truth value for each probability: `bernoulli` with a tensor of this dtype."""

    @abstractmethod
    def dropout_mask(
        self, size: Size, p: float = 0.5, dtype: DTypeLike = np.float32, *, memory: Memory = None
    ) -> Reals:
        """Return what dropout multiplies a tensor with: 0 with probability p, else 1 / (1 - p)."""

    def random(self, size: Size, dtype: DTypeLike = np.int64) -> Shaped[np.ndarray, "..."]:
        """Draw as `Tensor.random_()`: integers from 0 to the dtype's largest one, or to 2**digits for a float dtype."""
        shape, name = shape_of(size), any_dtype(dtype)
        draw = self.words64 if name in ("int64", "float64") else self.words
        limit = 2 if name == "bool" else 2 ** KINDS[name].digits + 1 if name in KINDS else np.iinfo(name).max + 1
        return as_dtype(draw(count_of(shape)) % limit, name).reshape(shape)

    def randint(self, low: int, high: int, size: Size, dtype: DTypeLike = np.int64) -> Shaped[np.ndarray, "..."]:
        """Draw integers from `low` to `high` - 1, as `torch.randint(low, high, size)` and `Tensor.random_(low, high)`.

        The dtype is bool, an integer or a float one, and must hold `low` and `high` - 1 exactly. From a range of 2**28
        on each number takes 64 bits of the stream, and 32 below.
        """
        shape, name = shape_of(size), any_dtype(dtype)
        low, high = between(low, high, name)
        if high - low >= WIDE:
            words = self.words64(count_of(shape)) % np.uint64(high - low)
            values = (words + np.uint64(low % 2**64)).astype(np.int64)
        else:
            values = (self.words(count_of(shape)) % np.uint32(high - low)).astype(np.int64) + low
        return as_dtype(values, name).reshape(shape)

    def bernoulli(
        self, p: float | np.number[Any] | Reals, size: Size | None = None, dtype: DTypeLike | None = None
    ) -> Reals:
        """Draw 1 with probability p, else 0.

        An array p is torch's tensor: `torch.bernoulli(p)`, or `Tensor.bernoulli_(p)` with another size, to which p
        broadcasts. The result has the dtype of p, or `dtype`. A number p is torch's number, as in
        `Tensor.bernoulli_(0.9)`: another draw. `torch.bernoulli(torch.full(…))` has a tensor.
        """
        if isinstance(p, int | float | np.generic):
            shape, kind = shape_of(() if size is None else size), floating(dtype or np.float32)
            return kind.rounded(self.kept(probability(p), count_of(shape), kind).astype(np.float64)).reshape(shape)
        p = array_of("p", p)
        if not np.all((p >= 0) & (p <= 1)):
            raise ValueError(f"p must be 0 to 1, got {p.min()} to {p.max()}")
        kind, shape = floating(p.dtype, "p's dtype"), p.shape if size is None else shape_of(size)
        try:
            p = np.broadcast_to(p, shape)
        except ValueError as error:
            raise ValueError(f"p must broadcast to size {shape}, got shape {p.shape}") from error
        values = self.kept_each(p.ravel(), kind)
        return (floating(dtype) if dtype else kind).rounded(values.astype(np.float64)).reshape(shape)

    def dropout(self, x: Reals, p: float = 0.5, *, memory: Memory = None) -> Reals:
        """Return x after `torch.nn.functional.dropout(x, p)` in training. The order of x in memory is torch's, too.

        `nn.Dropout` and the dropout of attention's weights call it, too; the latter on (n, heads, length, length), or
        (n · heads, length, length) in `nn.MultiheadAttention`. With p of 0 or 1 nothing is drawn.
        """
        x = array_of("x", x)
        shape_of(x.shape, memory)
        if not 0 < probability(p) < 1 or x.size == 0:
            return np.asarray(x * x.dtype.type(p != 1))
        kind = floating(x.dtype, "x's dtype")
        mask = self.dropout_mask(x.shape, p, x.dtype, memory=memory or memory_of(x))
        return kind.rounded(x.astype(kind.computes) * mask.astype(kind.computes))


class Discrete(Mersenne, Draws):
    """Draws of integers on a CPU."""

    @overload
    def random_int64(self, n: None = None) -> int: ...
    @overload
    def random_int64(self, n: int) -> Int64[np.ndarray, " n"]: ...
    def random_int64(self, n: int | None = None) -> int | Int64[np.ndarray, " n"]:
        """Draw n integers from 0 to 2**63 - 1, as `Tensor.random_()` on int64; without n, return one as an int."""
        values: Int64[np.ndarray, " n"] = self.random(1 if n is None else integer("n", n, 0))
        return int(values[0]) if n is None else values

    def randperm(self, n: int, first: int | None = None) -> Int64[np.ndarray, " k"]:
        """Draw a permutation of 0 to n - 1, as `torch.randperm(n)`; or only its first entries.

        The generator advances as for all entries in either case. From `permutations.LIMIT` on, each takes 64 bits.
        """
        n = integer("n", n, 0)
        k = n if first is None else integer("first", first, 0, n)
        if n >= permutations.LIMIT:
            if k == n:
                return permutations.inside_out(self._places(0, n))
            parts = (self._places(begin, min(begin + PART, n)) for begin in range(0, n, PART))
            return permutations.first_inside_out(k, parts)
        draws = min(k, max(n - 1, 0))
        target = np.arange(k)
        target[:draws] += self.words(draws) % np.arange(n, n - draws, -1)
        self.skip(max(n - 1, 0) - draws)
        return permutations.swapped(target) if k == n else permutations.first_swapped(target)

    def _places(self, begin: int, end: int) -> Int64[np.ndarray, " m"]:
        """Draw a number from 0 to i for each i from `begin` to `end` - 1."""
        limits = np.arange(begin + 1, end + 1, dtype=np.uint64)
        return (self.words64(end - begin) % limits).astype(np.int64)

    def kept(self, p: float, n: int, kind: Kind) -> Bool[np.ndarray, " n"]:
        """Draw from 64 bits for each number, whatever the dtype, or by one seed of MKL's stream for all."""
        if self.platform != "mkl":
            return np.asarray(self.doubles(n) < p)
        seed = self.words64(1) if kind.name == "float64" else self.words(1)
        return mkl.bernoulli(int(seed[0]) % 2**32, n, p)

    def kept_each(self, p: Float[np.ndarray, " n"], kind: Kind) -> Bool[np.ndarray, " n"]:
        """Draw from 64 bits for each number in float64, and from 32 in other dtypes."""
        return np.asarray(self.unit(len(p), kind) < p)

    def dropout_mask(
        self, size: Size, p: float = 0.5, dtype: DTypeLike = np.float32, *, memory: Memory = None
    ) -> Reals:
        """Return what dropout multiplies a tensor with: 0 with probability p, else 1 / (1 - p).

        `dropout1d` to `dropout3d` and `feature_dropout` draw a mask of size (n, channels, 1, …).
        """
        shape, kind = shape_of(size, memory), floating(dtype)
        keep = 1 - probability(p)
        if p in (0, 1):
            return arranged(kind.rounded(np.full(count_of(shape), keep)), shape, memory)
        kept = self.kept(keep, count_of(shape), kind).astype(kind.computes)
        order = None if self.platform == "mkl" else memory  # MKL fills a contiguous tensor, which is then copied
        return arranged(kind.rounded(kept / kind.computes.type(keep)), shape, order)
