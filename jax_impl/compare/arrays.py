"""Comparisons of arrays and trees of arrays, element by element. Use `jax_impl.compare`."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.results import Comparison, Real, check_tolerance, compared, real_array
from jax_impl.compare.trees import Leaf, Tree, differ, distance, epsilon, judge, magnitude, norm_ratio, ratio

_dtypes_differ = partial(differ, "dtype")


@dataclass(frozen=True, kw_only=True)
class Trajectory(Comparison):
    """A comparison of two curves.

    Attributes:
        divergence_step: The first step, counted from 0, whose difference exceeds the tolerance; None if there is none.
            All steps that both curves have are examined, so it can be later than the steps that were compared.
        steps: How many steps were compared.
    """

    divergence_step: int | None
    steps: int


def exact(actual: Tree, expected: Tree, *, name: str = "exact") -> Comparison:
    """Compare bit for bit, including dtype and shape. 0.0 and -0.0 differ; equal infinities pass.

    `measured` is the largest number of unequal elements in a leaf.
    """
    return judge(
        name,
        0,
        lambda a, b: (_bits(a) != _bits(b)) | np.isnan(a),
        measure=lambda unequal, *_: float(unequal.sum()),
        mismatch=_dtypes_differ,
        finite=False,
        actual=actual,
        expected=expected,
    )


def relative_l2(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "relative_l2") -> Comparison:
    """Compare the relative error of each leaf, ‖actual - expected‖ / ‖expected‖; `measured` is the largest one.

    This is the usual measure for gradients: single elements may consist of rounding only. If a leaf of `expected` is
    all zeros, that of `actual` must be, too.
    """
    return judge(
        name, tolerance, distance, measure=lambda errors, _, b: norm_ratio(errors, b), actual=actual, expected=expected
    )


def max_abs(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "max_abs") -> Comparison:
    """Compare the absolute errors of all elements; `measured` is the largest |actual - expected|."""
    return judge(name, tolerance, distance, actual=actual, expected=expected)


def max_relative(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "max_relative") -> Comparison:
    """Compare max |actual - expected| / max |expected| of each leaf; `measured` is the largest ratio.

    Use it if the elements of a leaf share one scale, as logits do. An element near 0 may then have a large relative
    error; `allclose` does not allow that.
    """
    return judge(
        name, tolerance, lambda a, b: ratio(distance(a, b), magnitude(b).max()), actual=actual, expected=expected
    )


def allclose(actual: Tree, expected: Tree, *, rtol: Real, atol: Real = 0.0, name: str = "allclose") -> Comparison:
    """Require |actual - expected| <= rtol * |expected| + atol of each element, as `np.allclose` does.

    `measured` is the largest |actual - expected| / (|expected| + atol / rtol); the tolerance is rtol.

    Raises:
        ValueError: rtol is not above 0 (use `max_abs` instead), or atol is negative.
    """
    if not rtol > 0:
        raise ValueError(f"rtol must be above 0, got {rtol}; use max_abs for an absolute tolerance alone")
    offset = atol / rtol
    check_tolerance("atol / rtol", offset)
    return judge(
        name, rtol, lambda a, b: ratio(distance(a, b), magnitude(b) + offset), actual=actual, expected=expected
    )


def ulp_distance(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "ulp_distance") -> Comparison:
    """Compare each element in units in the last place (ulp); `measured` is the largest distance.

    The distance counts the steps from one representable number to the next: 1 between neighbours, 0 between 0.0 and
    -0.0. Both sides must have the same dtype: float16, bfloat16, float32 or float64. The bits of a float without its
    sign, read as an integer, are its number of steps from 0 (Dawson, "Comparing floating point numbers", 2012).

    Raises:
        TypeError: A leaf has another dtype.
    """

    def errors(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
        epsilon(a)  # refuses other dtypes
        rank_a, rank_b = (_bits(np.abs(array)).astype(np.uint64) for array in (a, b))
        same_sign = np.maximum(rank_a, rank_b) - np.minimum(rank_a, rank_b)
        across_zero = rank_a + rank_b  # at most 2**64 - 2**53, so uint64 holds it
        return np.where(np.signbit(a) == np.signbit(b), same_sign, across_zero).astype(np.float64)

    return judge(name, tolerance, errors, mismatch=_dtypes_differ, actual=actual, expected=expected)


def not_worse_than(
    actual: Tree, reference: Tree, exact: Tree, *, factor: Real = 2.0, name: str = "not_worse_than"
) -> Comparison:
    """Compare the error of a port with the error of the original. Both are taken against a more precise result.

    `measured` is the largest ‖actual - exact‖ / max(‖reference - exact‖, u ‖exact‖) of a leaf. u is the unit roundoff
    of the dtype (6e-8 in float32), the error that correct rounding may have: without it a reference that happens to be
    exact would demand an exact port. No tolerance per layer has to be guessed, because the original shows how large
    rounding errors are there (Higham, Accuracy and Stability of Numerical Algorithms, 2002, chapter 1).

    Args:
        actual: The port's leaves: float16, bfloat16, float32 or float64.
        reference: The original's leaves, of the same dtypes.
        exact: The original's leaves computed in a wider dtype. The comparison fails if the dtype is not wider, as when
            JAX's float64 is not enabled.
        factor: How many times the original's error is allowed, at least 0.
        name: Of the comparison.

    Raises:
        TypeError: A leaf has another dtype.
    """

    def mismatch(leaf: Leaf) -> str:
        if epsilon(leaf["exact"]) >= epsilon(leaf["reference"]):
            return f"exact must be wider than {leaf['reference'].dtype}, got {leaf['exact'].dtype}"
        return _dtypes_differ({role: leaf[role] for role in ("actual", "reference")})

    def measure(errors: NDArray[Any], _: NDArray[Any], r: NDArray[Any], e: NDArray[Any]) -> float:
        roundings = norm_ratio(errors, e) / (epsilon(r) / 2)
        return min(norm_ratio(errors, distance(r, e)), roundings)

    trees = {"actual": actual, "reference": reference, "exact": exact}
    return judge(name, factor, lambda a, _, e: distance(a, e), measure=measure, mismatch=mismatch, **trees)


def trajectory(
    actual_losses: Any, expected_losses: Any, *, tolerance: Real, steps: int | None = None, name: str = "trajectory"
) -> Trajectory:
    """Compare two curves with one number per step; `measured` is the largest absolute difference.

    A curve is a one-dimensional array of real numbers. `steps` is how many steps to compare, from the first one;
    shorter curves fail. None compares all steps, and curves of different lengths fail.

    Raises:
        ValueError: A curve does not have one dimension.
    """
    check_tolerance("tolerance", tolerance)
    a, b = real_array("actual_losses", actual_losses), real_array("expected_losses", expected_losses)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"losses must have one dimension, got shapes {a.shape} and {b.shape}: ravel them first")
    steps = max(a.size, b.size) if steps is None else steps
    if steps < 1:
        raise ValueError(f"{name}: nothing to compare: {steps} steps")
    both = min(a.size, b.size)
    finite = np.isfinite(a[:both]) & np.isfinite(b[:both])
    errors = np.where(finite, distance(a[:both], b[:both]), math.inf)
    exceeding = np.flatnonzero(errors > tolerance)
    first = int(exceeding[0]) if exceeding.size else None
    if both < steps:
        measured, where = math.inf, f"step {both}"
        detail = f"{steps} steps to compare, actual has {a.size} and expected {b.size}"
    else:
        worst = int(np.argmax(errors[:steps]))
        measured, where = float(errors[worst]), f"step {worst}"
        detail = f"actual {a[worst]!s}, expected {b[worst]!s}"
    detail += "; tolerance never exceeded" if first is None else f"; tolerance first exceeded at step {first}"
    return compared(
        Trajectory, name, measured, tolerance, where=where, detail=detail, divergence_step=first, steps=steps
    )


def _bits(array: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """Return the bits of each element as an integer."""
    return array.view(f"u{array.itemsize}")
