"""The result of a comparison, and the checks of arguments that all comparisons share. Use `jax_impl.compare`."""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = float | int  # type checkers accept an int as float; the run-time check in the tests does not
Result = TypeVar("Result", bound="Comparison")  # the run-time check in the tests does not accept typing.Self


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A measured difference, its tolerance, and the verdict.

    `dataclasses.asdict` returns plain JSON types. A failed comparison may contain an infinity, which Python's json
    writes as `Infinity`. A Comparison has no truth value, so that `assert comparison` cannot pass by mistake.

    Attributes:
        name: Of the comparison: the function's name, or the one that the caller chose.
        measured: 0 or more, the smaller the better; inf if nothing can be measured (NaN, different shapes, …).
        tolerance: The largest `measured` that passes.
        passed: Whether the comparison passed.
        where: Where the difference is largest: an element of a leaf (`linear1.weight[3, 5]`), a step, a moment.
        detail: The numbers found there. If several leaves fail, also the first of them, and where the next ones fail.
        failing: The names of all leaves that fail, in the order in which they were compared.
    """

    name: str
    measured: float
    tolerance: float
    passed: bool
    where: str
    detail: str = ""
    failing: tuple[str, ...] = ()

    @property
    def headroom(self) -> float:
        """`tolerance` / `measured`: 1 or more if the comparison passed, inf if there is no difference."""
        return self.tolerance / self.measured if self.measured else math.inf

    def require(self: Result) -> Result:
        """Return this comparison if it passed.

        Raises:
            AssertionError: It failed. The message says where, what was measured and what was allowed.
        """
        if not self.passed:
            raise AssertionError(str(self))
        return self

    def __str__(self) -> str:
        verdict = "PASS" if self.passed else "FAIL"
        numbers = f"measured {self.measured:.6g}, tolerance {self.tolerance:.6g}"
        return f"{verdict} {self.name}: {self.where}: {numbers} ({self.detail})"

    def __bool__(self) -> bool:
        raise TypeError("a Comparison has no truth value: read .passed, or call .require()")


def compared(kind: type[Result], name: str, measured: float, tolerance: Real, **fields: Any) -> Result:
    """Return a comparison of this kind that passes if `measured` is at most `tolerance`."""
    passed, tolerance = bool(measured <= tolerance), float(tolerance)
    return kind(name=name, measured=measured, tolerance=tolerance, passed=passed, **fields)


def real_array(label: str, values: Any) -> NDArray[Any]:
    """Return `values` as an array in native byte order.

    Raises:
        TypeError: float64 cannot hold the values: they are complex, objects, text or wider floats.
    """
    try:
        array = np.asarray(values)
    except Exception as error:  # torch and JAX explain what is wrong, but not with which leaf
        error.add_note(f"This was {label}.")
        raise
    if not np.can_cast(array.dtype, np.float64):
        raise TypeError(f"{label} must be real numbers that float64 can hold, got dtype {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def sample_array(label: str, values: Any) -> NDArray[np.float64]:
    """Return `values` as a one-dimensional float64 array. Fewer than 2 are a ValueError, others as in `real_array`."""
    array = real_array(label, values).astype(np.float64).ravel()
    if array.size < 2:
        raise ValueError(f"{label} must hold at least 2 numbers, got {array.size}")
    return array


def check_tolerance(label: str, value: Real) -> None:
    """Raise a ValueError unless the tolerance is finite and at least 0: inf would pass everything, NaN nothing."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{label} must be finite and at least 0, got {value}")


def check_inside(label: str, value: Real, upper: Real) -> None:
    """Raise a ValueError unless 0 < `value` < `upper`."""
    if not 0 < value < upper:
        raise ValueError(f"{label} must be above 0 and below {upper}, got {value}")
