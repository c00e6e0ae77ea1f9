"""How far two arrays may differ, and how far they do.

The tolerance is derived from the reference, which also ran twice with all numbers moved by one unit roundoff: what this
changes is its noise, and two correct programs differ by about as much. The factors allow for other orders of summation.
"""

import math
from dataclasses import dataclass

import numpy as np

from jax_impl.parity.measures.likeness import likeness

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}  # unit roundoffs
FACTOR = 64.0  # times the reference's noise, in float64: a mistake is far larger than that
LOW_FACTOR = 16.0  # the same in float32 and below, where 64 times the noise would hide mistakes
FLOOR = 4.0  # roundings of each element that are always allowed: the two moved runs may happen to show less
ROUNDING_ONLY = 0.1  # noise of this share of the value means that the value consists of rounding
LOOSE = "the port computes in float32 inside"
LARGEST = 0.5  # relative difference that is never allowed, unless the value consists of rounding


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A difference and its tolerance, as in `verdict.Check`."""

    measured: float
    allowed: float
    unit: str = "relative"
    reason: str = ""
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.measured <= self.allowed


@dataclass(frozen=True)
class Tolerance:
    """The rule for the tolerances of one pair of records."""

    dtype: str  # in which the reference was recorded

    @property
    def unit(self) -> float:
        """The unit roundoff of this dtype."""
        return self._unit(self.dtype)[1]

    def allowed(
        self, norm: float, noise: float | None, *, dtype: str = "", loose: bool = False, slack: float = 0.0
    ) -> tuple[float, str]:
        """Return how far an array may differ in the L2 norm, and the reason.

        Args:
            norm: The norm of the reference's array.
            noise: The norm of its rounding error; None if it is not known.
            dtype: Of the reference's array.
            loose: Whether the port computed in float32 on the way.
            slack: A difference that is allowed in any case.
        """
        base, unit, factor = self._unit(dtype)
        known = noise is not None and math.isfinite(noise)
        noise = noise if noise is not None and known else 0.0
        loose = loose and unit < UNIT["float32"]
        if loose:
            noise, unit, factor = noise * UNIT["float32"] / unit, UNIT["float32"], LOW_FACTOR
            base = "float32"
        rounding = FLOOR * unit * norm
        allowed = factor * max(noise, rounding) + slack
        if noise >= rounding:
            reason = f"{factor:g} × the reference's own rounding error"
        else:
            reason = f"{factor * FLOOR:g} roundings of {base}" + ("" if known else "; its own noise is not known")
        if loose:
            reason += f"; {LOOSE}: the difference is the size of float32 rounding"
        if noise < ROUNDING_ONLY * norm and allowed > LARGEST * norm:
            return LARGEST * norm, f"at most {LARGEST:g} of the value, although {reason}"
        return allowed, reason

    def _unit(self, dtype: str) -> tuple[str, float, float]:
        """Return the coarser dtype of the record's and the array's, its unit roundoff and its factor."""
        coarser = max((self.dtype, dtype), key=lambda name: UNIT.get(name, 0.0))
        return coarser, UNIT.get(coarser, UNIT["float64"]), FACTOR if coarser == "float64" else LOW_FACTOR

    def number(
        self, ours: float | None, theirs: float | None, noise: float | None, *, loose: bool = False, slack: float = 0.0
    ) -> Measured:
        """Compare two numbers, such as losses. `loose` and `slack` are those of `allowed`."""
        if ours is None or theirs is None:
            missing = "ours" if ours is None else "theirs"
            return Measured(measured=math.inf, allowed=0.0, detail=f"{missing} has none")
        detail = f"ours {digits(ours, theirs)}, theirs {digits(theirs, ours)}"
        if not (math.isfinite(ours) and math.isfinite(theirs)):
            return Measured(measured=math.inf, allowed=0.0, detail=detail)
        allowed, reason = self.allowed(abs(theirs), noise, loose=loose, slack=slack)
        scale = abs(theirs) or 1.0
        if hint := likeness(np.array([ours]), np.array([theirs])):
            detail += f": {hint}"
        return Measured(
            measured=abs(ours - theirs) / scale,
            allowed=allowed / scale,
            unit="relative" if theirs else "absolute",
            reason=reason,
            detail=detail,
        )


def digits(value: float, other: float) -> str:
    """Return a number with as many digits as are needed to see that it is not the other one."""
    for count in (4, 7, 10, 17):
        if f"{value:.{count}g}" != f"{other:.{count}g}":
            return f"{value:.{count}g}"
    return f"{value:.4g}"
