"""torch's CPU generator in NumPy: the numbers that torch draws after `torch.manual_seed`, without torch.

Each method takes as many words from the stream as torch's function of the same name, so calls can be mixed in any
order. The bits equal those of torch 2.14.1 on x86-64 with AVX2 or AVX-512. docs/same-draws.md says for each draw how
close it is, and what other versions and processors do.

The sources are aten's DistributionTemplates.h, DistributionsHelper.h, TransformationHelper.h and Distributions.cpp.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy.typing import DTypeLike

from jax_impl.replay import normals
from jax_impl.replay.arguments import (
    LARGEST,
    Kind,
    Reals,
    Size,
    arranged,
    array_of,
    count_of,
    floating,
    in_order,
    integer,
    memory_of,
    shape_of,
    within,
)
from jax_impl.replay.discrete import Discrete, Memory
from jax_impl.replay.rounding import Numbers, multiply_add

BLOCK = 2**14  # numbers at a time, which fit into the processor's cache
_SMALLEST = 1e-290  # of a float64; below it `multiply_add` is not exact


class TorchGenerator(Discrete):
    """A `torch.Generator` on the CPU after `manual_seed(seed)`.

    A size is a whole number or a tuple of them. A dtype is float32, float64, float16 or "bfloat16", whose numbers are
    returned in float32. `memory` lists a tensor's axes from the slowest in memory to the fastest, if they are in
    another order: (1, 0) for `torch.empty(n, m).t()`, and (0, 2, 3, 1) for channels_last. torch fills it in this order.

    Every method raises a TypeError if a seed, n or size is not an integer (a bool is not), and a ValueError if one is
    out of range or a dtype is none of those.
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
        """Draw from U[low, high), as `Tensor.uniform_(low, high)`; with the default bounds, as `torch.rand(size)`.

        float64 is exact if low, high and their difference are 0 or 1e-290 to 1e290 in size. More is a ValueError.
        """
        shape, kind = shape_of(size, memory), floating(dtype)
        limit = LARGEST if kind.name == "float64" else kind.largest
        if not (low <= high and max(-low, high, high - low) <= limit):
            raise ValueError(f"low <= high must be within {limit:.4g} of 0 and each other, got {low} and {high}")
        _normal_range(kind, low=low, high=high, range=high - low)
        first, last = kind.computes.type(low), kind.computes.type(high)
        ends = kind.rounded(np.array([low, high], kind.computes))
        values = np.empty(count_of(shape), ends.dtype)
        for begin in range(0, len(values), BLOCK):
            part = values[begin : begin + BLOCK]
            part[:] = kind.rounded(self._scaled(self.unit(len(part), kind), last - first, first))
            if (reached := part == ends[1]).any():
                part[reached] = ends[0]  # torch's way to exclude an upper bound that rounding reached
        return arranged(values, shape, memory)

    def normal(
        self,
        size: Size,
        mean: float = 0.0,
        std: float = 1.0,
        dtype: DTypeLike = np.float32,
        *,
        memory: Memory = None,
        contiguous: bool | None = None,
    ) -> Reals:
        """Draw from N(mean, std²), as `Tensor.normal_(mean, std)`; with the default ones, as `torch.randn(size)`.

        Fewer than 16 numbers, and those of a tensor that is not contiguous, are drawn one by one in double precision:
        Box-Muller yields pairs, and the generator keeps the second number for the next such call. 16 or more numbers
        are drawn in blocks of 8 pairs; if the last block is incomplete, the last 16 numbers are drawn again.

        `contiguous` is `Tensor.is_contiguous()`. By default it is what `memory` says; pass False for a slice with gaps
        in memory, such as `torch.empty(n, m)[:, :k]`.
        """
        shape, kind = shape_of(size, memory), floating(dtype)
        within("mean", mean)
        within("std", std, 0.0)
        _normal_range(kind, mean=mean, std=std)
        n = count_of(shape)
        in_blocks = in_order(shape, memory) if contiguous is None else contiguous
        if n < 16 or not in_blocks:
            return arranged(kind.rounded(self._scaled(self.one_by_one(n), std, mean)), shape, memory)
        whole = n - n % 16
        values = np.empty(n, kind.computes)
        values[:whole] = self.unit(whole, kind)
        if kind.name in ("float32", "float64"):
            self.unit(n - whole, kind)  # torch fills the whole tensor first; in 16 bits only whole blocks
        fill = normals.in_blocks if self.platform != "default" else normals.in_blocks_by_c
        values[:whole] = fill(values[:whole], std, mean)
        if n != whole:
            values[-16:] = fill(self.unit(16, kind), std, mean)
        return arranged(kind.rounded(values), shape, memory)

    def exponential(
        self, size: Size, rate: float = 1.0, dtype: DTypeLike = np.float32, *, memory: Memory = None
    ) -> Reals:
        """Draw from the exponential distribution of a rate above 0, as `Tensor.exponential_(rate)`."""
        _above("rate", rate)
        return self._transformed(size, dtype, memory, lambda u: -1.0 / rate * normals.each(math.log1p, -u))

    def geometric(self, size: Size, p: float, dtype: DTypeLike = np.float32, *, memory: Memory = None) -> Reals:
        """Draw the number of trials up to the first success, of probability p in (0, 1), as `Tensor.geometric_(p)`."""
        if not 0 < p < 1:
            raise ValueError(f"p must be above 0 and below 1, got {p}")
        return self._transformed(size, dtype, memory, lambda u: np.ceil(normals.each(_log, u) / math.log1p(-p)))

    def cauchy(
        self,
        size: Size,
        median: float = 0.0,
        sigma: float = 1.0,
        dtype: DTypeLike = np.float32,
        *,
        memory: Memory = None,
    ) -> Reals:
        """Draw from the Cauchy distribution, as `Tensor.cauchy_(median, sigma)`, with sigma above 0."""
        within("median", median)
        _above("sigma", sigma)
        return self._transformed(
            size, dtype, memory, lambda u: self._scaled(normals.each(math.tan, math.pi * (u - 0.5)), sigma, median)
        )

    def log_normal(
        self, size: Size, mean: float = 1.0, std: float = 2.0, dtype: DTypeLike = np.float32, *, memory: Memory = None
    ) -> Reals:
        """Draw exp(N(mean, std²)), as `Tensor.log_normal_(mean, std)`, with std above 0.

        The numbers are drawn one by one, whatever the size.
        """
        within("mean", mean)
        _above("std", std)
        shape, kind = shape_of(size, memory), floating(dtype)
        values = self._scaled(self.one_by_one(count_of(shape)), std, mean)
        return arranged(kind.rounded(normals.each(_exp, values)), shape, memory)

    def multinomial(self, weights: Reals, samples: int, *, replacement: bool = False) -> Int64[np.ndarray, "..."]:
        """Draw categories, as `torch.multinomial(weights, samples, replacement)`, by their weights.

        `weights` has shape (categories,) or (rows, categories); the result (samples,) or (rows, samples). One sample,
        or several without replacement, are those with the largest weight over an exponential number of its own. Of
        equal scores, which are frequent in 16 bits, torch may take others, or in another order. So without replacement
        there must be a weight above 0 for each sample: all others have a score of 0.
        """
        weights = array_of("weights", weights)
        if weights.ndim not in (1, 2) or not np.all(np.isfinite(weights) & (weights >= 0)):
            raise ValueError("weights must be finite, 0 or more, and have 1 or 2 axes")
        samples, kind = integer("samples", samples, 1), floating(weights.dtype, "weights' dtype")
        memory = memory_of(weights)
        rows = weights.astype(kind.computes).reshape(-1, weights.shape[-1])
        if not np.all(rows.sum(axis=1, dtype=np.float64) > 0):
            raise ValueError("weights must have a sum above 0 in each row")
        by_sums = replacement and samples > 1
        most = np.count_nonzero(rows, axis=1).min(initial=rows.shape[1])
        if not by_sums and samples > most:
            raise ValueError(f"samples must be 1 to {most}, the categories with a weight above 0, got {samples}")
        if by_sums:
            drawn = [_by_sums(row, self.doubles(samples)) for row in rows]
            return np.array(drawn, np.int64).reshape(*weights.shape[:-1], samples)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            scores = kind.rounded(
                rows / self.exponential(weights.shape, dtype=kind.name, memory=memory).reshape(rows.shape)
            )
        order = np.lexsort((-scores, ~np.isnan(scores)), axis=1)  # 0 / 0 in 16 bits: torch's largest score is NaN
        return np.reshape(order[:, :samples].astype(np.int64), (*weights.shape[:-1], samples))

    def _transformed(self, size: Size, dtype: DTypeLike, memory: Memory, transform: normals.Transform) -> Reals:
        """Draw in float64, whatever the dtype, and round."""
        shape, kind = shape_of(size, memory), floating(dtype)
        return arranged(kind.rounded(transform(self.doubles(count_of(shape)))), shape, memory)

    def _scaled(self, x: Float[np.ndarray, " n"], factor: Numbers, offset: Numbers) -> Float[np.ndarray, " n"]:
        """Return x * factor + offset in x's dtype, rounded once, or twice without fused multiply-adds."""
        a, b = x.dtype.type(factor), x.dtype.type(offset)
        if a == 1 and b == 0:
            return x
        return x * a + b if self.platform == "default" else multiply_add(x, a, b)


def _by_sums(weights: Reals, uniform: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return where uniform numbers fall among the cumulative sums (`multinomial_with_replacement`)."""
    sums: Any = np.cumsum(weights, dtype=weights.dtype)  # one after the other
    sums = sums / sums[-1]
    sums[-1] = 1
    return np.searchsorted(sums, uniform, side="left").astype(np.int64)


def _above(name: str, value: float) -> None:
    if not _SMALLEST <= value <= LARGEST:
        raise ValueError(f"{name} must be {_SMALLEST:g} to {LARGEST:g}, got {value}")


def _normal_range(kind: Kind, **values: float) -> None:
    """Refuse numbers that are so small that products with them lose bits in float64."""
    for name, value in values.items():
        if kind.name == "float64" and 0 < abs(value) < _SMALLEST:
            raise ValueError(f"{name} must be 0 or at least {_SMALLEST:g} in size in float64, got {value}")


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf
