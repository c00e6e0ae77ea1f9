"""The result of every comparison, and what all of them check first. Use it through `jax_impl.compare`."""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = float | int  # to a type checker a float may be an int; to the run-time check in the tests it may not
Result = TypeVar("Result", bound="Comparison")  # typing.Self is refused by that run-time check


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was measured, what was allowed, and the verdict.

    `dataclasses.asdict` gives plain JSON types; a failed comparison may hold an infinity, which Python's json
    writes as `Infinity`. A Comparison has no truth value: `assert comparison` would say nothing about it.

    Attributes:
        name: What was compared; the function's name unless the caller gave another.
        measured: 0 or more, the smaller the better; inf where nothing can be measured (NaN, another shape, …).
        tolerance: The largest `measured` that passes.
        passed: The verdict.
        where: The worst place: a leaf and its worst element (`linear1.weight[3, 5]`), a step, a moment.
        detail: The numbers found there and, when several leaves fail, the first of them.
    """

    name: str
    measured: float
    tolerance: float
    passed: bool
    where: str
    detail: str = ""

    @property
    def headroom(self) -> float:
        """How many times `measured` fits into `tolerance`: 1 or more when passed, inf when nothing was off."""
        return self.tolerance / self.measured if self.measured else math.inf

    def require(self: Result) -> Result:
        """Return the comparison itself if it passed.

        Raises:
            AssertionError: It failed; `str` of the comparison says where, by how much, and what was allowed.
        """
        if not self.passed:
            raise AssertionError(str(self))
        return self

    def __str__(self) -> str:
        numbers = f"measured {self.measured:.6g}, tolerance {self.tolerance:.6g}"
        return f"{self.name}: {self.where}: {numbers} ({self.detail})"

    def __bool__(self) -> bool:
        raise TypeError("a Comparison has no truth value: read .passed, or call .require()")


def real_array(label: str, values: Any) -> NDArray[Any]:
    """Return `values` as an array in native byte order whose dtype float64 can hold (bfloat16 too).

    Raises:
        TypeError: The values are complex, objects, text or wider than float64.
    """
    try:
        array = np.asarray(values)
    except Exception as error:  # torch's and JAX's own say what to do, but not to which leaf
        error.add_note(f"This was {label}.")
        raise
    if not np.can_cast(array.dtype, np.float64):
        raise TypeError(f"{label} must be real numbers that float64 can hold, got dtype {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_tolerance(label: str, value: Real) -> None:
    """Refuse what would pass everything (inf) or nothing (NaN, a negative number) with a ValueError."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{label} must be finite and at least 0, got {value}")


def check_inside(label: str, value: Real, upper: Real) -> None:
    """Refuse what is not strictly between 0 and `upper` with a ValueError."""
    if not 0 < value < upper:
        raise ValueError(f"{label} must be above 0 and below {upper}, got {value}")


def sample_array(label: str, values: Any) -> NDArray[np.float64]:
    """Return `values` as one row in float64, refusing fewer than 2 with a ValueError."""
    array = real_array(label, values).astype(np.float64).ravel()
    if array.size < 2:
        raise ValueError(f"{label} must hold at least 2 numbers, got {array.size}")
    return array
