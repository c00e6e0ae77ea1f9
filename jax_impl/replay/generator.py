"""torch's CPU generator in NumPy: the numbers that torch draws after `torch.manual_seed`, without torch.

The stream of 32-bit integers is MT19937, which `numpy.random.RandomState` implements, too. Each method takes as many
integers from it as torch's function of the same name, so calls can be mixed in any order. Every bit equals that of
torch 2.14.1 on x86-64 with AVX2 or AVX-512, except in `normal` with 16 or more entries. torch without fused
multiply-adds (ATEN_CPU_CAPABILITY=default) rounds twice: then half of the `uniform` values differ, by up to an ulp of
their bounds.

Three things cannot be replayed: dropout and `bernoulli_` with a number p, for which torch uses MKL's generator on Intel
CPUs; tensors that are not contiguous, which torch fills in memory order; and half precision.

The sources are aten's DistributionTemplates.h, DistributionsHelper.h, TransformationHelper.h and CPUGeneratorImpl.cpp.
"""

import math
from typing import overload

import numpy as np
from jaxtyping import Float, Int64, UInt8, UInt32, UInt64
from numpy.typing import DTypeLike

Size = int | tuple[int, ...]
Reals = Float[np.ndarray, "..."]

RANDPERM_LIMIT = (2**32 - 1) // 20  # for larger n, randperm_cpu (TensorFactories.cpp) uses another algorithm
_FLOAT64_LIMIT = 1e290  # of a bound; beyond it `_two_product` overflows

# Fields of CPUGeneratorImplState, the bytes of `torch.get_rng_state()`. The key lasts for `left` - 1 more draws.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "key", "normal", "normal_is_valid"],
        "formats": ["u8", "i4", "i4", "u8", "624u8", "f8", "i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class TorchGenerator:
    """A `torch.Generator` on the CPU after `manual_seed(seed)`, with a seed from -2**63 to 2**64 - 1.

    As in torch, only the seed's low 32 bits (in two's complement) matter. Every method raises a TypeError if a seed, n
    or size is not an integer (a bool is not; a size may be a tuple of integers), and a ValueError if one is out of
    range or a dtype is not float32 or float64.
    """

    def __init__(self, seed: int) -> None:
        self._seed = _integer("seed", seed, -(2**63), 2**64 - 1) % 2**64
        self._stream = np.random.RandomState(self._seed % 2**32)
        self._next_normal: float | None = None  # the second number of a scalar Box-Muller pair

    def state(self) -> UInt8[np.ndarray, "5056"]:
        """Return the state as the bytes of `torch.get_rng_state()`. `torch.set_rng_state` accepts them.

        Before the first draw `next` is 624, and 0 in torch. Both mean that the next draw computes a new key.
        """
        stream = self._stream.get_state(legacy=False)["state"]
        fields = np.zeros(1, _STATE)
        fields["seed"], fields["seeded"] = self._seed, 1
        fields["key"], fields["next"], fields["left"] = stream["key"], stream["pos"], 625 - stream["pos"]
        if self._next_normal is not None:
            fields["normal"], fields["normal_is_valid"] = self._next_normal, 1
        return fields.view(np.uint8)

    @classmethod
    def from_state(cls, state: UInt8[np.ndarray, "5056"]) -> "TorchGenerator":
        """Return a generator with a state that `state()` or `torch.get_rng_state()` returned."""
        if state.shape != (_STATE.itemsize,) or state.dtype != np.uint8:
            raise ValueError(f"state must be uint8 ({_STATE.itemsize},), got {state.dtype} {state.shape}")
        fields = np.frombuffer(state.tobytes(), _STATE)[0]
        if not (fields["seeded"] == 1 and 1 <= fields["left"] <= 624):
            raise ValueError(f"state must be a generator's, with left in 1 to 624, got {fields['left']}")
        generator = cls(int(fields["seed"]))
        generator._stream.set_state(("MT19937", fields["key"].astype(np.uint32), 625 - int(fields["left"]), 0, 0.0))
        generator._next_normal = float(fields["normal"]) if fields["normal_is_valid"] else None
        return generator

    def random_raw(self, n: int) -> UInt32[np.ndarray, " n"]:
        """Draw n 32-bit integers, as `CPUGeneratorImpl::random`."""
        return self._stream.randint(0, 2**32, _integer("n", n, 0), dtype=np.uint32)

    @overload
    def random_int64(self, n: None = None) -> int: ...
    @overload
    def random_int64(self, n: int) -> Int64[np.ndarray, " n"]: ...
    def random_int64(self, n: int | None = None) -> int | Int64[np.ndarray, " n"]:
        """Draw n integers from 0 to 2**63 - 1, as `Tensor.random_()` on int64; without n, return one as an int."""
        values = (self._random64(1 if n is None else n) & np.uint64(2**63 - 1)).astype(np.int64)
        return int(values[0]) if n is None else values

    def randperm(self, n: int) -> Int64[np.ndarray, " n"]:
        """Draw a permutation of 0 to n - 1, as `torch.randperm(n)`; n must be below `RANDPERM_LIMIT`."""
        target = np.arange(_integer("n", n, 0, RANDPERM_LIMIT - 1))
        target[:-1] += self.random_raw(max(n - 1, 0)) % np.arange(n, 1, -1)
        return _swapped(target)

    def uniform(self, size: Size, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float32) -> Reals:
        """Draw from U[low, high), as `Tensor.uniform_(low, high)` on a tensor of this size and dtype.

        float64 is exact if low, high and their difference are 0 or 1e-290 to 1e290 in size. More is a ValueError.
        """
        shape, kind = _shape(size), _floating(dtype)
        limit = _FLOAT64_LIMIT if kind == np.float64 else float(np.finfo(np.float32).max)
        if not (low <= high and max(-low, high, high - low) <= limit):
            raise ValueError(f"low <= high must be within {limit:.4g} of 0 and each other, got {low} and {high}")
        first, last = kind.type(low), kind.type(high)
        values = _multiply_add(self._unit(math.prod(shape), kind), float(last - first), float(first))
        values[values == last] = first  # torch's way to exclude an upper bound that rounding reached
        return values.reshape(shape)

    def normal(self, size: Size, mean: float = 0.0, std: float = 1.0, dtype: DTypeLike = np.float32) -> Reals:
        """Draw from N(mean, std²), as `Tensor.normal_(mean, std)` on a tensor of this size and dtype.

        Fewer than 16 numbers are drawn one by one in double precision (`at::normal_distribution`): Box-Muller yields
        pairs, and the generator keeps the second number for the next such call. 16 or more numbers are drawn in blocks
        of 8 Box-Muller pairs; if the last block is incomplete, the last 16 numbers are drawn again (`normal_fill`).
        NumPy's log, sin and cos round differently from those of torch's blocks: for mean 0, a million draws differ by
        up to 6e-7 std in float32 and 6e-16 std in float64.
        """
        shape, kind = _shape(size), _floating(dtype)
        if not (abs(mean) <= _FLOAT64_LIMIT and 0 <= std <= _FLOAT64_LIMIT):
            raise ValueError(f"mean and std must be within {_FLOAT64_LIMIT} of 0 and std >= 0, got {mean} and {std}")
        n = math.prod(shape)
        if n < 16:
            values = np.array([self._one_normal() for _ in range(n)], np.float64)
            return _multiply_add(values, std, mean).astype(kind).reshape(shape)
        values, in_blocks = self._unit(n, kind), n - n % 16
        values[:in_blocks] = _box_muller(values[:in_blocks])
        if n != in_blocks:
            values[-16:] = _box_muller(self._unit(16, kind))
        return _multiply_add(values, std, mean).reshape(shape)

    def bernoulli(self, p: float | Reals, size: Size | None = None) -> Reals:
        """Draw 1 with probability p, else 0, as `torch.bernoulli(p)` and `Tensor.bernoulli_(p)` with a tensor p.

        p, from 0 to 1, broadcasts to `size`, by default to its own shape. It is float32 or float64, and a Python number
        counts as float32; the result has the same dtype.
        """
        probabilities = np.asarray(p, getattr(p, "dtype", np.float32))
        if not np.all((probabilities >= 0) & (probabilities <= 1)):
            raise ValueError(f"p must be 0 to 1, got {probabilities.min()} to {probabilities.max()}")
        kind, shape = _floating(probabilities.dtype, "p's dtype"), probabilities.shape if size is None else _shape(size)
        try:
            probabilities = np.broadcast_to(probabilities, shape)
        except ValueError as error:
            raise ValueError(f"p must broadcast to size {shape}, got shape {probabilities.shape}") from error
        return (self._unit(probabilities.size, kind) < probabilities.ravel()).astype(kind).reshape(shape)

    def _random64(self, n: int) -> UInt64[np.ndarray, " n"]:
        """Draw n 64-bit integers, the high half of each first (`CPUGeneratorImpl::random64`)."""
        halves = self.random_raw(2 * _integer("n", n, 0)).astype(np.uint64)
        return halves[0::2] << np.uint64(32) | halves[1::2]

    def _unit(self, n: int, kind: np.dtype) -> Float[np.ndarray, " n"]:
        """Draw n numbers from [0, 1), from as many low bits as the dtype's significand has (`uniform_real`)."""
        if kind == np.float32:
            return (self.random_raw(n) & np.uint32(2**24 - 1)).astype(kind) * np.float32(2**-24)
        return (self._random64(n) & np.uint64(2**53 - 1)).astype(kind) * 2**-53

    def _one_normal(self) -> float:
        """Return the number kept from the last pair. If there is none, draw a pair and keep its second number."""
        if self._next_normal is not None:
            normal, self._next_normal = self._next_normal, None
            return normal
        turn, tail = self._unit(2, np.dtype(np.float64)).tolist()
        radius, angle = math.sqrt(-2 * math.log1p(-tail)), 2 * math.pi * turn
        self._next_normal = radius * math.sin(angle)
        return radius * math.cos(angle)


def _swapped(target: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return 0 to n - 1 after swapping the entries i and target[i] >= i, for i = 0, 1, …, without a loop over i.

    Step i moves the number at target[i] to position i, where it stays, and the number at position i to target[i]. So a
    step finds at its target what the last earlier step with this target found at its own position, and so on back to a
    number that was never moved. 5 ms for n = 60,000; the loop takes 12 ms (one core of an AMD EPYC, median of 40).
    """
    step = np.arange(len(target))
    forward = target > step
    origin = step.copy()  # step i finds at position i the number that step origin[i] found at position origin[i]
    origin[target[forward]] = step[forward]  # if several steps have the same target, NumPy keeps the last one
    while not np.array_equal(earlier := origin[origin], origin):  # each round goes back twice as far
        origin = earlier
    by_target = np.sort(target << 32 | step)  # faster than a stable argsort; n < 2**32
    position, source = by_target >> 32, by_target & 0xFFFFFFFF
    unmoved = np.diff(position, prepend=-1) > 0  # the first step with this target finds the position's own number
    result = np.empty_like(target)
    result[source] = np.where(unmoved, position, origin[np.roll(source, 1)])
    return result


def _box_muller(unit: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Turn each 16 uniform numbers, 8 for radii and then 8 for angles, into 16 normal numbers (`NormalFill16`)."""
    tail, turn = np.moveaxis(unit.reshape(-1, 2, 8), 1, 0)  # each (blocks, 8)
    radius, angle = np.sqrt(-2 * np.log(1 - tail)), unit.dtype.type(2 * math.pi) * turn
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()


def _multiply_add(x: Float[np.ndarray, " n"], factor: float, offset: float) -> Float[np.ndarray, " n"]:
    """Return x * factor + offset in x's dtype, rounded once like a fused multiply-add (Boldo & Melquiond 2008)."""
    factor, offset = float(x.dtype.type(factor)), float(x.dtype.type(offset))
    if x.dtype == np.float32:
        return _sum_to_odd(x.astype(np.float64) * factor, offset).astype(np.float32)  # float64 holds the exact product
    high, low = _two_product(x, factor)
    upper, lower = _two_sum(low, offset)
    total, rest = _two_sum(high, upper)
    return np.asarray(total + _sum_to_odd(rest, lower))


def _sum_to_odd(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"]:
    """Return a + b rounded to odd: if inexact, to the neighbour whose last bit is 1. It may then be rounded again."""
    total, lost = _two_sum(a, b)
    even = (lost != 0) & (total.view(np.int64) & 1 == 0)
    return np.where(even, np.nextafter(total, np.copysign(np.inf, lost)), total)


def _two_sum(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"] | float) -> tuple[np.ndarray, np.ndarray]:
    """Return a + b rounded, and the exact rounding error (Knuth, TAOCP 2, 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: Float[np.ndarray, " n"], b: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a * b rounded, and the exact rounding error (Dekker 1971)."""
    a_high, b_high = (c * (2**27 + 1) - (c * (2**27 + 1) - c) for c in (a, b))
    a_low, b_low, product = a - a_high, b - b_high, a * b
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _integer(name: str, value: object, lowest: int, highest: int = 2**63 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be {lowest} to {highest}, got {value}")
    return int(value)


def _shape(size: object) -> tuple[int, ...]:
    return tuple(_integer("size", length, 0) for length in (size if isinstance(size, tuple) else (size,)))


def _floating(dtype: DTypeLike, name: str = "dtype") -> np.dtype:
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"{name} must be float32 or float64, got {kind}")
    return kind
