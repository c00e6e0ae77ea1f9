"""Comparisons of samples (moments, Kolmogorov-Smirnov, Holm, equivalence), and the result of every comparison.

Use them through `jax_impl.compare`. `Comparison` stands here because this is the lower of the two files.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

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
            AssertionError: It failed; one line says where, by how much, and what was allowed.
        """
        if not self.passed:
            numbers = f"measured {self.measured:.6g}, tolerance {self.tolerance:.6g}"
            raise AssertionError(f"{self.name}: {self.where}: {numbers} ({self.detail})")
        return self

    def __bool__(self) -> bool:
        raise TypeError("a Comparison has no truth value: read .passed, or call .require()")


@dataclass(frozen=True, kw_only=True)
class Significance(Comparison):
    """A test whose null hypothesis is "the same", so that a large p-value passes.

    Attributes:
        measured: -log10 of the p-value: 3 for p = 0.001.
        tolerance: -log10 of alpha.
        p_value: In [0, 1]; 0 where the samples hold NaN or an infinity. After `holm`, the adjusted one.
    """

    p_value: float


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


def moments(
    sample: Any,
    *,
    mean: Real,
    std: Real,
    skew: Real | None = None,
    kurtosis: Real | None = None,
    n_se: Real = 4,
    name: str = "moments",
) -> Comparison:
    """Hold a sample's moments against those of the distribution it should come from.

    `measured` is the largest distance of a moment from theory, in standard errors: std / sqrt(n) for the mean,
    std * sqrt((kurtosis + 2) / 4n) for the standard deviation (with the sample's kurtosis when none is given).
    For skew and kurtosis it is the delta method (van der Vaart, Asymptotic Statistics, 1998, chapter 3): the
    spread of their influence functions, over the sample or in theory, whichever is larger. Normal theory alone
    would be wrong for uniform weights; the sample alone calls one normal sample of 2,560 in 900 wrong at 4.

    Args:
        sample: Real numbers of any shape, at least 2.
        mean: Of the distribution.
        std: Of the distribution, above 0.
        skew: Of the distribution; not tested when None.
        kurtosis: Excess kurtosis of the distribution: 0 if normal, -1.2 if uniform; not tested when None.
        n_se: The standard errors allowed; 4 fail once in 16,000 correct samples, per moment.
        name: Of the comparison.

    Raises:
        TypeError: The sample is not real.
        ValueError: Fewer than 2 numbers, or an argument out of range.
    """
    values = _sample("sample", sample)
    if not 0 < std < math.inf:
        raise ValueError(f"std must be above 0, got {std}; compare a constant with `exact`")
    if not all(math.isfinite(moment or 0) for moment in (mean, skew, kurtosis)):
        raise ValueError(f"moments must be finite, got mean {mean}, skew {skew}, kurtosis {kurtosis}")
    check_tolerance("n_se", n_se)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values - mean) / std
        spread = float(scaled.std())
    if not 0 < spread < math.inf or values.min() == values.max():
        why = "the sample holds NaN or an infinity, or is constant"
        return _compared(name, math.inf, n_se, where="sample", detail=why)
    z = (scaled - scaled.mean()) / spread
    third, fourth = float((z**3).mean()), float((z**4).mean())
    true_fourth = fourth if kurtosis is None else kurtosis + 3.0
    skew_se, kurtosis_se = _symmetric_spreads(true_fourth) if not skew else (0.0, 0.0)
    scores = {  # moment: (distance from theory, standard error times sqrt(n)), in units of std
        "mean": (float(scaled.mean()), 1.0),
        "std": (spread - 1, math.sqrt(max(true_fourth - 1, 0)) / 2),
    }
    if skew is not None:
        influence = z**3 - 3 * z - 1.5 * third * z**2
        scores["skew"] = (third - skew, max(float(influence.std()), skew_se))
    if kurtosis is not None:
        influence = z**4 - 4 * third * z - 2 * fourth * z**2
        scores["kurtosis"] = (fourth - true_fourth, max(float(influence.std()), kurtosis_se))
    errors = {
        moment: distance * math.sqrt(values.size) / max(se, 1e-12)  # two points leave rounding only
        for moment, (distance, se) in scores.items()
    }
    worst = max(errors, key=lambda moment: abs(errors[moment]))
    detail = ", ".join(f"{moment} {error:+.2f} SE" for moment, error in errors.items()) + f", n = {values.size}"
    return _compared(name, abs(errors[worst]), n_se, where=worst, detail=detail)


def ks_two_sample(a: Any, b: Any, *, alpha: float = 1e-3, name: str = "ks_two_sample") -> Significance:
    """Test whether two samples come from one continuous distribution, by the largest gap between their CDFs.

    The two-sample Kolmogorov-Smirnov test (Smirnov 1939) as `scipy.stats.ks_2samp` computes it: the exact
    p-value up to 1,000 values a side, the asymptotic one above. Passes when p > alpha.

    Args:
        a: Real numbers of any shape, at least 2.
        b: The same, of any other size.
        alpha: The share of correct pairs that fails, in (0, 1).
        name: Of the comparison.

    Raises:
        TypeError: A sample is not real.
        ValueError: Fewer than 2 numbers in a sample, or alpha out of range.
    """
    from scipy import stats  # a second to import, and only needed here

    first, second = _sample("a", a), _sample("b", b)
    _check_inside("alpha", alpha, 1)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return _significance(name, 0.0, alpha, where="samples", detail="a sample holds NaN or an infinity")
    method = "exact" if max(first.size, second.size) <= 1000 else "asymp"
    test = stats.ks_2samp(first, second, method=method)
    where = f"at {test.statistic_location:.6g}"
    detail = f"D = {test.statistic:.4g}, p = {test.pvalue:.3g}, n = {first.size} and {second.size}"
    return _significance(name, float(test.pvalue), alpha, where=where, detail=detail)


def holm(results: Mapping[str, Significance | Real], alpha: float = 1e-3) -> dict[str, Significance]:
    """Judge a family of tests together, so that a correct family fails with probability alpha at most.

    Step-down (Holm 1979): the k-th smallest of m p-values is multiplied by m - k + 1, and no adjusted value is
    below the one before it. A test passes when its adjusted p-value is above alpha. Needs no independence.

    Args:
        results: Per test, its name and its result or bare p-value; NaN counts as 0, the worst.
        alpha: For the whole family, in (0, 1).

    Returns:
        Per test, in the same order, the verdict with the adjusted p-value.

    Raises:
        ValueError: No tests, or alpha or a p-value out of range.
    """
    _check_inside("alpha", alpha, 1)
    if not results:
        raise ValueError("holm: nothing to compare: the family has no tests")
    p_values = {key: float(r.p_value if isinstance(r, Significance) else r) for key, r in results.items()}
    for key, p in p_values.items():
        if p < 0 or p > 1:
            raise ValueError(f"the p-value of {key!r} must be in [0, 1], got {p}")
        p_values[key] = 0.0 if math.isnan(p) else p
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, key in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[key]))
        adjusted[key] = largest
    return {
        key: _significance(
            result.name if isinstance(result, Significance) else "holm",
            adjusted[key],
            alpha,
            where=key,
            detail=f"p = {p_values[key]:.3g}, {adjusted[key]:.3g} after Holm among {len(p_values)}",
        )
        for key, result in results.items()
    }


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
    first, second = _sample("a", a), _sample("b", b)
    _check_inside("margin", margin, math.inf)
    _check_inside("alpha", alpha, 0.5)
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
    _check_inside("std", std, math.inf)
    _check_inside("margin", margin, math.inf)
    _check_inside("alpha", alpha, 0.5)
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
    _check_inside("power", power, 1)
    if not abs(difference) < margin:
        raise ValueError(f"difference must be inside ±margin = {margin}, got {difference}: no n can be enough")

    def reached(n: int) -> float:
        return tost_power(std, n, margin, difference, alpha)

    enough = 2
    while reached(enough) < power:
        enough *= 2
    candidates = range(2, enough + 1)
    return candidates[bisect_left(candidates, power, hi=len(candidates) - 1, key=reached)]


def real_array(label: str, values: Any) -> NDArray[Any]:
    """Return `values` as an array in native byte order whose dtype float64 can hold (bfloat16 too).

    Raises:
        TypeError: The values are complex, objects, text or wider than float64.
    """
    array = np.asarray(values)
    if not np.can_cast(array.dtype, np.float64):
        raise TypeError(f"{label} must be real numbers that float64 can hold, got dtype {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_tolerance(label: str, value: Real) -> None:
    """Refuse what would pass everything (inf) or nothing (NaN, a negative number) with a ValueError."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{label} must be finite and at least 0, got {value}")


def _check_inside(label: str, value: Real, upper: Real) -> None:
    if not 0 < value < upper:
        raise ValueError(f"{label} must be above 0 and below {upper}, got {value}")


def _sample(label: str, values: Any) -> NDArray[np.float64]:
    array = real_array(label, values).astype(np.float64).ravel()
    if array.size < 2:
        raise ValueError(f"{label} must hold at least 2 numbers, got {array.size}")
    return array


def _compared(name: str, measured: float, tolerance: Real, *, where: str, detail: str) -> Comparison:
    return Comparison(
        name=name,
        measured=measured,
        tolerance=float(tolerance),
        passed=bool(measured <= tolerance),
        where=where,
        detail=detail,
    )


def _significance(name: str, p_value: float, alpha: float, *, where: str, detail: str) -> Significance:
    return Significance(
        name=name,
        measured=-math.log10(p_value) + 0.0 if p_value else math.inf,  # + 0.0 turns the -0.0 of p = 1 around
        tolerance=-math.log10(alpha),
        passed=bool(p_value > alpha),
        where=where,
        detail=detail,
        p_value=p_value,
    )


def _symmetric_spreads(fourth: float) -> tuple[float, float]:
    """Return sqrt(n) times the standard errors of skew and kurtosis under a symmetric Pearson distribution.

    That family (uniform and normal belong to it) is fixed by its fourth standardised moment, and so are its
    sixth and eighth: 15 and 105 if normal, whence sqrt(6) and sqrt(24). Zeros where the eighth is infinite.
    """
    if fourth >= 4.5:
        return 0.0, 0.0
    sixth = 5 * fourth**2 / (6 - fourth)
    eighth = 7 * fourth * sixth / (9 - 2 * fourth)
    kurtosis_variance = eighth - 4 * fourth * sixth + 4 * fourth**3 - fourth**2
    return math.sqrt(sixth - 6 * fourth + 9), math.sqrt(max(kurtosis_variance, 0))


def _welch_half_width(a: NDArray[np.float64], b: NDArray[np.float64], alpha: float) -> float:
    """Half the (1 - 2 alpha) interval, with the Welch-Satterthwaite degrees of freedom."""
    parts = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
    if not parts.any():
        return 0.0
    shares = parts / parts.sum()  # squaring the parts themselves would underflow for very small spreads
    df = 1 / (shares**2 / [a.size - 1, b.size - 1]).sum()
    return float(special.stdtrit(df, 1 - alpha) * np.sqrt(parts.sum()))
