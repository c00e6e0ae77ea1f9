import math
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jax_impl.parity.arrays import Store
from jax_impl.parity.measures.comparing import Stored, compare, part, total
from jax_impl.parity.measures.comparing import stored as described
from jax_impl.parity.measures.likeness import likeness
from jax_impl.parity.measures.tolerances import FACTOR, FLOOR, LOW_FACTOR, Measured, Tolerance
from jax_impl.parity.records.content import Reference

DOUBLE, SINGLE = Tolerance("float64"), Tolerance("float32")


def value(array: Any, *, noise: float | None = None, limit: int | None = None, file: str = "forward") -> Stored:
    """An array as a record holds it."""
    store = Store()
    reference = Reference(**store.reference(file, np.asarray(array), limit, noise=noise))
    return described(reference, store.files[file][reference.key])


def judge(ours: Any, theirs: Any, tolerance: Tolerance = DOUBLE, **settings: Any) -> Measured:
    options = {key: settings.pop(key) for key in ("noise", "limit") if key in settings}
    file = settings.pop("file", "forward")
    limit = options.get("limit")
    return compare(tolerance, value(ours, limit=limit, file=file), value(theirs, file=file, **options), **settings)


def test_equal_arrays_pass() -> None:
    found = judge([1.0, 2.0], [1.0, 2.0])
    assert (found.passed, found.measured, found.unit) == (True, 0, "relative")


def test_the_floor_is_some_roundings_of_each_element() -> None:
    allowed = FACTOR * FLOOR * 2**-53
    assert judge([1 + 0.9 * allowed], [1.0]).passed
    found = judge([1 + 1.1 * allowed], [1.0])
    assert not found.passed
    assert found.allowed == pytest.approx(allowed)
    assert found.reason == "256 roundings of float64; its own noise is not known"


def test_the_noise_of_the_reference_is_allowed_many_times() -> None:
    found = judge([1.0 + 60e-9, 0.0], [1.0, 0.0], noise=1e-9)
    assert found.passed
    assert found.allowed == pytest.approx(FACTOR * 1e-9)
    assert found.reason == "64 × the reference's own rounding error"
    assert not judge([1.0 + 70e-9, 0.0], [1.0, 0.0], noise=1e-9).passed


def test_a_gradient_that_is_zero_in_theory_passes() -> None:
    """Two correct sides, 5.6e-19 against -1.4e-19: a relative comparison would fail them."""
    found = judge([5.6e-19], [-1.4e-19], noise=3e-19)
    assert found.passed
    assert (found.unit, found.measured) == ("absolute", pytest.approx(7e-19))
    assert found.reason.startswith("the value is rounding only, 1.4e-19: ")
    assert not judge([1e-12], [-1.4e-19], noise=3e-19).passed
    assert judge([1e-18], [0.0], noise=1e-18).passed
    assert not judge([1e-15], [0.0], noise=1e-18).passed
    assert not judge([1e-300], [0.0], noise=0.0).passed
    assert judge([0.0], [0.0], noise=0.0).passed


@pytest.mark.parametrize("tolerance", [DOUBLE, SINGLE, Tolerance("bfloat16")])
def test_zeros_and_constants_never_pass_for_numbers(tolerance: Tolerance) -> None:
    """Whatever the noise, unless the value is noise itself: then nothing can be said."""
    theirs = np.random.RandomState(0).randn(1000)
    for noise in (0.0, 1e-6, 1e-2, 0.09):
        size = noise * float(np.linalg.norm(theirs))
        assert not judge(theirs * 0, theirs, tolerance, noise=size).passed
        assert not judge(theirs * 0 + theirs.mean(), theirs, tolerance, noise=size).passed
        assert not judge(-theirs, theirs, tolerance, noise=size).passed
    assert "at most 0.5 of the value" in judge(theirs, theirs, tolerance, noise=2.0).reason


@pytest.mark.parametrize(
    ("ours", "theirs", "counts"),
    [([np.nan, 1], [1.0, 1], (1, 0)), ([1.0, 1], [np.nan, 1], (0, 1)), ([np.nan, 1], [np.nan, 1], (1, 1))],
)
def test_nan_fails_on_either_side_and_on_both(ours: Any, theirs: Any, counts: tuple[int, int]) -> None:
    found = judge(ours, theirs, noise=math.inf)
    assert not found.passed
    assert found.detail == f"NaN in {counts[0]} of ours and {counts[1]} of theirs, of 2 elements"


LOWEST = float(np.finfo(np.float64).min)


def test_fill_values_must_be_fill_values_on_both_sides() -> None:
    """Scores of an attention, masked with finfo.min: a factor of 2 in the scores must be seen beside it."""
    scores = np.array([[0.5, LOWEST], [0.25, 1.0]])
    assert judge(scores, scores).passed
    assert judge([[0.5, -np.inf], [0.25, 1.0]], scores).passed
    assert judge([[0.5, -np.inf], [0.25, 1.0]], [[0.5, -np.inf], [0.25, 1.0]]).passed
    doubled = np.array([[1.0, LOWEST], [0.5, 2.0]])
    assert judge(doubled, scores).measured == pytest.approx(1.0)
    for other in (0.0, np.inf):
        found = judge(np.where(scores == LOWEST, other, scores), scores)
        assert found.detail == "1 of 4 elements are infinite or fill values on one side"
    assert not judge(scores, np.where(scores == LOWEST, 0.0, scores)).passed


def test_the_noise_of_fill_values_is_not_that_of_the_others() -> None:
    scores = np.array([0.5, LOWEST])
    assert not judge([0.6, LOWEST], scores, noise=1e290).passed
    assert not judge([0.6, LOWEST], scores, noise=math.inf).passed


def test_elsewhere_infinities_and_huge_numbers_are_no_fills() -> None:
    assert not judge([np.inf], [np.inf], file="steps").passed
    assert not judge([1e200], [2e200], file="steps").passed
    assert judge([1e200], [1e200], file="steps").passed


@pytest.mark.parametrize(
    ("ours", "theirs", "detail"),
    [
        (np.ones(3), np.ones((3, 1)), "shape (3,) instead of (3, 1)"),
        (np.array([1, 2, 4]), np.array([1, 2, 3]), "first at [2]: ours 4, theirs 3"),
        (np.array([True, False]), np.array([True, True]), "first at [1]: ours False, theirs True"),
        (np.array(5), np.array(6), "first at the number: ours 5, theirs 6"),
    ],
)
def test_shapes_and_whole_numbers_must_be_equal(ours: np.ndarray, theirs: np.ndarray, detail: str) -> None:
    found = judge(ours, theirs)
    assert (found.passed, found.detail) == (False, detail)


def test_whole_numbers_may_be_floats_on_one_side() -> None:
    assert judge(np.array([1.0, 2.0]), np.array([1, 2])).passed
    assert judge(np.array([1.0, 0.0]), np.array([True, False])).passed
    assert not judge(np.array([1.0, 2.5]), np.array([1, 2])).passed


def test_a_missing_array_fails_unless_both_are_or_ours_is_zero() -> None:
    one, zero = value([1.0]), value([0.0])
    assert compare(DOUBLE, None, None).passed
    assert compare(DOUBLE, zero, None).passed
    assert not compare(DOUBLE, one, None).passed
    assert not compare(DOUBLE, value([np.nan]), None).passed
    assert compare(DOUBLE, None, zero).detail == "ours has none"


def test_samples_are_compared_with_the_norm_of_the_whole_array() -> None:
    random = np.random.RandomState(0)
    theirs = random.randn(100, 100)
    assert judge(theirs * (1 + 1e-16), theirs, limit=50).passed
    hidden = theirs.copy()
    hidden[0, 1] = 9.0  # not in the sample
    found = judge(hidden, theirs, limit=50)
    assert not found.passed
    assert found.detail.startswith("norm of the whole array: ours ")
    swapped = theirs.copy()
    swapped[0, 1], swapped[0, 2] = np.hypot(*theirs[0, 1:3]), 0.0  # the same norm
    large = judge(
        np.where(swapped == swapped[0, 1], 50.0, swapped), np.where(theirs == theirs[0, 1], 49.0, theirs), limit=50
    )
    assert not large.passed
    shown = judge(np.where(np.arange(10000).reshape(100, 100) == 200, 7.0, theirs), theirs, limit=50)
    assert "largest at [2, 0]: ours 7" in shown.detail


def test_the_noise_of_a_sample_is_its_share() -> None:
    theirs = np.ones(10000)
    found = judge(theirs, theirs, limit=100, noise=1e-6)
    assert found.allowed == pytest.approx(FACTOR * 1e-6 / 100)  # relative to the whole norm, which is 100


def test_a_whole_array_is_sampled_if_the_other_side_was() -> None:
    array = np.random.RandomState(0).randn(300)
    whole, sample = value(array), value(array, limit=40)
    assert compare(DOUBLE, whole, sample).passed
    assert compare(DOUBLE, sample, whole).passed
    assert compare(DOUBLE, value(array, limit=60), sample).passed
    assert not compare(DOUBLE, value(array[::-1], limit=60), sample).passed


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 60))
def test_parts_of_samples_are_compared_at_the_same_places(start: int, length: int, limit: int) -> None:
    array = np.random.RandomState(0).randn(20, 3)
    stop = min(start + length, 20)
    theirs = part(value(array, limit=limit), start, stop)
    ours = value(array[start:stop])
    found = compare(DOUBLE, ours, theirs)
    assert found.passed or found.detail == "no element was stored on both sides"
    if found.passed and ours.array.size:
        assert not compare(DOUBLE, value(array[start:stop] + 1), theirs).passed


def test_sums_are_compared_by_their_elements() -> None:
    a, b = np.random.RandomState(0).randn(2, 50)
    found = total([value(a, noise=1e-9), value(b, noise=2e-9)])
    assert found is not None
    assert found.reference.noise == pytest.approx(3e-9)
    assert compare(DOUBLE, value(a + b), found).passed
    assert not compare(DOUBLE, value(a), found).passed
    assert total([value(a), value(b[:5])]) is None


def test_float32_inside_the_port_is_allowed_what_it_rounds() -> None:
    theirs = np.random.RandomState(0).randn(100)
    ours = theirs.astype(np.float32).astype(np.float64)
    strict, loose = judge(ours, theirs), judge(ours, theirs, loose=True)
    assert not strict.passed
    assert "as small as float32 rounding" in strict.detail
    assert loose.passed
    assert loose.allowed == pytest.approx(LOW_FACTOR * FLOOR * 2**-24)
    assert loose.reason.endswith("the port computes in float32 inside: the difference is the size of float32 rounding")
    assert not judge(theirs * 1.0001, theirs, loose=True).passed
    assert "float32 inside" not in judge(theirs, theirs, SINGLE, loose=True).reason  # nothing special there


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_coarser_array_decides_the_tolerance(dtype: str) -> None:
    """A reference in float64 of which a part is computed in a smaller dtype."""
    array = np.array([1.0, 2.0]).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    found = judge(array, array)
    assert found.allowed == pytest.approx(
        min(LOW_FACTOR * FLOOR * {"float32": 2**-24, "bfloat16": 2**-8, "float16": 2**-11}[dtype], 0.5)
    )


def test_dtypes_that_differ_are_named() -> None:
    found = judge(np.array([2.2], np.float32), np.array([2.2]))
    assert found.passed
    assert "the port computes in float32 inside" in found.reason
    found = judge(np.array([2.21], np.float32), np.array([2.2]))
    assert not found.passed
    assert found.detail.endswith("largest at [0]: ours 2.21, theirs 2.2; ours is float32, theirs float64")


def test_numbers_are_compared_by_the_same_rule() -> None:
    assert DOUBLE.number(2.0, 2.0, 1e-16).passed
    found = DOUBLE.number(32.0, 2.0, 1e-16)
    assert (found.measured, found.detail) == (15.0, "ours 32, theirs 2: ours is 16 × theirs")
    for ours, theirs in ((math.nan, 1.0), (1.0, math.nan), (math.inf, math.inf), (None, 1.0), (1.0, None)):
        assert not DOUBLE.number(ours, theirs, None).passed
    assert DOUBLE.number(1 + 1e-9, 1.0, None, loose=True).passed
    assert DOUBLE.number(0.0, 0.0, 0.0).passed
    assert not DOUBLE.number(1e-9, 0.0, 0.0).passed


def test_an_absolute_difference_can_be_allowed() -> None:
    assert judge([1e-17], [0.0], slack=2e-17).passed
    assert not judge([3e-17], [0.0], slack=2e-17).passed


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ([0, 0, 0], [1, 2, 3], "ours is zero"),
        ([1, 2, 3], [0, 0, 0], "theirs is zero"),
        ([2, 4, 6], [1, 2, 3], "ours is 2 × theirs"),
        ([-1, -2, -3], [1, 2, 3], "ours is theirs with the other sign"),
        ([2, 3, 4], [1, 2, 3], "ours is theirs +1"),
        ([3, 1, 2], [1, 2, 3], "the same numbers in another order"),
        ([7, 7, 7], [1, 2, 3], "ours is constant"),
        ([1, 2, 3.000001], [1, 2, 3], "as small as float32 rounding"),
        ([1, 2, 3 + 1e-12], [1, 2, 3], ""),
        ([1, 5, 3], [1, 2, 3], ""),
        ([1, 2, 3], [1, 2, 3], ""),
        ([1e200, 0], [2e200, 1], ""),
        ([6.0], [2.0], "ours is 3 × theirs"),
        ([2.0], [6.0], "ours is 0.3333 × theirs"),
        ([3.1], [2.0], ""),
        ([-2.0], [2.0], "ours is theirs with the other sign"),
    ],
)
def test_what_two_arrays_have_in_common(ours: Any, theirs: Any, words: str) -> None:
    assert likeness(np.array(ours, np.float64), np.array(theirs, np.float64)) == words


def test_an_unknown_noise_is_no_licence() -> None:
    stored = value([1.0], noise=0.0)
    for noise in (math.inf, math.nan):
        reference = replace(stored.reference, noise=noise)
        assert not compare(DOUBLE, value([1.1]), Stored(reference, stored.array, None)).passed
