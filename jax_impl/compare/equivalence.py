"""Equivalence of two means by two one-sided tests, and its power. Use it through `jax_impl.compare`."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from jax_impl.compare.results import Comparison, Real, check_inside, sample_array


@dataclass(frozen=True, kw_only=True)
class Equivalence(Comparison):
    """A test whose null hypothesis is "different by the margin or more", so that passing is evidence.

    Attributes:
        measured: The end of the interval that is further from 0, without its sign.
        tolerance: The margin.
        difference: mean(a) - mean(b).
        interval: The (1 - 2 alpha) confidence interval of the difference.
    """

    difference: float
    interval: tuple[float, float]

    @property
    def margin(self) -> float:
        """The largest difference that counts as none: the tolerance under its usual name."""
        return self.tolerance


def tost(a: Any, b: Any, *, margin: Real, alpha: float = 0.05, name: str = "tost") -> Equivalence:
    """Show that two means differ by less than `margin`: two one-sided tests (Schuirmann 1987).

    Both reject at level alpha exactly when the (1 - 2 alpha) confidence interval of the difference lies inside
    ±margin, 90 % for alpha 0.05. The interval is Welch's (1947), so the variances need not be equal. Few or
    scattered runs widen it and fail: absence of evidence does not pass. Two constant samples give a point.

    Args:
        a: One number a run (a final accuracy, say), any shape, at least 2 runs.
        b: The same for the other implementation; not paired with a.
        margin: The largest difference that counts as none, in the unit of a and b, above 0.
        alpha: The chance of passing when the true difference is the margin, in (0, 0.5).
        name: Of the comparison.

    Raises:
        TypeError: A sample is not real.
        ValueError: Fewer than 2 runs in a sample, or margin or alpha out of range.
    """
    first, second = sample_array("a", a), sample_array("b", b)
    check_inside("margin", margin, math.inf)
    check_inside("alpha", alpha, 0.5)
    with np.errstate(over="ignore", invalid="ignore"):
        difference = float(first.mean() - second.mean())
        half = _welch_half_width(first, second, alpha)
    low, high = difference - half, difference + half
    detail = f"{difference:+.4g}, {1 - 2 * alpha:.4g} interval [{low:.4g}, {high:.4g}]"
    if not math.isfinite(high - low):
        difference, low, high = math.inf, -math.inf, math.inf
        detail = "a sample holds NaN or an infinity"
    measured = max(abs(low), abs(high))
    return Equivalence(
        name=name,
        measured=measured,
        tolerance=float(margin),
        passed=bool(measured <= margin),
        where="difference of means",
        detail=f"{detail}, n = {first.size} and {second.size}",
        difference=difference,
        interval=(low, high),
    )


def tost_power(std: Real, n: int, margin: Real, difference: Real = 0.0, alpha: float = 0.05) -> float:
    """Probability that `tost` passes with n runs an arm.

    With se = std * sqrt(2 / n), df = 2n - 2, t the 1 - alpha quantile of Student's t, and q = s / std the ratio
    of the pooled standard deviation to the true one (q² is chi-squared over df), the test passes with chance
    max(0, Phi((margin - difference) / se - t q) - Phi(-(margin + difference) / se + t q)) for a given q. The
    power is its mean over q (Phillips 1990), here over 2,000 quantiles of q. The usual difference of two
    noncentral t probabilities is the same without the maximum, and too low where the power is small.

    Args:
        std: Of one run, the same in both arms, above 0.
        n: Runs in each arm, at least 2.
        margin: As for `tost`.
        difference: The true difference of the means.
        alpha: As for `tost`.

    Returns:
        A probability in [0, 1].

    Raises:
        ValueError: An argument is out of range.
    """
    check_inside("std", std, math.inf)
    check_inside("margin", margin, math.inf)
    check_inside("alpha", alpha, 0.5)
    if n < 2:
        raise ValueError(f"n must be at least 2 runs an arm, got {n}")
    se, df = std * math.sqrt(2 / n), 2 * n - 2
    q = np.sqrt(special.chdtri(df, (np.arange(2000) + 0.5) / 2000) / df)
    half = special.stdtrit(df, 1 - alpha) * q
    inside = special.ndtr((margin - difference) / se - half) - special.ndtr(-(margin + difference) / se + half)
    return float(np.maximum(inside, 0).mean())


def runs_needed(std: Real, margin: Real, power: float = 0.9, difference: Real = 0.0, alpha: float = 0.05) -> int:
    """Return the fewest runs an arm with which `tost_power` reaches `power`.

    Roughly 2 * (std / margin)² * (z(1 - alpha) + z((1 + power) / 2))² when there is no true difference.

    Args:
        std: As for `tost_power`.
        margin: As for `tost_power`.
        power: In (0, 1).
        difference: As for `tost_power`; closer to 0 than the margin, or no number of runs is enough.
        alpha: As for `tost_power`.

    Raises:
        ValueError: An argument is out of range.
    """
    check_inside("power", power, 1)
    if not abs(difference) < margin:
        raise ValueError(f"difference must be inside ±margin = {margin}, got {difference}: no n can be enough")

    def reached(n: int) -> float:
        return tost_power(std, n, margin, difference, alpha)

    enough = 2
    while reached(enough) < power:
        enough *= 2
    candidates = range(2, enough + 1)
    return candidates[bisect_left(candidates, power, hi=len(candidates) - 1, key=reached)]


def _welch_half_width(a: NDArray[np.float64], b: NDArray[np.float64], alpha: float) -> float:
    """Half the (1 - 2 alpha) interval, with the Welch-Satterthwaite degrees of freedom."""
    parts = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
    if not parts.any():
        return 0.0
    shares = parts / parts.sum()  # squaring the parts themselves would underflow for very small spreads
    df = 1 / (shares**2 / [a.size - 1, b.size - 1]).sum()
    return float(special.stdtrit(df, 1 - alpha) * np.sqrt(parts.sum()))
