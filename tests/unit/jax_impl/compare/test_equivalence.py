"""Equivalence of means: TOST beside SciPy's Welch tests, and its power beside simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from jax_impl import compare


def _rng():
    return np.random.default_rng(0)


# Equivalence


def test_tost_is_scipys_two_one_sided_welch_tests():
    rng = _rng()
    verdicts = set()
    for _ in range(100):
        a, b = rng.normal(0, 1, 9), rng.normal(rng.uniform(-1, 1), 2, 14)
        result = compare.tost(a, b, margin=1.2)
        above = stats.ttest_ind(a, b - 1.2, equal_var=False, alternative="greater").pvalue
        below = stats.ttest_ind(a, b + 1.2, equal_var=False, alternative="less").pvalue
        assert result.passed == (max(above, below) <= 0.05)
        interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
        assert result.interval == pytest.approx(tuple(interval), rel=1e-9)  # another root finder for t
        assert result.difference == pytest.approx(a.mean() - b.mean(), rel=1e-12)
        verdicts.add(result.passed)
    assert verdicts == {True, False}


def test_tost_by_hand():
    # Means 2 and 2.5, variances 1 and 1, 3 runs each: se = sqrt(2 / 3), df = 4, t(0.95; 4) = 2.131847.
    result = compare.tost([1.0, 2.0, 3.0], [1.5, 2.5, 3.5], margin=2.3)
    half = 2.131847 * math.sqrt(2 / 3)
    assert result.difference == -0.5
    assert result.interval == pytest.approx((-0.5 - half, -0.5 + half), abs=1e-6)  # t has seven digits
    assert (result.passed, result.margin, result.measured) == (True, 2.3, pytest.approx(0.5 + half, abs=1e-6))
    failed = compare.tost([1.0, 2.0, 3.0], [1.5, 2.5, 3.5], margin=2.2)  # the 95 % interval would fail 2.3 too
    with pytest.raises(AssertionError, match=r"difference of means: .*0\.9 interval"):
        failed.require()


def test_tost_is_not_passed_by_few_or_scattered_runs():
    assert not compare.tost([0.97, 0.99], [0.96, 1.0], margin=0.002).passed
    assert not compare.tost([1.0, 1.0, 1.0], [1.5, 1.5, 1.5], margin=0.4).passed
    assert compare.tost([1.0, 1.0, 1.0], [1.5, 1.5, 1.5], margin=0.6).interval == (-0.5, -0.5)


@pytest.mark.slow
def test_tost_at_the_margin_passes_wrongly_in_alpha_of_cases():
    # With true difference = margin, 5 % pass; 2,000 simulated experiments give ±1 % (2 standard errors).
    rng = _rng()
    a, b = rng.normal(1, 1, (2000, 30)), rng.normal(0, 1, (2000, 30))
    wrong = np.mean([compare.tost(x, y, margin=1).passed for x, y in zip(a, b, strict=True)])
    assert wrong == pytest.approx(0.05, abs=0.011)


def test_tost_of_nan_and_of_too_little():
    good = [1.0, 2.0, 3.0]
    for bad in (np.nan, np.inf, 1e308):
        result = compare.tost([bad, -1e308, bad], good, margin=1e9)
        assert (result.passed, result.measured) == (False, math.inf)
        assert not compare.tost(good, [bad, -1e308, bad], margin=1e9).passed
    for few in ([], [1.0]):
        with pytest.raises(ValueError, match="at least 2"):
            compare.tost(good, few, margin=1)
    for margin in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="margin"):
            compare.tost(good, good, margin=margin)
    for alpha in (0.0, 0.5, math.nan):
        with pytest.raises(ValueError, match="alpha"):
            compare.tost(good, good, margin=1, alpha=alpha)


@pytest.mark.parametrize(
    ("std", "n", "margin", "difference"),
    [(0.1, 10, 0.2, 0.0), (0.34, 35, 0.2, 0.0), (0.34, 35, 0.2, 0.1), (1, 5, 1, 0), (1, 5, 1.5, -0.3), (1, 2, 9, 0)],
)
def test_tost_power_is_the_simulated_share_of_passes(std, n, margin, difference):
    rng = _rng()
    runs = 40_000
    a, b = rng.normal(difference, std, (runs, n)), rng.normal(0, std, (runs, n))
    pooled = np.sqrt((a.var(1, ddof=1) + b.var(1, ddof=1)) / n)
    half = stats.t.ppf(0.95, 2 * n - 2) * pooled
    share = np.mean(np.abs(a.mean(1) - b.mean(1)) + half < margin)
    # The worst standard error of a share of 40,000 is 0.0025; 4 of them.
    assert compare.tost_power(std, n, margin, difference) == pytest.approx(share, abs=0.01)


@pytest.mark.slow
def test_tost_power_is_the_share_of_passes_of_tost_itself():
    rng = _rng()
    a, b = rng.normal(0, 1, (1000, 12)), rng.normal(0.2, 1, (1000, 12))
    share = np.mean([compare.tost(x, y, margin=1.2).passed for x, y in zip(a, b, strict=True)])
    assert compare.tost_power(1, 12, 1.2, 0.2) == pytest.approx(share, abs=0.05)  # 3.5 SE of 1,000 simulations


def test_tost_power_is_alpha_at_the_margin_and_one_far_inside():
    assert compare.tost_power(1, 500, 0.5, 0.5) == pytest.approx(0.05, abs=1e-3)  # 2,000 quantiles
    assert compare.tost_power(1, 500, 0.5, 0.5, alpha=0.01) == pytest.approx(0.01, abs=1e-3)
    assert compare.tost_power(1e-9, 2, 1.0) == 1
    assert compare.tost_power(1, 10, 1.0, 0.3) == pytest.approx(compare.tost_power(1, 10, 1.0, -0.3))


@pytest.mark.parametrize(("std", "margin", "power", "difference"), [(0.34, 0.2, 0.9, 0.0), (0.1, 0.2, 0.8, 0.05)])
def test_runs_needed_is_the_first_number_of_runs_with_that_power(std, margin, power, difference):
    n = compare.runs_needed(std, margin, power, difference)
    assert compare.tost_power(std, n, margin, difference) >= power
    assert compare.tost_power(std, n - 1, margin, difference) < power


def test_runs_needed_follows_the_normal_approximation_when_there_are_many():
    z = stats.norm.ppf
    expected = 2 * 20**2 * (z(0.95) + z(0.95)) ** 2  # (1 + power) / 2 is 0.95 as well
    assert compare.runs_needed(1, 0.05) == pytest.approx(expected, rel=1e-3)
    assert compare.runs_needed(1e-6, 1) == 2


def test_power_and_runs_refuse_impossible_settings():
    for bad in ({"std": 0}, {"std": math.nan}, {"n": 1}, {"margin": 0}, {"alpha": 0.5}):
        with pytest.raises(ValueError, match="must be"):
            compare.tost_power(**({"std": 1, "n": 5, "margin": 1} | bad))
    for bad in ({"difference": 1}, {"difference": math.nan}, {"power": 1.0}, {"power": 0.0}, {"std": 0}):
        with pytest.raises(ValueError, match="must be"):
            compare.runs_needed(**({"std": 1, "margin": 1} | bad))


# The three outcomes


def test_tost_tells_different_from_too_few_runs():
    rng = _rng()
    noise = rng.normal(0, 0.34, 200)
    same = compare.tost(noise[:100], noise[100:], margin=0.2)
    assert (same.passed, same.outcome, same.runs_needed) == (True, "equivalent", None)
    assert str(same).startswith("PASS tost: difference of means: ")
    few = compare.tost(noise[:5], noise[5:10], margin=0.2)
    std = math.sqrt((noise[:5].var(ddof=1) + noise[5:10].var(ddof=1)) / 2)
    assert (few.passed, few.outcome, few.runs_needed) == (False, "too few runs", compare.runs_needed(std, 0.2))
    assert f"(too few runs: about {few.runs_needed} per sample would decide; " in str(few)
    different = compare.tost(noise[:100], noise[100:] + 0.5, margin=0.2)
    assert (different.passed, different.outcome, different.runs_needed) == (False, "different", None)
    assert str(different).startswith("FAIL tost: difference of means: measured ")
    assert "(different: " in str(different)


def test_tost_asks_for_more_runs_than_there_are():
    base = np.array([-1.0, 1] * 10)  # 20 runs of standard deviation 1.03 need 14 to show a margin of 1.2
    close = compare.tost(base + 0.7, base, margin=1.2)
    assert compare.runs_needed(base.std(ddof=1), 1.2) < 20
    assert (close.outcome, close.runs_needed) == (
        "too few runs",
        compare.runs_needed(base.std(ddof=1), 1.2, difference=close.difference),
    )
    assert close.runs_needed > 20


def test_tost_calls_constant_samples_and_nan_different():
    assert compare.tost([1.0, 1.0], [1.5, 1.5], margin=0.4).outcome == "different"
    assert compare.tost([1.0, 1.0], [1.5, 1.5], margin=0.6).outcome == "equivalent"
    broken = compare.tost([1.0, math.nan], [1.5, 1.5], margin=0.6)
    assert (broken.outcome, broken.runs_needed) == ("different", None)


def test_tost_calls_means_different_where_scipys_welch_test_rejects_at_one_percent():
    rng = _rng()
    outcomes = set()
    for _ in range(60):
        a, b = rng.normal(0, 1, 6), rng.normal(rng.uniform(0, 4), 2, 9)
        outcome = compare.tost(a, b, margin=2.5).outcome
        rejected = stats.ttest_ind(a, b, equal_var=False).pvalue < 0.01
        assert (outcome == "different") == (rejected and outcome != "equivalent")
        outcomes.add(outcome)
    assert outcomes == {"equivalent", "different", "too few runs"}
