"""Comparisons of samples: moments, Kolmogorov-Smirnov, Holm. Use them through `jax_impl.compare`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jax_impl.compare.results import Comparison, Real, check_inside, check_tolerance, sample_array


@dataclass(frozen=True, kw_only=True)
class Significance(Comparison):
    """A test whose null hypothesis is "the same", so that a large p-value passes.

    Attributes:
        measured: -log10 of the p-value: 3 for p = 0.001.
        tolerance: -log10 of alpha.
        p_value: In [0, 1]; 0 where the samples hold NaN or an infinity. After `holm`, the adjusted one.
    """

    p_value: float


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
    values = sample_array("sample", sample)
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

    first, second = sample_array("a", a), sample_array("b", b)
    check_inside("alpha", alpha, 1)
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
    check_inside("alpha", alpha, 1)
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
