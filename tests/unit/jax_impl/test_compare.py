"""The comparisons against hand-computed values, `numpy.nextafter`, SciPy's tests and simulation."""

import ast
import dataclasses
import json
import math
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

from jax_impl import compare


class Moments(NamedTuple):
    mu: object
    nu: object


def _rng():
    return np.random.default_rng(0)


def _reference_and_truth():
    truth = _rng().normal(size=100)
    return truth.astype(np.float32), truth


# Every comparison of leaves as a function of (actual, expected), loose enough to pass close ones.
LEAFWISE = {
    "exact": compare.exact,
    "relative_l2": lambda a, b: compare.relative_l2(a, b, tolerance=0.5),
    "max_abs": lambda a, b: compare.max_abs(a, b, tolerance=0.5),
    "max_relative": lambda a, b: compare.max_relative(a, b, tolerance=0.5),
    "allclose": lambda a, b: compare.allclose(a, b, rtol=0.5),
    "ulp_distance": lambda a, b: compare.ulp_distance(a, b, tolerance=4),
    "trajectory": lambda a, b: compare.trajectory(a, b, tolerance=0.5),
}
TREEWISE = {name: function for name, function in LEAFWISE.items() if name != "trajectory"}
ROUNDED = {name: function for name, function in LEAFWISE.items() if name != "exact"}

leafwise = pytest.mark.parametrize("function", LEAFWISE.values(), ids=LEAFWISE)
treewise = pytest.mark.parametrize("function", TREEWISE.values(), ids=TREEWISE)
rounded = pytest.mark.parametrize("function", ROUNDED.values(), ids=ROUNDED)


# The result


def test_result_is_frozen_json_with_headroom_and_require_returns_it():
    result = compare.max_abs(np.float64([1, 2]), np.float64([1, 2.25]), tolerance=np.float64(0.5), name="logits")
    assert json.loads(json.dumps(dataclasses.asdict(result))) == {
        "name": "logits",
        "measured": 0.25,
        "tolerance": 0.5,
        "passed": True,
        "where": "array[1]",
        "detail": "actual 2.0, expected 2.25",
    }
    assert result.headroom == 2.0
    assert result.require() is result
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.passed = False


def test_headroom_is_infinite_when_nothing_was_off_and_zero_when_nothing_could_be_measured():
    assert compare.exact(np.ones(2), np.ones(2)).headroom == math.inf
    assert compare.max_abs(np.ones(2), np.ones(3), tolerance=1).headroom == 0


def test_result_has_no_truth_value_so_a_bare_assert_cannot_pass():
    with pytest.raises(TypeError, match=r"call \.require\(\)"):
        assert compare.max_abs(np.ones(2), np.zeros(2), tolerance=0.5)


def test_a_result_prints_as_the_line_that_require_raises():
    passed = compare.max_abs(np.array([1.0, 2.5]), np.array([1.0, 2.0]), tolerance=1, name="logits")
    assert str(passed) == "logits: array[1]: measured 0.5, tolerance 1 (actual 2.5, expected 2.0)"
    failed = compare.trajectory([1.0], [3.0], tolerance=1)
    with pytest.raises(AssertionError, match=r"^trajectory: step 0: measured 2, tolerance 1 \("):
        failed.require()
    assert str(failed).startswith("trajectory: step 0: measured 2, tolerance 1 (")


def test_every_result_type_is_plain_json():
    sample = np.arange(5.0)
    one = np.float64(1)  # a NumPy tolerance must not make NumPy verdicts, which json refuses
    results = [
        compare.trajectory(sample, sample, tolerance=one),
        compare.trajectory(sample, sample + 2, tolerance=one),
        compare.moments(sample, mean=2, std=one, n_se=one),
        compare.ks_two_sample(sample, sample, alpha=np.float64(0.1)),
        compare.tost(sample, sample + 1, margin=one),
        *compare.holm({"x": np.float64(0.5)}, np.float64(0.1)).values(),
        compare.not_worse_than(np.float32([1]), np.float32([1]), np.float64([1]), factor=one),
        compare.max_abs(np.float64([np.nan]), sample[:1], tolerance=one),
    ]
    for result in results:
        assert json.loads(json.dumps(dataclasses.asdict(result)))["passed"] is result.passed


def test_require_names_the_first_failing_tensor_and_the_worst_element_in_one_line():
    expected = {"linear1": {"weight": np.ones((2, 3)), "bias": np.ones(3)}, "linear2": {"weight": np.ones((2, 2))}}
    actual = {"linear1": {"weight": np.ones((2, 3)), "bias": np.ones(3)}, "linear2": {"weight": np.ones((2, 2))}}
    actual["linear1"]["bias"] = np.array([1.0, 1.5, 1.0])
    actual["linear2"]["weight"] = np.array([[1.0, 1.0], [3.0, 2.0]])
    result = compare.max_abs(actual, expected, tolerance=0.25, name="parameters")
    assert (result.measured, result.where) == (2.0, "linear2.weight[1, 0]")
    with pytest.raises(AssertionError) as error:
        result.require()
    assert str(error.value) == (
        "parameters: linear2.weight[1, 0]: measured 2, tolerance 0.25 (actual 3.0, expected 1.0; "
        "2 of 3 leaves fail, first linear1.bias[1]: measured 0.5, actual 1.5, expected 1.0)"
    )


# What holds for every comparison of leaves


@leafwise
def test_equal_arrays_pass(function):
    result = function(np.float32([1, -2, 0]), np.float32([1, -2, 0]))
    assert result.passed
    assert result.measured == 0


@leafwise
@pytest.mark.parametrize("bad", [(np.nan, np.nan), (np.nan, 1.0), (1.0, np.nan)], ids=["both", "actual", "expected"])
def test_nan_never_passes(function, bad):
    # The NaN stands last and first in turn, so that neither a maximum nor a minimum can step over it.
    for place in (0, 2):
        actual, expected = np.ones(3, np.float32), np.ones(3, np.float32)
        actual[place], expected[place] = bad
        result = function(actual, expected)
        assert not result.passed
        assert result.where in {f"array[{place}]", f"step {place}"}
        assert "nan" in result.detail
        with pytest.raises(AssertionError, match="nan"):
            result.require()


@rounded
@pytest.mark.parametrize("bad", [(np.inf, np.inf), (np.inf, 1.0), (1.0, -np.inf)])
def test_infinity_never_passes_unless_exact(function, bad):
    actual, expected = np.ones(3, np.float32), np.ones(3, np.float32)
    actual[1], expected[1] = bad
    result = function(actual, expected)
    assert not result.passed
    assert result.measured == math.inf
    assert "inf" in result.detail


def test_exact_lets_equal_infinities_pass():
    assert compare.exact(np.array([np.inf, -np.inf]), np.array([np.inf, -np.inf])).passed
    assert not compare.exact(np.array([np.inf]), np.array([-np.inf])).passed


@treewise
@pytest.mark.parametrize("empty", [{}, [], (), {"a": {}, "b": []}, np.zeros((0, 4)), {"a": np.zeros(0)}])
def test_nothing_to_compare_is_an_error(function, empty):
    with pytest.raises(ValueError, match="nothing to compare"):
        function(empty, empty)


@treewise
def test_one_empty_leaf_among_others_is_an_error_that_names_it(function):
    tree = {"full": np.ones(2), "hollow": np.ones((0, 2))}
    with pytest.raises(ValueError, match="hollow: nothing to compare"):
        function(tree, tree)


@treewise
@pytest.mark.parametrize(("mine", "theirs"), [((3,), (1, 3)), ((1,), (3,)), ((3, 1), (1, 3)), ((), (2,)), ((0,), (1,))])
def test_shapes_are_not_broadcast(function, mine, theirs):
    result = function({"w": np.ones(mine)}, {"w": np.ones(theirs)})
    assert not result.passed
    assert (result.measured, result.where) == (math.inf, "w")
    assert result.detail == f"shape differs: actual {mine}, expected {theirs}"


@treewise
def test_missing_and_extra_leaves_fail_by_name(function):
    one, two = {"a": {"w": np.ones(2)}}, {"a": {"w": np.ones(2), "b": np.ones(2)}}
    missing, extra = function(one, two), function(two, one)
    assert not missing.passed
    assert not extra.passed
    assert (missing.where, missing.detail.split(";")[0]) == ("a.b", "missing from actual")
    assert (extra.where, extra.detail.split(";")[0]) == ("a.b", "missing from expected")
    assert not function({}, one).passed
    assert not function(one, {}).passed


@leafwise
@pytest.mark.parametrize(
    "bad", [np.ones(2, np.complex64), np.array([1, None], object), np.array(["1", "2"]), np.ones(2, "m8[s]")]
)
def test_what_is_not_real_is_a_type_error(function, bad):
    with pytest.raises(TypeError, match="real numbers"):
        function(bad, np.ones(2))
    with pytest.raises(TypeError, match="real numbers"):
        function(np.ones(2), bad)


def test_a_leaf_that_will_not_become_an_array_is_named():
    class Attached:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("use tensor.detach()")

    with pytest.raises(RuntimeError, match="detach") as error:
        compare.exact({"linear1": {"weight": Attached()}}, {"linear1": {"weight": np.ones(2)}})
    assert error.value.__notes__ == ["This was linear1.weight of actual."]


@pytest.mark.parametrize("tolerance", [math.nan, math.inf, -1e-9])
def test_a_tolerance_that_could_not_judge_is_refused(tolerance):
    for function in (compare.relative_l2, compare.max_abs, compare.max_relative, compare.ulp_distance):
        with pytest.raises(ValueError, match="tolerance must be finite"):
            function(np.ones(2), np.ones(2), tolerance=tolerance)
    with pytest.raises(ValueError, match="tolerance must be finite"):
        compare.trajectory([1.0], [1.0], tolerance=tolerance)
    with pytest.raises(ValueError, match="tolerance must be finite"):
        compare.not_worse_than(np.ones(2, np.float32), np.ones(2, np.float32), np.ones(2), factor=tolerance)


def test_dicts_lists_and_named_tuples_are_walked_by_name():
    tree = {"layers": [np.zeros(2), (np.zeros(1), Moments(mu={"w": np.zeros((2, 2))}, nu=1.0))]}
    other = {"layers": [np.zeros(2), (np.zeros(1), Moments(mu={"w": np.eye(2)}, nu=1.0))]}
    assert compare.max_abs(tree, tree, tolerance=0).passed
    assert compare.max_abs(tree, other, tolerance=0.5).where == "layers[1][1].mu.w[0, 0]"
    changed = {"layers": [np.zeros(2), (np.zeros(1), Moments(mu={"w": np.zeros((2, 2))}, nu=3))]}
    assert compare.max_abs(tree, changed, tolerance=0.5).where == "layers[1][1].nu"


def test_a_flat_dict_with_dotted_names_matches_a_nested_one_but_names_must_be_unique():
    flat, nested = {"linear1.weight": np.ones(2)}, {"linear1": {"weight": np.ones(2)}}
    assert compare.exact(flat, nested).passed
    with pytest.raises(ValueError, match=r"actual has two leaves called linear1\.weight"):
        compare.exact(flat | nested, nested)


def test_leaves_are_reported_in_the_order_of_the_expected_tree():
    expected = {"z_first": np.ones(2), "a_second": np.ones(2)}
    actual = {"a_second": np.zeros(2), "z_first": np.zeros(2)}
    assert compare.max_abs(actual, expected, tolerance=0.5).where == "z_first[0]"


def test_arguments_are_left_alone():
    actual, expected = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    for function in LEAFWISE.values():
        function(actual, expected)
    assert actual.tolist() == [1, 2]
    assert expected.tolist() == [1, 3]


def test_the_library_imports_neither_framework_nor_a_file_above_it():
    imported = set()
    for path in Path(compare.__file__).parent.glob("compare*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module if node.module.startswith("jax_impl") else node.module.split(".")[0])
    assert not imported & {"jax", "flax", "torch", "optax", "ml_dtypes"}
    parts = {"trees", "stats", "equivalence", "results"}
    assert {name for name in imported if name.startswith("jax_impl")} == {f"jax_impl.compare_{part}" for part in parts}


# exact


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_exact_counts_unequal_elements_of_every_real_dtype(dtype):
    expected = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    actual = expected.copy()
    assert compare.exact(actual, expected).passed
    actual[1, 1], actual[1, 2] = 1, 0
    result = compare.exact(actual, expected)
    assert not result.passed
    assert (result.measured, result.tolerance, result.where) == (2, 0, "array[1, 1]")


def test_exact_sees_a_dtype_a_zeros_sign_and_one_last_bit():
    ones = np.ones(3, np.float32)
    result = compare.exact({"w": ones}, {"w": ones.astype(np.float64)})
    assert not result.passed
    assert (result.where, result.detail) == ("w", "dtype differs: actual float32, expected float64")
    assert not compare.exact(np.int64([1]), np.int32([1])).passed
    assert not compare.exact(np.array([0.0]), np.array([-0.0])).passed
    assert not compare.exact(np.nextafter(ones, 2), ones).passed
    assert compare.exact(ones[::-1], ones).passed  # a view with other strides holds the same values
    assert compare.exact(ones.astype(">f4"), ones).passed  # and so does another byte order
    assert not compare.exact((2 * ones).astype(">f4"), ones).passed


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


# not_worse_than


def test_not_worse_than_by_hand():
    exact = np.array([3.0, 4.0])
    reference, actual = np.float32([3, 4.5]), np.float32([3.75, 4])  # off by 0.5 and 0.75
    result = compare.not_worse_than({"w": actual}, {"w": reference}, {"w": exact})
    assert (result.passed, result.measured, result.tolerance, result.where) == (True, 1.5, 2, "w[0]")
    assert result.detail == "actual 3.75, reference 3.0, exact 3.0"
    assert not compare.not_worse_than(actual, reference, exact, factor=1.4).passed
    assert compare.not_worse_than(np.float32([3, 4]), reference, exact, factor=0).measured == 0


def test_not_worse_than_an_exact_reference_leaves_room_for_one_rounding():
    exact = np.full(50, 1 + 2.0**-24 + 2.0**-40)  # just above the middle of 1 and the next float32
    half_ulp = np.ones(50, np.float32)
    # 1 is off by one unit roundoff, 2**-24, to four digits; 2**-40 is a reference error far below one.
    assert compare.not_worse_than(half_ulp, half_ulp, np.ones(50)).measured == 0
    nearly = exact.astype(np.float32)
    assert compare.not_worse_than(half_ulp, nearly, exact).measured == pytest.approx(1, rel=1e-4)
    three = np.nextafter(np.nextafter(np.ones(50, np.float32), np.float32(2)), np.float32(2))
    assert compare.not_worse_than(three, np.ones(50, np.float32), np.ones(50)).measured == pytest.approx(
        4
    )  # 2 ulp = 4 u
    assert not compare.not_worse_than(three, np.ones(50, np.float32), np.ones(50)).passed


def test_not_worse_than_catches_a_layer_in_half_precision():
    rounded, truth = _reference_and_truth()
    # Rounding to nearest: in the mean square 0.4 of a unit roundoff, which is below the floor of one.
    assert compare.not_worse_than(rounded, rounded, truth).measured == pytest.approx(0.4, abs=0.1)
    through_half = rounded.astype(np.float16).astype(np.float32)
    assert not compare.not_worse_than(through_half, rounded, truth).passed


def test_not_worse_than_wants_one_dtype_and_a_wider_truth():
    rounded, truth = _reference_and_truth()
    narrow = compare.not_worse_than({"w": rounded}, {"w": rounded}, {"w": rounded})
    assert (narrow.passed, narrow.where) == (False, "w")
    assert narrow.detail == "exact must be wider than float32, got float32"
    half = compare.not_worse_than(rounded.astype(np.float16), rounded, truth)
    assert half.detail == "dtype differs: actual float16, reference float32"
    assert not half.passed
    with pytest.raises(TypeError, match="float32"):
        compare.not_worse_than(np.ones(2, int), np.ones(2, int), np.ones(2))


def test_not_worse_than_with_nan_shapes_missing_leaves_and_zeros():
    one, truth = np.ones(2, np.float32), np.ones(2)
    bad32, bad64 = np.float32([1, np.nan]), np.array([1, np.nan])
    for trees in ((bad32, one, truth), (one, bad32, truth), (one, one, bad64), (bad32, bad32, bad64)):
        result = compare.not_worse_than(*trees)
        assert (result.passed, result.measured, result.where) == (False, math.inf, "array[1]")
    assert "shape differs" in compare.not_worse_than(one[:1], one, truth).detail
    missing = compare.not_worse_than({"w": one}, {}, {"w": truth})
    assert (missing.passed, missing.where, missing.detail) == (False, "w", "missing from reference")
    with pytest.raises(ValueError, match="nothing to compare"):
        compare.not_worse_than({}, {}, {})
    zeros = np.zeros(2)
    assert compare.not_worse_than(0 * one, 0 * one, zeros).passed
    assert not compare.not_worse_than(one, 0 * one, zeros).passed
    assert compare.not_worse_than(one, one, zeros).measured == 1


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


def test_trajectory_wants_curves_as_long_as_what_it_judges():
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


def test_holm_of_nan_of_nothing_and_of_what_is_no_probability():
    verdicts = compare.holm({"broken": math.nan, "good": 0.9}, alpha=0.05)
    assert (verdicts["broken"].passed, verdicts["good"].passed) == (False, True)
    assert verdicts["broken"].measured == math.inf
    assert not compare.holm({"edge": 0.05}, alpha=0.05)["edge"].passed  # Holm rejects at equality
    with pytest.raises(ValueError, match="no tests"):
        compare.holm({}, alpha=0.05)
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="p-value of 'x'"):
            compare.holm({"x": p}, alpha=0.05)


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


def test_power_and_runs_refuse_what_has_no_answer():
    for bad in ({"std": 0}, {"std": math.nan}, {"n": 1}, {"margin": 0}, {"alpha": 0.5}):
        with pytest.raises(ValueError, match="must be"):
            compare.tost_power(**({"std": 1, "n": 5, "margin": 1} | bad))
    for bad in ({"difference": 1}, {"difference": math.nan}, {"power": 1.0}, {"power": 0.0}, {"std": 0}):
        with pytest.raises(ValueError, match="must be"):
            compare.runs_needed(**({"std": 1, "margin": 1} | bad))
