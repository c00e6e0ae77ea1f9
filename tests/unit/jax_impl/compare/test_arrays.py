"""What a comparison returns, and what holds for every comparison of leaves."""

import ast
import dataclasses
import json
import math
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest

from jax_impl import compare
from tests.unit.jax_impl.compare.comparisons import LEAFWISE, ROUNDED, TREEWISE


class Moments(NamedTuple):
    mu: object
    nu: object


def _rng():
    return np.random.default_rng(0)


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
        "failing": [],
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
    assert str(passed) == "PASS logits: array[1]: measured 0.5, tolerance 1 (actual 2.5, expected 2.0)"
    failed = compare.trajectory([1.0], [3.0], tolerance=1)
    with pytest.raises(AssertionError, match=r"^FAIL trajectory: step 0: measured 2, tolerance 1 \("):
        failed.require()
    assert str(failed).startswith("FAIL trajectory: step 0: measured 2, tolerance 1 (")


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
        "FAIL parameters: linear2.weight[1, 0]: measured 2, tolerance 0.25 (actual 3.0, expected 1.0; "
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
@pytest.mark.parametrize("bad", [(np.inf, -np.inf), (np.inf, 1.0), (1.0, -np.inf)])
def test_an_infinity_on_one_side_never_passes(function, bad):
    actual, expected = np.ones(3, np.float32), np.ones(3, np.float32)
    actual[1], expected[1] = bad
    result = function(actual, expected)
    assert not result.passed
    assert result.measured == math.inf
    assert "inf" in result.detail


@treewise
def test_equal_infinities_pass_and_hide_nothing(function):
    expected = np.float32([np.inf, -np.inf, 1])
    assert function(expected, expected).measured == 0
    off = function(np.float32([np.inf, -np.inf, 3]), expected)
    assert (off.passed, off.where) == (False, "array[2]")


def test_a_curve_that_became_infinite_fails():
    assert not compare.trajectory([1.0, np.inf], [1.0, np.inf], tolerance=1).passed


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
@pytest.mark.parametrize(("mine", "theirs"), [((3,), (2, 3)), ((1,), (3,)), ((3, 2), (2, 3)), ((), (2,)), ((0,), (1,))])
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
def test_values_that_are_not_real_numbers_are_a_type_error(function, bad):
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
    for path in Path(compare.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module if node.module.startswith("jax_impl") else node.module.split(".")[0])
    assert not imported & {"jax", "flax", "torch", "optax", "ml_dtypes"}
    ours = {name for name in imported if name.startswith("jax_impl")}
    assert ours == {f"jax_impl.compare.{path.stem}" for path in Path(compare.__file__).parent.glob("[a-z]*.py")}


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
