"""Two one-sided tests of whether two means are equivalent, and their power. Use `jax_impl.compare`."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from jax_impl.compare.results import Comparison, Real, check_inside, compared, sample_array

Outcome = Literal["equivalent", "different", "too few runs"]

DIFFERENT = 0.01  # how often `tost` may call equal means different


@dataclass(frozen=True, kw_only=True)
class Equivalence(Comparison):
    """A test whose null hypothesis is that the means differ by the margin or more: passing is evidence of equivalence.

    Attributes:
        measured: The larger absolute value of the interval's two ends.
        tolerance: The margin.
        difference: mean(a) - mean(b).
        interval: The (1 - 2 alpha) confidence interval of the difference.
        outcome: "equivalent" if the comparison passed. Otherwise "different" if the means differ significantly, and
            "too few runs" if the runs do not suffice to decide.
        runs_needed: How many runs per sample would probably decide, if there are too few; None otherwise.
    """

    difference: float
    interval: tuple[float, float]
    outcome: Outcome
    runs_needed: int | None = None

    @property
    def margin(self) -> float:
        """The tolerance, under the usual name of this test."""
        return self.tolerance


def tost(a: Any, b: Any, *, margin: Real, alpha: float = 0.05, name: str = "tost") -> Equivalence:
    """Show that two means differ by less than `margin`, by two one-sided tests (Schuirmann 1987).

    Both tests reject at level alpha if the (1 - 2 alpha) confidence interval of the difference lies within ±margin:
    the 90 % interval for alpha = 0.05. It is Welch's interval (1947), so the variances may differ. With few or widely
    scattered runs the interval is wide and the comparison fails: absence of evidence does not pass. The interval of two
    constant samples is a point.

    A comparison that fails says why. The outcome is "different" if Welch's test rejects equal means at level 0.01, or a
    sample holds NaN. Otherwise it is "too few runs", and `runs_needed` of the pooled standard deviation says how many
    would pass in 90 % of cases: for equal means, or, if there are that many already, for means that differ as these do.

    Each sample holds one number per run, such as the final accuracy, of at least 2 runs, in any shape. The runs of `a`
    are not paired with those of `b`. `margin`, above 0 and in the unit of the samples, is the largest difference that
    does not matter. `alpha`, between 0 and 0.5, is the probability of passing if the true difference is the margin.

    Raises:
        TypeError: A sample is not real.
        ValueError: A sample has fewer than 2 runs, or margin or alpha is out of range.
    """
    first, second = sample_array("a", a), sample_array("b", b)
    check_inside("margin", margin, math.inf)
    check_inside("alpha", alpha, 0.5)
    with np.errstate(over="ignore", invalid="ignore"):
        difference = float(first.mean() - second.mean())
        half = _welch_half_width(first, second, alpha)
        certain = _welch_half_width(first, second, DIFFERENT / 2)
    low, high = difference - half, difference + half
    detail, outcome, needed = (
        f"{difference:+.4g}, {1 - 2 * alpha:.4g} interval [{low:.4g}, {high:.4g}]",
        "different",
        None,
    )
    if not math.isfinite(high - low):
        difference, low, high = math.inf, -math.inf, math.inf
        detail = "a sample holds NaN or an infinity"
    elif max(abs(low), abs(high)) <= margin:
        outcome = "equivalent"
    elif abs(difference) <= certain:
        outcome, needed = "too few runs", _enough(first, second, margin, difference, alpha)
        detail = f"about {needed:,} per sample would decide; {detail}"
    return compared(
        Equivalence,
        name,
        max(abs(low), abs(high)),
        margin,
        where="difference of means",
        detail=f"{outcome}: {detail}, n = {first.size} and {second.size}",
        difference=difference,
        interval=(low, high),
        outcome=outcome,
        runs_needed=needed,
    )


def tost_power(std: Real, n: int, margin: Real, difference: Real = 0.0, alpha: float = 0.05) -> float:
    """Return the probability, from 0 to 1, that `tost` passes with n runs per implementation.

    Let se = std * sqrt(2 / n) and df = 2n - 2, let t be the 1 - alpha quantile of Student's t, and q the ratio of the
    pooled standard deviation to the true one: q² is chi-squared over df. For a given q the test passes with
    probability max(0, Phi((margin - difference) / se - t q) - Phi(-(margin + difference) / se + t q)). The power is the
    mean of this over q (Phillips 1990), here over 2,000 quantiles of q. The usual formula, a difference of two
    noncentral t probabilities, lacks the maximum and is too low if the power is small.

    `std`, above 0, is the standard deviation of one run, the same for both implementations, and n is at least 2.
    `difference` is the true difference of the means. `margin` and `alpha` are as in `tost`.

    Raises:
        ValueError: An argument is out of range.
    """
    check_inside("std", std, math.inf)
    check_inside("margin", margin, math.inf)
    check_inside("alpha", alpha, 0.5)
    if n < 2:
        raise ValueError(f"n must be at least 2 runs per implementation, got {n}")
    se, df = std * math.sqrt(2 / n), 2 * n - 2
    q = np.sqrt(special.chdtri(df, (np.arange(2000) + 0.5) / 2000) / df)
    half = special.stdtrit(df, 1 - alpha) * q
    inside = special.ndtr((margin - difference) / se - half) - special.ndtr(-(margin + difference) / se + half)
    return float(np.maximum(inside, 0).mean())


def runs_needed(std: Real, margin: Real, power: float = 0.9, difference: Real = 0.0, alpha: float = 0.05) -> int:
    """Return the smallest number of runs per implementation with which `tost_power` reaches `power`.

    Without a true difference it is about 2 * (std / margin)² * (z(1 - alpha) + z((1 + power) / 2))². `power` is between
    0 and 1; the other arguments are those of `tost_power`.

    Raises:
        ValueError: An argument is out of range, or the difference is not closer to 0 than the margin.
    """
    check_inside("power", power, 1)
    if not abs(difference) < margin:
        raise ValueError(f"difference must be inside ±margin = {margin}, got {difference}: no n can be enough")

    def enough(n: int) -> bool:
        return tost_power(std, n, margin, difference, alpha) >= power

    upper = 2
    while not enough(upper):
        upper *= 2
    return bisect_left(range(upper), True, lo=2, key=enough)


def _welch_half_width(a: NDArray[np.float64], b: NDArray[np.float64], alpha: float) -> float:
    """Return half the width of the (1 - 2 alpha) interval, with the Welch-Satterthwaite degrees of freedom."""
    variances = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])  # of the two means
    if not variances.any():
        return 0.0
    shares = variances / variances.sum()  # the squares of very small variances would underflow
    df = 1 / (shares**2 / [a.size - 1, b.size - 1]).sum()
    return float(special.stdtrit(df, 1 - alpha) * np.sqrt(variances.sum()))


def _enough(a: NDArray[np.float64], b: NDArray[np.float64], margin: Real, difference: float, alpha: float) -> int:
    """Return how many runs per sample would probably be enough, more than there are."""
    std, runs = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2), min(a.size, b.size)
    needed = runs_needed(std, margin, alpha=alpha)
    if needed <= runs and abs(difference) < margin:
        needed = runs_needed(std, margin, difference=difference, alpha=alpha)
    return max(needed, runs + 1)
