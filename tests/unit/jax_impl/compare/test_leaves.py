"""Noise, masks, fill values, shapes, dtypes and the order of leaves: the ways in which verdicts were wrong."""

import math

import ml_dtypes
import numpy as np
import pytest

from jax_impl import compare
from tests.unit.jax_impl.compare.comparisons import TREEWISE

treewise = pytest.mark.parametrize("function", TREEWISE.values(), ids=TREEWISE)

# The comparisons that divide by a leaf's size, as functions of (actual, expected) and keywords.
SIZED = {
    "relative_l2": lambda a, b, **keywords: compare.relative_l2(a, b, tolerance=0.1, **keywords),
    "max_relative": lambda a, b, **keywords: compare.max_relative(a, b, tolerance=0.1, **keywords),
    "not_worse_than": lambda a, b, **keywords: compare.not_worse_than(a, b, _exact(b), **keywords),
}
sized = pytest.mark.parametrize("function", SIZED.values(), ids=SIZED)


def _exact(tree):
    """What float32 arrays would be in float64, had they been computed there."""
    if isinstance(tree, dict):
        return {name: _exact(leaf) for name, leaf in tree.items()}
    wide = tree.astype(np.float64) * (1 + 1e-9)
    smallest, largest = np.finfo(np.float32).min, np.finfo(np.float64)
    return np.where(tree == smallest, largest.min, wide)


# Noise


def test_a_gradient_that_is_zero_in_theory_passes_if_its_noise_is_known():
    actual = {"conv.weight": np.array([0.3, 0.4]), "conv.bias": np.array([5.6e-19])}
    expected = {"conv.weight": np.array([0.3, 0.4]), "conv.bias": np.array([-1.4e-19])}
    unknown = compare.relative_l2(actual, expected, tolerance=1e-12)
    assert (unknown.passed, unknown.where) == (False, "conv.bias[0]")
    known = compare.relative_l2(actual, expected, tolerance=1e-12, noise={"conv.bias": 1e-18})
    assert known.passed
    assert known.measured == pytest.approx(0.7e-12)  # 7e-19 of 1e-18
    assert known.detail == "actual 5.6e-19, expected -1.4e-19, noise 1e-18"
    assert not compare.relative_l2(actual, expected, tolerance=1e-12, noise={"conv.bias": 6e-19}).passed
    assert compare.max_relative(actual, expected, tolerance=1e-12, noise=1e-18).passed


@sized
def test_noise_excuses_only_its_own_size_and_its_own_leaf(function):
    expected = {"weight": np.float32([3, 4]), "bias": np.float32([1e-9, 0])}
    actual = {"weight": np.float32([3, 4]), "bias": np.float32([0, 1e-9])}
    assert not function(actual, expected).passed
    assert function(actual, expected, noise=1e-8).passed
    assert function(actual, expected, noise={"bias": 1e-8}).passed
    assert function(actual, expected, noise={"bias": np.float32([1e-8, -1e-8])}).passed
    assert not function(actual, expected, noise={"weight": 1e-8}).passed
    assert not function(actual, expected, noise=1e-11).passed
    wrong = function({"weight": np.float32([3, 5]), "bias": actual["bias"]}, expected, noise=1e-8)
    assert (wrong.passed, wrong.failing) == (False, ("weight",))


def test_an_array_of_noise_has_the_norm_of_the_comparison():
    expected, actual = np.zeros(4), np.full(4, 1.0)  # an error of L2 norm 2, and at most 1
    assert compare.relative_l2(actual, expected, tolerance=1, noise=np.full(4, 1.0)).measured == 1
    assert compare.relative_l2(actual, expected, tolerance=1, noise=1.0).measured == 2
    assert compare.max_relative(actual, expected, tolerance=1, noise=np.float64([0, 0, 0, -1])).measured == 1
    lone = compare.not_worse_than(np.float32([1]), np.float32([0]), np.zeros(1), noise=0.5)
    assert lone.measured == 2
    mask = np.arange(4) > 1  # the error and the noise of the last two are 1 each
    noise = np.float64([9, 9, 1, 0])
    assert compare.max_relative(actual, expected, tolerance=1, noise=noise, mask=mask).measured == 1


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (-1.0, "noise must be finite"),
        (math.nan, "noise must be finite"),
        ({"w": -1.0}, "noise of w must be finite"),
        ({"w": np.full(2, np.inf)}, "noise of w must be finite"),
        ({"w": np.ones(3)}, r"noise of w must be one number or have its shape \(2,\)"),
        ({"v": 1.0}, "noise has a leaf v"),
    ],
)
def test_a_noise_that_does_not_fit_is_refused(noise, message):
    tree = {"w": np.ones(2, np.float32)}
    for function in SIZED.values():
        with pytest.raises(ValueError, match=message):
            function(tree, tree, noise=noise)


def test_noise_needs_a_tolerance():
    for function in (compare.relative_l2, compare.max_relative):
        assert function(np.ones(2), np.ones(2), tolerance=0).passed
        with pytest.raises(ValueError, match="noise needs a tolerance above 0"):
            function(np.ones(2), np.ones(2), tolerance=0, noise=1e-9)
        with pytest.raises(ValueError, match="noise needs a tolerance above 0"):
            function(np.ones(2), np.ones(2), tolerance=0, noise={"array": 1e-9})


# Fill values and masks


@pytest.mark.parametrize("fill", [np.finfo(np.float32).min, np.finfo(np.float32).min / 2, -np.inf])
@sized
def test_filled_attention_scores_off_by_a_factor_of_two_fail(function, fill):
    scores = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    future = np.triu(np.ones((4, 4), bool), k=1)
    expected = np.where(future, np.float32(fill), scores)
    assert function(expected.copy(), expected).passed
    wrong = function(np.where(future, np.float32(fill), 2 * scores), expected)
    assert not wrong.passed
    assert 0.5 < wrong.measured < math.inf
    other = function(np.where(future, np.float32(-1e9), scores), expected)
    assert (other.passed, other.measured, other.where) == (False, math.inf, "array[0, 0, 1]")
    assert not function(np.where(future, np.float32(-fill), scores), expected).passed
    assert not function(np.where(future, np.float32(np.nan), scores), expected).passed
    assert not function(scores, expected).passed
    assert not function(expected, scores).passed


def test_fill_values_of_every_dtype_are_known():
    for dtype in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16):
        least = ml_dtypes.finfo(dtype).min if dtype == ml_dtypes.bfloat16 else np.finfo(dtype).min
        expected, actual = np.array([least, 1]).astype(dtype), np.array([least, 2]).astype(dtype)
        assert compare.max_relative(actual, expected, tolerance=0.5).measured == 1
        assert compare.relative_l2(expected, expected, tolerance=0).passed
    # The exact result's finfo.min is that of its own dtype; a reference without a fill there is a mistake.
    low32, low64 = np.finfo(np.float32).min, np.finfo(np.float64).min
    assert compare.not_worse_than(np.float32([low32, 1]), np.float32([low32, 1]), np.array([low64, 1])).passed
    assert not compare.not_worse_than(np.float32([0, 1]), np.float32([0, 1]), np.array([low64, 1])).passed
    assert not compare.not_worse_than(np.float32([low32, 1]), np.float32([low32, 1]), np.array([-low64, 1])).passed
    # Large numbers are numbers.
    assert compare.relative_l2(np.array([2e30, 1]), np.array([1e30, 1]), tolerance=2).measured == pytest.approx(1)


MASKED = {
    "exact": compare.exact,
    "max_abs": lambda a, b, **keywords: compare.max_abs(a, b, tolerance=0.1, **keywords),
    "allclose": lambda a, b, **keywords: compare.allclose(a, b, rtol=0.1, **keywords),
    "ulp_distance": lambda a, b, **keywords: compare.ulp_distance(a, b, tolerance=1, **keywords),
    **SIZED,
}
masked = pytest.mark.parametrize("function", MASKED.values(), ids=MASKED)


@masked
def test_only_what_the_mask_names_is_compared(function):
    expected = {"scores": np.float32([1, -1e9, 3]), "other": np.ones(2, np.float32)}
    actual = {"scores": np.float32([1, np.nan, 3]), "other": np.ones(2, np.float32)}
    mask = {"scores": np.array([True, False, True])}
    assert not function(actual, expected).passed
    assert function(actual, expected, mask=mask).passed
    actual["scores"][2] = 6
    wrong = function(actual, expected, mask=mask)
    assert (wrong.passed, wrong.where) == (False, "scores[2]")
    assert "actual 6.0" in wrong.detail
    actual["scores"][2], actual["other"][0] = 3, 2  # a leaf without a mask is compared whole
    assert function(actual, expected, mask=mask).where == "other[0]"


def test_masked_elements_do_not_count_in_the_size():
    expected, actual = np.float32([1, -1e9]), np.float32([2, -1e9])
    assert compare.max_relative(actual, expected, tolerance=0.1).passed  # a fill that looks like a number
    for function in SIZED.values():
        assert not function(actual, expected, mask=np.array([True, False])).passed


@masked
@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones(2), TypeError, "mask of array must be boolean"),
        (np.ones((1, 2), bool), ValueError, r"mask of array must have its shape \(2,\), got \(1, 2\)"),
        (np.zeros(2, bool), ValueError, "array: nothing to compare: its mask is False everywhere"),
        ({"w": np.ones(2, bool)}, ValueError, "mask has a leaf w, and the trees do not"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(function, mask, error, message):
    with pytest.raises(error, match=message):
        function(np.ones(2, np.float32), np.ones(2, np.float32), mask=mask)


# Shapes and dtypes


@treewise
def test_an_axis_of_length_one_fails_but_does_not_hide_what_is_wrong(function):
    expected = {"bias": np.ones(10, np.float32), "weight": np.ones((2, 2), np.float32), "scale": np.ones(3, np.float32)}
    actual = expected | {"bias": np.ones((1, 10), np.float32), "scale": np.float32([1, 1, 9])}
    result = function(actual, expected)
    assert (result.passed, result.where, result.failing) == (False, "scale[2]", ("bias", "scale"))
    assert result.measured < math.inf
    assert "2 of 3 leaves fail, first bias: measured inf, shape differs: actual (1, 10), expected (10,)" in str(result)
    alone = function({"bias": actual["bias"]}, {"bias": expected["bias"]})
    assert (alone.passed, alone.measured) == (False, math.inf)
    assert alone.detail.endswith("only axes of length 1 differ, and the values agree")
    wrong = function({"bias": np.full((1, 10), 9, np.float32)}, {"bias": expected["bias"]})
    assert wrong.detail.endswith("and the values differ at bias[0], actual 9.0, expected 1.0")


def test_a_mask_applies_behind_an_axis_of_length_one_and_an_empty_one_is_no_match():
    mask = np.arange(3) > 0
    result = compare.max_abs(np.float64([[5, 1, 1]]), np.ones(3), tolerance=0, mask=mask)
    assert result.detail.endswith("the values agree")
    assert compare.exact(np.ones((1, 0)), np.ones(0)).detail == "shape differs: actual (1, 0), expected (0,)"


def test_dtypes_that_differ_are_named_with_digits_that_show_the_difference():
    result = compare.max_relative(np.float32(2.2), np.float64(2.2), tolerance=1e-12)
    assert not result.passed
    assert result.detail == "actual 2.200000047683716 (float32), expected 2.2 (float64)"
    same = compare.max_relative(np.float32(2.2), np.float32(2.5), tolerance=1e-12)
    assert same.detail == "actual 2.2, expected 2.5"
    half = compare.max_abs(np.array([1.5], ml_dtypes.bfloat16), np.int32([1]), tolerance=0.1)
    assert half.detail == "actual 1.5 (bfloat16), expected 1 (int32)"


# The order of leaves


def test_every_failing_leaf_is_named_in_the_order_of_the_expected_tree():
    expected = {name: np.ones(2) for name in ("stem", "norm", "head", "tail")}
    actual = {"tail": np.full(2, 2.5), "head": np.ones(3), "norm": np.float64([1, 2]), "stem": np.ones(2)}
    result = compare.max_abs(actual, expected, tolerance=0.5)
    assert result.failing == ("norm", "head", "tail")
    assert str(result).endswith(
        "(shape differs: actual (3,), expected (2,); 3 of 4 leaves fail, first norm[1]: measured 1, "
        "actual 2.0, expected 1.0; then tail[0] (1.5))"
    )


def test_callers_pass_the_order_of_execution():
    expected = {"a": {"w": np.ones(1), "b": np.ones(1)}, "ab": np.ones(1), "layers": [np.ones(1), np.ones(1)]}
    actual = {"a": {"w": np.zeros(1), "b": np.zeros(1)}, "ab": np.zeros(1), "layers": [np.zeros(1), np.zeros(1)]}
    result = compare.max_abs(actual, expected, tolerance=0.5, order=["layers", "ab", "a.b"])
    assert result.failing == ("layers[0]", "layers[1]", "ab", "a.b", "a.w")
    assert "5 of 5 leaves fail, first layers[0]" in result.detail
    names = compare.max_abs({"ab": 1, "a": {"b": 1}}, {"ab": 3, "a": {"b": 3}}, tolerance=0, order=["a"]).failing
    assert names == ("a.b", "ab")  # "ab" is no part of "a"
    for function in (compare.exact, SIZED["relative_l2"], SIZED["max_relative"], MASKED["allclose"]):
        assert function(actual, expected, order=["ab"]).failing[0] == "ab"


def test_a_message_lists_ten_more_leaves_and_counts_the_rest():
    expected = {f"w{number}": np.zeros(1) for number in range(30)}
    result = compare.max_abs({name: np.ones(1) for name in expected}, expected, tolerance=0.5)
    assert result.detail.endswith("w9[0] (1), w10[0] (1) and 19 more")
    assert len(result.failing) == 30
