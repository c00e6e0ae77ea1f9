"""Distances between trees of arrays: by hand, at the ends of the range, and what they refuse."""

import math

import ml_dtypes
import numpy as np
import pytest

from jax_impl import compare
from tests.unit.jax_impl.compare.comparisons import ROUNDED, TREEWISE


def _rng():
    return np.random.default_rng(0)


def _reference_and_truth():
    truth = _rng().normal(size=100)
    return truth.astype(np.float32), truth


# Distances


def test_relative_l2_by_hand_and_its_worst_leaf_is_not_the_one_with_the_largest_difference():
    expected = {"large": np.array([300.0, 400.0]), "small": np.array([[0.3, 0.4]])}
    actual = {"large": np.array([300.0, 405.0]), "small": np.array([[0.3, 0.5]])}
    result = compare.relative_l2(actual, expected, tolerance=0.1)  # 5 / 500 = 0.01 and 0.1 / 0.5 = 0.2
    assert not result.passed
    assert result.measured == pytest.approx(0.2, rel=1e-14)  # a few float64 roundings
    assert (result.where, result.detail) == (
        "small[0, 1]",
        "actual 0.5, expected 0.4; 1 of 2 leaves fail, first small[0, 1]",
    )
    assert compare.relative_l2(actual, expected, tolerance=0.21).passed


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1.0, 1e200, 1e305])
def test_relative_l2_survives_scales_whose_squares_do_not(scale):
    expected = np.full(1000, 3 * scale)
    # 1e-320 has 11 significant bits left, hence 1e-3.
    assert compare.relative_l2(expected * 2, expected, tolerance=2).measured == pytest.approx(1, rel=1e-3)


def test_differences_that_overflow_fail_without_a_warning():
    huge = np.array([1e308, 1.0])
    for function in ROUNDED.values():
        result = function(huge, -huge)
        assert not result.passed
    assert compare.max_abs(huge, -huge, tolerance=1e300).measured == math.inf
    assert compare.max_relative(np.array([1e200]), np.array([1e-200]), tolerance=1).measured == math.inf


def test_an_expected_zero_must_be_zero():
    zeros = np.zeros(3)
    for function in TREEWISE.values():
        assert function(zeros, zeros).passed
        assert not function(np.array([0, 0, 1e-30]), zeros).passed or function is TREEWISE["max_abs"]
    assert compare.relative_l2(np.array([0, 0, 1e-30]), zeros, tolerance=1).measured == math.inf


def test_max_abs_and_max_relative_by_hand():
    actual, expected = np.array([1.0, -8.0, 0.5]), np.array([1.0, -10.0, 0.0])
    assert compare.max_abs(actual, expected, tolerance=2).passed
    absolute = compare.max_abs(actual, expected, tolerance=1.9)
    assert (absolute.passed, absolute.measured, absolute.where) == (False, 2.0, "array[1]")
    relative = compare.max_relative(actual, expected, tolerance=0.2)  # the largest magnitude expected is 10
    assert (relative.passed, relative.measured, relative.where) == (True, 0.2, "array[1]")
    assert not compare.max_relative(actual, expected, tolerance=0.19).passed
    # Relative to the expected, not to the actual: 3 instead of 1 is off by 2, not by 2/3.
    assert compare.max_relative(np.array([3.0]), np.array([1.0]), tolerance=1).measured == 2


def test_float32_is_compared_in_float64():
    a, b = np.float32([16777216]), np.float32([1e-3])  # in float32 their difference rounds to the first
    assert compare.max_abs(a, b, tolerance=0).measured == 16777216 - float(np.float32(1e-3))
    assert compare.max_abs(np.float16([60000]), np.float16([-60000]), tolerance=0).measured == 120000  # inf in float16


def test_integers_and_booleans_do_not_wrap_or_merge():
    assert compare.max_abs(np.uint8([3]), np.uint8([250]), tolerance=300).measured == 247
    assert compare.max_abs(np.array([True]), np.array([False]), tolerance=2).measured == 1
    assert compare.max_abs(np.int64([-(2**63)]), np.int64([2**63 - 1]), tolerance=0).measured == 2.0**64
    neighbours = np.int64([2**53, 2**53 + 1])  # one number in float64
    assert not compare.max_abs(neighbours[:1], neighbours[1:], tolerance=0).passed
    assert compare.max_abs(np.int64([-1]), np.uint64([2**64 - 1]), tolerance=0).measured == 2.0**64
    assert compare.relative_l2(np.int32([3, 5]), np.int32([3, 4]), tolerance=0.2).measured == pytest.approx(0.2)
    bfloat16 = ml_dtypes.bfloat16
    assert compare.max_abs(np.array([1.5], bfloat16), np.array([1.25], bfloat16), tolerance=1).measured == 0.25


@pytest.mark.parametrize(("rtol", "atol"), [(1e-3, 0.0), (1e-3, 1e-2), (0.5, 1e-9), (1e-6, 1.0)])
def test_allclose_judges_as_numpy_does(rtol, atol):
    rng = _rng()
    verdicts = set()
    for _ in range(200):
        expected = rng.normal(size=4)
        actual = expected + rng.normal(size=4) * 10 ** rng.uniform(-5, 1)
        verdict = compare.allclose(actual, expected, rtol=rtol, atol=atol).passed
        assert verdict == np.allclose(actual, expected, rtol=rtol, atol=atol)
        verdicts.add(verdict)
    assert verdicts == {True, False}


def test_allclose_refuses_tolerances_that_could_not_judge():
    for rtol in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"rtol must be above 0|must be finite"):
            compare.allclose(np.ones(1), np.ones(1), rtol=rtol)
    for rtol, atol in ((0.1, -1.0), (0.1, math.nan), (0.1, math.inf), (1e-320, 1.0)):
        with pytest.raises(ValueError, match="atol / rtol must be finite"):
            compare.allclose(np.ones(1), np.ones(1), rtol=rtol, atol=atol)


# ULPs


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("start", [1.0, -1.0, 0.0, 6e-8, 1000.0, -0.1])
@pytest.mark.parametrize("steps", [1, 3, 50])
def test_ulp_distance_counts_nextafter(dtype, start, steps):
    here = np.array([start], dtype)
    for direction in (-np.inf, np.inf):  # from 0 and from 6e-8, the least float16, this crosses 0
        there = here
        for _ in range(steps):
            there = np.nextafter(there, dtype(direction))
        for pair in ((here, there), (there, here)):
            assert compare.ulp_distance(*pair, tolerance=steps).measured == steps
            assert not compare.ulp_distance(*pair, tolerance=steps - 1).passed


def test_ulp_distance_across_zero():
    tiny = np.nextafter(np.float32(0), np.float32(1))
    assert compare.ulp_distance(np.float32([-tiny]), np.float32([tiny]), tolerance=2).measured == 2
    assert compare.ulp_distance(np.float32([-0.0]), np.float32([0.0]), tolerance=0).measured == 0
    # 1.0 is 0x3f800000: as many float32 lie between it and 0.
    assert compare.ulp_distance(np.float32([-1]), np.float32([1]), tolerance=0).measured == 2 * 0x3F800000
    ends = np.array([np.finfo(np.float64).max])
    assert compare.ulp_distance(-ends, ends, tolerance=0).measured == 2 * float(0x7FEFFFFFFFFFFFFF)


def test_ulp_distance_in_bfloat16_is_its_own():
    one, more = np.array([1.0], ml_dtypes.bfloat16), np.array([1.0 + 2 * 2**-7], ml_dtypes.bfloat16)
    assert compare.ulp_distance(more, one, tolerance=2).measured == 2


def test_ulp_distance_names_the_worst_element_and_wants_one_float_dtype():
    expected = np.ones((2, 2), np.float32)
    actual = expected + np.float32([[0, 2**-23], [2**-22, 0]])
    result = compare.ulp_distance({"w": actual}, {"w": expected}, tolerance=1)
    assert (result.passed, result.measured, result.where) == (False, 2, "w[1, 0]")
    mixed = compare.ulp_distance({"w": expected}, {"w": expected.astype(np.float64)}, tolerance=1)
    assert (mixed.passed, mixed.where) == (False, "w")
    assert "dtype differs" in mixed.detail
    with pytest.raises(TypeError, match="float32"):
        compare.ulp_distance(np.ones(2, int), np.ones(2, int), tolerance=1)


# trajectory


def test_trajectory_reports_the_largest_difference_and_the_step_where_the_curves_part():
    expected = [2.0, 1.0, 0.5, 0.25, 0.125]
    actual = [2.0, 1.0, 0.75, 0.25, 0.625]
    result = compare.trajectory(actual, expected, tolerance=0.125)
    assert (result.passed, result.measured, result.where) == (False, 0.5, "step 4")
    assert (result.divergence_step, result.steps) == (2, 5)
    early = compare.trajectory(actual, expected, tolerance=0.125, steps=2)
    assert (early.passed, early.measured, early.divergence_step, early.steps) == (True, 0, 2, 2)
    assert not compare.trajectory(actual, expected, tolerance=0.125, steps=3).passed
    together = compare.trajectory(actual, expected, tolerance=0.5)
    assert (together.passed, together.divergence_step) == (True, None)


def test_trajectory_fails_curves_of_another_length():
    result = compare.trajectory([1.0, 1.0], [1.0, 1.0, 1.0], tolerance=1)
    assert (result.passed, result.measured, result.where) == (False, math.inf, "step 2")
    assert "actual has 2 and expected 3" in result.detail
    assert compare.trajectory([1.0, 1.0], [1.0, 1.0, 1.0], tolerance=1, steps=2).passed
    assert not compare.trajectory([1.0, 1.0], [1.0, 1.0], tolerance=1, steps=3).passed
    assert not compare.trajectory([], [1.0], tolerance=1).passed


def test_trajectory_of_nothing_or_of_a_matrix_is_an_error():
    for steps in (None, 0, -1):
        with pytest.raises(ValueError, match="nothing to compare"):
            compare.trajectory([] if steps is None else [1.0], [] if steps is None else [1.0], tolerance=1, steps=steps)
    with pytest.raises(ValueError, match="ravel"):
        compare.trajectory(np.ones((2, 2)), np.ones((2, 2)), tolerance=1)


def test_trajectory_of_nan_diverges_there():
    result = compare.trajectory([1.0, np.nan, 1.0], [1.0, np.nan, 1.0], tolerance=1)
    assert (result.passed, result.measured, result.divergence_step) == (False, math.inf, 1)
    assert compare.trajectory([1.0, np.nan], [1.0, np.nan], tolerance=1, steps=1).passed
