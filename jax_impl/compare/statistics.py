"""Comparisons of samples: moments, the Kolmogorov-Smirnov test, Holm's correction. Use `jax_impl.compare`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jax_impl.compare.results import Comparison, Real, check_inside, check_tolerance, compared, sample_array


@dataclass(frozen=True, kw_only=True)
class Significance(Comparison):
    """A test whose null hypothesis is that there is no difference. It passes if p > alpha.

    Attributes:
        measured: -log10 of the p-value: 3 for p = 0.001.
        tolerance: -log10 of alpha.
        p_value: From 0 to 1; 0 if a sample holds NaN or an infinity. `holm` returns the adjusted p-value.
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
    """Compare a sample's moments with those of the distribution from which it should come.

    `measured` is the largest difference of a moment, in units of its standard error: std / sqrt(n) for the mean and
    std * sqrt((kurtosis + 2) / 4n) for the standard deviation, with the sample's kurtosis if none is given. For skew
    and kurtosis it comes from the delta method (van der Vaart, Asymptotic Statistics, 1998, chapter 3): the standard
    deviation of the influence function over sqrt(n), from the sample or from theory, whichever is larger. Normal theory
    alone would be wrong for uniform weights. The sample alone would reject one of 900 correct normal samples of 2,560
    numbers at 4 standard errors.

    The sample has at least 2 real numbers, in any shape. The distribution's `std` is above 0, and its `kurtosis` is the
    excess kurtosis: 0 if normal, -1.2 if uniform. None leaves out the skew or the kurtosis. `n_se` standard errors are
    allowed; with 4, one of 16,000 correct samples fails for each moment.

    Raises:
        TypeError: The sample is not real.
        ValueError: There are fewer than 2 numbers, or an argument is out of range.
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
        reason = "the sample holds NaN or an infinity, or is constant"
        return compared(Comparison, name, math.inf, n_se, where="sample", detail=reason)
    z = (scaled - scaled.mean()) / spread
    third, fourth = float((z**3).mean()), float((z**4).mean())
    true_fourth = fourth if kurtosis is None else kurtosis + 3.0
    skew_se, kurtosis_se = _symmetric_spreads(true_fourth) if not skew else (0.0, 0.0)
    scores = {  # by moment: the difference, and the standard error times sqrt(n), both in units of std
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
        moment: difference * math.sqrt(values.size) / max(se, 1e-12)  # se is only rounding if there are two values
        for moment, (difference, se) in scores.items()
    }
    worst = max(errors, key=lambda moment: abs(errors[moment]))
    detail = ", ".join(f"{moment} {error:+.2f} SE" for moment, error in errors.items()) + f", n = {values.size}"
    return compared(Comparison, name, abs(errors[worst]), n_se, where=worst, detail=detail)


def ks_two_sample(a: Any, b: Any, *, alpha: float = 1e-3, name: str = "ks_two_sample") -> Significance:
    """Test whether two samples come from the same continuous distribution, by the largest gap between their CDFs.

    This is the two-sample Kolmogorov-Smirnov test (Smirnov 1939) of `scipy.stats.ks_2samp`. The p-value is exact if no
    sample has more than 1,000 numbers, otherwise asymptotic. Each sample has at least 2 real numbers, in any shape. Two
    samples of one distribution fail with probability alpha, between 0 and 1.

    Raises:
        TypeError: A sample is not real.
        ValueError: A sample has fewer than 2 numbers, or alpha is out of range.
    """
    from scipy import stats  # takes a second to import

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
    """Judge several tests together: if all null hypotheses hold, any test fails with probability alpha at most.

    This is Holm's step-down method (1979): the k-th smallest of m p-values is multiplied by m - k + 1, and an adjusted
    p-value is at least the one before it. A test passes if its adjusted p-value is above alpha, between 0 and 1. The
    tests need not be independent.

    `results` maps the name of each test to its result or its p-value; NaN counts as 0. The tests are returned in the
    same order, with adjusted p-values and verdicts.

    Raises:
        ValueError: There are no tests, or alpha or a p-value is out of range.
    """
    check_inside("alpha", alpha, 1)
    if not results:
        raise ValueError("holm: nothing to compare: the family has no tests")
    p_values = {key: float(r.p_value if isinstance(r, Significance) else r) for key, r in results.items()}
    for key, p in p_values.items():
        if p < 0 or p > 1:
            raise ValueError(f"the p-value of {key!r} must be in [0, 1], got {p}")
        p_values[key] = 0.0 if math.isnan(p) else p
    verdicts, adjusted = {}, 0.0
    for rank, key in enumerate(sorted(p_values, key=p_values.__getitem__)):
        adjusted = max(adjusted, min(1.0, (len(p_values) - rank) * p_values[key]))
        result = results[key]
        name = result.name if isinstance(result, Significance) else "holm"
        detail = f"p = {p_values[key]:.3g}, {adjusted:.3g} after Holm among {len(p_values)}"
        verdicts[key] = _significance(name, adjusted, alpha, where=key, detail=detail)
    return {key: verdicts[key] for key in results}


def _significance(name: str, p_value: float, alpha: float, *, where: str, detail: str) -> Significance:
    return Significance(
        name=name,
        measured=-math.log10(p_value) + 0.0 if p_value else math.inf,  # + 0.0: for p = 1, 0.0 instead of -0.0
        tolerance=-math.log10(alpha),
        passed=bool(p_value > alpha),
        where=where,
        detail=detail,
        p_value=p_value,
    )


def _symmetric_spreads(fourth: float) -> tuple[float, float]:
    """Return sqrt(n) times the standard errors of skew and kurtosis of a symmetric Pearson distribution.

    The uniform and the normal distribution belong to this family. The fourth standardised moment determines the sixth
    and the eighth: 15 and 105 if normal, which gives sqrt(6) and sqrt(24). Returns zeros if the eighth is infinite.
    """
    if fourth >= 4.5:
        return 0.0, 0.0
    sixth = 5 * fourth**2 / (6 - fourth)
    eighth = 7 * fourth * sixth / (9 - 2 * fourth)
    kurtosis_variance = eighth - 4 * fourth * sixth + 4 * fourth**3 - fourth**2
    return math.sqrt(sixth - 6 * fourth + 9), math.sqrt(max(kurtosis_variance, 0))
