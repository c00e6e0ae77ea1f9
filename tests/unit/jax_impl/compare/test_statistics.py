"""Moments, Kolmogorov-Smirnov and Holm: by hand, beside SciPy, and how often they raise a false alarm."""

import math

import numpy as np
import pytest
from scipy import stats

from jax_impl import compare


def _rng():
    return np.random.default_rng(0)


# moments


def test_moments_standard_errors_by_hand():
    sample = np.array([-1.0, 1.0] * 50)  # mean 0, std 1
    # (0.5 - 0) / (1 / sqrt(100)) = 5 standard errors.
    result = compare.moments(sample, mean=0.5, std=1)
    assert (result.passed, result.where, result.measured) == (False, "mean", pytest.approx(5))
    # In units of std 0.8: 1 / 0.8 - 1 = 0.25, over sqrt((0 + 2) / 400) = 0.0707 if the distribution is normal.
    result = compare.moments(sample, mean=0, std=0.8, kurtosis=0)
    assert "std +3.54 SE" in result.detail
    # Its own excess kurtosis is -2: 2 below the normal's, whose standard error is sqrt(24 / 100).
    assert (result.where, result.measured) == ("kurtosis", pytest.approx(2 / math.sqrt(0.24)))


@pytest.mark.parametrize(
    ("draw", "kurtosis", "least"),
    [
        (lambda rng, n: rng.normal(size=n), 0.0, 0.8),
        (lambda rng, n: rng.uniform(-math.sqrt(3), math.sqrt(3), n), -1.2, 0.8),
        (lambda rng, n: rng.logistic(scale=math.sqrt(3) / math.pi, size=n), 1.2, 0.3),
    ],
    ids=["normal", "uniform", "logistic"],
)
def test_moments_have_the_standard_errors_they_claim(draw, kurtosis, least):
    # Over many samples the scores should spread like standard normals: by 1, give or take 0.025 (one standard
    # error for 800 samples). Skew and kurtosis take the larger of two standard errors and so spread by less,
    # clearly so for the logistic, which has lighter tails than Pearson's distribution of the same kurtosis.
    rng = _rng()
    results = [compare.moments(draw(rng, 1000), mean=0, std=1, skew=0, kurtosis=kurtosis) for _ in range(800)]
    assert all(result.passed for result in results)
    scores = [[float(part.split()[1]) for part in result.detail.split(", ")[:4]] for result in results]
    spread = np.std(scores, axis=0)
    assert spread[:2] == pytest.approx([1, 1], abs=0.1)
    assert (spread[2:] > least).all()
    assert (spread[2:] < 1.1).all()


@pytest.mark.parametrize(
    ("sample", "where"),
    [
        (lambda rng: rng.normal(0.1, 1, 4000), "mean"),
        (lambda rng: rng.normal(0, 1.1, 4000), "std"),
        # Truncated at two sigma and rescaled to the same std: JAX's he_normal where torch's was meant.
        (lambda rng: stats.truncnorm.rvs(-2, 2, size=4000, random_state=rng) / stats.truncnorm.std(-2, 2), "kurtosis"),
        (lambda rng: rng.uniform(-math.sqrt(3), math.sqrt(3), 4000), "kurtosis"),
        (lambda rng: (rng.gamma(9, size=4000) - 9) / 3, "skew"),
    ],
    ids=["mean", "std", "truncated", "uniform", "skewed"],
)
def test_moments_catch_another_distribution(sample, where):
    values = sample(_rng())
    result = compare.moments(values, mean=0, std=1, skew=0, kurtosis=0)
    assert (result.passed, result.where) == (False, where)
    with pytest.raises(AssertionError, match=where):
        result.require()


def test_moments_of_a_skewed_distribution_can_be_right():
    # Gamma with shape 9: skew 2 / sqrt(9), excess kurtosis 6 / 9.
    sample = (_rng().gamma(9, size=5000) - 9) / 3
    compare.moments(sample, mean=0, std=1, skew=2 / 3, kurtosis=6 / 9).require()


def test_moments_of_too_little_or_of_nothing_measurable():
    for few in ([], [1.0]):
        with pytest.raises(ValueError, match="at least 2"):
            compare.moments(few, mean=0, std=1)
    for broken in ([1.0, np.nan], [1.0, np.inf], [0.1] * 7, [1e308, -1e308], [0.0, 5e-324]):
        result = compare.moments(broken, mean=0, std=1)
        assert (result.passed, result.measured) == (False, math.inf)
    with pytest.raises(TypeError, match="real"):
        compare.moments([1j, 2j], mean=0, std=1)
    for bad in ({"std": 0}, {"std": math.nan}, {"n_se": math.inf}, {"mean": math.nan}, {"kurtosis": math.nan}):
        with pytest.raises(ValueError, match="must be"):
            compare.moments([1.0, 2.0], **({"mean": 0, "std": 1} | bad))


# Kolmogorov-Smirnov and Holm


@pytest.mark.parametrize(("n", "m", "method"), [(50, 70, "exact"), (1000, 1000, "exact"), (1001, 400, "asymp")])
def test_ks_is_scipys(n, m, method):
    rng = _rng()
    a, b = rng.normal(size=(n // 10, 10)) if n == 50 else rng.normal(size=n), rng.normal(0.1, 1, m)
    result = compare.ks_two_sample(a, b)
    expected = stats.ks_2samp(np.ravel(a), b, method=method)
    assert result.p_value == expected.pvalue
    assert result.measured == pytest.approx(-math.log10(expected.pvalue))
    assert result.tolerance == pytest.approx(3)


def test_ks_passes_the_same_distribution_and_fails_truncated_tails():
    rng = _rng()
    torch_like = rng.normal(size=65536)
    compare.ks_two_sample(rng.normal(size=65536), torch_like).require()
    truncated = stats.truncnorm.rvs(-2, 2, size=65536, random_state=rng) / stats.truncnorm.std(-2, 2)
    result = compare.ks_two_sample(truncated, torch_like)
    assert not result.passed
    with pytest.raises(AssertionError, match=r"ks_two_sample: at .* p = "):
        result.require()


def test_ks_alpha_is_the_share_of_false_alarms():
    rng = _rng()
    passed = [compare.ks_two_sample(*rng.normal(size=(2, 40)), alpha=0.2).passed for _ in range(400)]
    assert 0.8 <= np.mean(passed) <= 0.9  # the exact test is discrete: at most 0.2, and never far below


def test_ks_of_nan_and_of_too_little():
    sample = np.arange(10.0)
    for bad in (np.nan, np.inf):
        result = compare.ks_two_sample(np.append(sample, bad), np.append(sample, bad))
        assert (result.passed, result.p_value, result.measured) == (False, 0, math.inf)
    with pytest.raises(ValueError, match="b must hold at least 2"):
        compare.ks_two_sample(sample, [1.0])
    with pytest.raises(ValueError, match="alpha"):
        compare.ks_two_sample(sample, sample, alpha=0.0)
    same = compare.ks_two_sample(sample, sample)
    assert (same.passed, same.p_value, math.copysign(1, same.measured)) == (True, 1, 1)


def test_holm_by_hand():
    # Holm at 0.05: 0.01 <= 0.05 / 4, then 0.015 <= 0.05 / 3, then 0.03 > 0.05 / 2 stops, and 0.04 stays with it.
    # Bonferroni would let 0.015 pass (0.06), uncorrected tests would fail all four.
    verdicts = compare.holm({"d": 0.04, "b": 0.015, "c": 0.03, "a": 0.01}, alpha=0.05)
    assert list(verdicts) == ["d", "b", "c", "a"]
    assert {key: verdict.passed for key, verdict in verdicts.items()} == {"a": False, "b": False, "c": True, "d": True}
    adjusted = [verdicts[key].p_value for key in "abcd"]
    assert adjusted == pytest.approx([0.04, 0.045, 0.06, 0.06])  # the last is 0.04, held up by the one before it
    assert verdicts["a"].where == "a"
    with pytest.raises(AssertionError, match=r"holm: a: .*p = 0\.01, 0\.04 after Holm among 4"):
        verdicts["a"].require()


def test_holm_takes_results_and_names_the_failing_one():
    rng = _rng()
    same = {f"layer{i}": compare.ks_two_sample(*rng.normal(size=(2, 300))) for i in range(5)}
    assert all(verdict.passed for verdict in compare.holm(same).values())
    off = same | {"layer3": compare.ks_two_sample(rng.normal(size=3000), rng.uniform(-2, 2, 3000))}
    failing = [verdict for verdict in compare.holm(off).values() if not verdict.passed]
    assert [verdict.where for verdict in failing] == ["layer3"]
    assert failing[0].p_value == pytest.approx(6 * off["layer3"].p_value)
    assert failing[0].name == "ks_two_sample"


def test_holm_keeps_the_family_at_alpha():
    # Independent uniform p-values: some test fails in 1 - (1 - 0.2 / 8)**8 = 18.3 % of families; ±4 % is 2.3 SE.
    rng = _rng()
    families = [dict(zip("abcdefgh", rng.random(8), strict=True)) for _ in range(500)]
    passed = [all(verdict.passed for verdict in compare.holm(family, alpha=0.2).values()) for family in families]
    assert 1 - np.mean(passed) == pytest.approx(0.183, abs=0.04)


def test_holm_fails_nan_and_refuses_an_empty_family_and_impossible_p_values():
    verdicts = compare.holm({"broken": math.nan, "good": 0.9}, alpha=0.05)
    assert (verdicts["broken"].passed, verdicts["good"].passed) == (False, True)
    assert verdicts["broken"].measured == math.inf
    assert not compare.holm({"edge": 0.05}, alpha=0.05)["edge"].passed  # Holm rejects at equality
    with pytest.raises(ValueError, match="no tests"):
        compare.holm({}, alpha=0.05)
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="p-value of 'x'"):
            compare.holm({"x": p}, alpha=0.05)
