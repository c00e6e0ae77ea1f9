"""The arguments that draws have in common: whole numbers, sizes and dtypes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike

from jax_impl.replay.rounding import to_bfloat16

Size = int | tuple[int, ...]
Reals = Float[np.ndarray, "..."]

BFLOAT16 = "bfloat16"
LARGEST = 1e290  # of a number in float64; beyond it `multiply_add` is not exact


@dataclass(frozen=True)
class Kind:
    """A floating-point dtype of torch.

    Attributes:
        name: "float16", "bfloat16", "float32" or "float64".
        computes: What torch computes in before it rounds (`at::opmath_type`).
        digits: Bits of the significand (`std::numeric_limits::digits`).
    """

    name: str
    computes: np.dtype
    digits: int

    @property
    def largest(self) -> float:
        """The largest number."""
        return float.fromhex("0x1.fep127") if self.name == BFLOAT16 else float(np.finfo(self.name).max)

    @property
    def bytes(self) -> int:
        """The size of a number."""
        return 2 if self.name == BFLOAT16 else np.dtype(self.name).itemsize

    def rounded(self, x: Float[np.ndarray, "..."]) -> Reals:
        """Round to this dtype, to 16 bits by way of float32, as torch does.

        NumPy has no bfloat16: its numbers are returned in float32, which holds each of them.
        """
        with np.errstate(over="ignore"):  # an infinity is torch's, too
            x = x.astype(self.computes, copy=False)
            return to_bfloat16(x) if self.name == BFLOAT16 else x.astype(self.name, copy=False)


KINDS = {
    "float16": Kind("float16", np.dtype(np.float32), 11),
    BFLOAT16: Kind(BFLOAT16, np.dtype(np.float32), 8),
    "float32": Kind("float32", np.dtype(np.float32), 24),
    "float64": Kind("float64", np.dtype(np.float64), 53),
}


def floating(dtype: DTypeLike, name: str = "dtype") -> Kind:
    """Return a floating-point dtype by its name or as NumPy has it; raise a ValueError for any other."""
    known = _name_of(dtype)
    if known not in KINDS:
        raise ValueError(f"{name} must be float16, bfloat16, float32 or float64, got {known}")
    return KINDS[known]


def _name_of(dtype: DTypeLike) -> str:
    """Return a dtype's name. None is no dtype: NumPy would take it for float64, and torch for float32 or int64."""
    return str(dtype) if dtype is None or str(dtype) == BFLOAT16 else np.dtype(dtype).name


def any_dtype(dtype: DTypeLike) -> str:
    """Return the name of a dtype that torch's `random_` fills; raise a ValueError for any other."""
    name = _name_of(dtype)
    if name not in (*KINDS, "bool", "uint8", "int8", "int16", "int32", "int64"):
        raise ValueError(f"dtype must be bool, uint8, int8 to int64 or a floating-point one, got {name}")
    return name


def between(low: object, high: object, name: str) -> tuple[int, int]:
    """Return the bounds of integers from `low` to `high` - 1; raise a ValueError if the dtype does not hold them."""
    digits = KINDS[name].digits if name in KINDS else 0
    least, most = (-(2**digits), 2**digits) if digits else (0, 1) if name == "bool" else _limits(name)
    first, last = integer("low", low, least, most), integer("high", high, least, min(most + 1, 2**63 - 1))
    if first >= last:
        raise ValueError(f"low must be below high, got {low} and {high}")
    return first, last


def _limits(name: str) -> tuple[int, int]:
    return int(np.iinfo(name).min), int(np.iinfo(name).max)


def as_dtype(values: np.ndarray, name: str) -> np.ndarray:
    """Return integers in a dtype."""
    return KINDS[name].rounded(values.astype(np.float64)) if name in KINDS else values.astype(name)


def integer(name: str, value: object, lowest: int, highest: int = 2**63 - 1) -> int:
    """Return a whole number in a range; raise a TypeError for anything else, a bool too, and a ValueError outside."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if not lowest <= value <= highest:
        allowed = lowest if lowest == highest else f"{lowest} to {highest}"
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return int(value)


def shape_of(size: object, memory: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Return a size as a shape, and check that `memory` lists its axes: torch's `empty(3)` and `empty(3, 4)`."""
    shape = tuple(integer("size", length, 0) for length in (size if isinstance(size, tuple) else (size,)))
    if memory is not None and sorted(memory) != list(range(len(shape))):
        raise ValueError(f"memory must list the axes 0 to {len(shape) - 1} once each, got {memory}")
    return shape


def probability(p: Any, name: str = "p") -> float:
    """Return a number from 0 to 1; raise a ValueError outside."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name} must be 0 to 1, got {p}")
    return float(p)


def within(name: str, value: float, lowest: float = -LARGEST) -> None:
    """Raise a ValueError unless a number is from `lowest` to `LARGEST`."""
    if not lowest <= value <= LARGEST:
        raise ValueError(f"{name} must be {lowest:g} to {LARGEST:g}, got {value}")


def array_of(name: str, value: object) -> np.ndarray:
    """Return an array, which stands for torch's tensor; raise a TypeError for a list, whose dtype is torch's choice."""
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        raise TypeError(f"{name} must be an array, as torch's tensor is, got {value!r}")
    return np.asarray(value)


def memory_of(x: np.ndarray) -> tuple[int, ...] | None:
    """Return the order of an array's axes in memory, from the slowest to the fastest; None if it is their own order.

    A tensor that is made like it (`torch.empty_like`) has the same order. An expanded axis, of stride 0, has no place
    of its own: torch's insertion sort leaves it where it meets it (`infer_dense_strides` of ATen).
    """
    strides = [0 if length == 1 else abs(stride) for stride, length in zip(x.strides, x.shape, strict=True)]
    rising = list(range(x.ndim))[::-1]  # the axes from the fastest in memory to the slowest
    for start in range(1, x.ndim):
        place = start
        for before in range(start - 1, -1, -1):
            inner, outer = rising[before], rising[place]
            if 0 in (strides[inner], strides[outer]):
                continue
            if strides[inner] < strides[outer]:
                break
            if strides[inner] > strides[outer] or x.shape[inner] > x.shape[outer]:
                rising[before], rising[place], place = outer, inner, before
    order = tuple(rising[::-1])
    return None if in_order(x.shape, order) else order


def in_order(shape: tuple[int, ...], memory: tuple[int, ...] | None) -> bool:
    """Return whether a dense tensor with its axes in this order is contiguous: axes of size 1 do not matter."""
    axes = [axis for axis in memory or () if shape[axis] != 1]
    return axes == sorted(axes) or 0 in shape


def arranged(values: np.ndarray, shape: tuple[int, ...], memory: tuple[int, ...] | None) -> np.ndarray:
    """Return values that were drawn in the order of memory as a tensor of a shape.

    `memory` lists the tensor's axes from the slowest in memory to the fastest: (1, 0) for `torch.empty(n, m).t()`.
    """
    if memory is None:
        return values.reshape(shape)
    return values.reshape([shape[axis] for axis in memory]).transpose(np.argsort(memory).tolist())


def count_of(shape: tuple[int, ...]) -> int:
    """Return the number of elements."""
    return math.prod(shape)
