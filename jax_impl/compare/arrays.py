"""Comparisons of arrays and trees of arrays, element by element. Use them through `jax_impl.compare`."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.results import Comparison, Real, check_tolerance, real_array
from jax_impl.compare.trees import (
    Floats,
    Tree,
    distance,
    dtypes_differ,
    epsilon,
    judge,
    largest,
    magnitude,
    norm_ratio,
    rank,
    ratio,
)


@dataclass(frozen=True, kw_only=True)
class Trajectory(Comparison):
    """How far two curves stay together.

    Attributes:
        divergence_step: The first step, from 0, at which they part by more than the tolerance; None if never.
            Looked for over the whole length that both have, so it may lie beyond the steps that were judged.
        steps: How many steps were judged.
    """

    divergence_step: int | None
    steps: int


def exact(actual: Tree, expected: Tree, *, name: str = "exact") -> Comparison:
    """Compare bit for bit, dtype and shape included; 0.0 and -0.0 differ, equal infinities pass.

    `measured` is the largest number of unequal elements in one leaf.
    """

    def measure(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, NDArray[np.bool_]]:
        bits = [np.frombuffer(x.tobytes(), np.uint8).reshape(*x.shape, x.itemsize) for x in (a, b)]
        unequal = (bits[0] != bits[1]).any(-1) | np.isnan(a)
        return float(unequal.sum()), unequal

    return judge(name, 0, measure, dtypes_differ, finite=False, actual=actual, expected=expected)


def relative_l2(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "relative_l2") -> Comparison:
    """Compare ‖actual - expected‖ / ‖expected‖ of each leaf; the worst leaf is measured.

    The usual measure for gradients, whose single elements may be all rounding. A leaf that should be all zeros
    must be all zeros. The worst element is the one furthest off.
    """

    def measure(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, Floats]:
        errors = distance(a, b)
        return norm_ratio(errors, b), errors

    return judge(name, tolerance, measure, actual=actual, expected=expected)


def max_abs(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "max_abs") -> Comparison:
    """Compare the largest |actual - expected| of all elements of all leaves."""
    return judge(name, tolerance, lambda a, b: largest(distance(a, b)), actual=actual, expected=expected)


def max_relative(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "max_relative") -> Comparison:
    """Compare the largest |actual - expected| of each leaf, relative to the leaf's largest |expected|.

    For leaves whose elements share one scale, as logits do: an element that happens to be near 0 is not held to
    a relative error of its own; `allclose` does that.
    """
    return judge(
        name,
        tolerance,
        lambda a, b: largest(ratio(distance(a, b), magnitude(b).max())),
        actual=actual,
        expected=expected,
    )


def allclose(actual: Tree, expected: Tree, *, rtol: Real, atol: Real = 0.0, name: str = "allclose") -> Comparison:
    """Compare each element by |actual - expected| <= rtol * |expected| + atol, as `np.allclose` does.

    `measured` is the largest |actual - expected| / (|expected| + atol / rtol), which the tolerance rtol bounds.

    Raises:
        ValueError: rtol is not above 0 (use `max_abs`), or atol is negative.
    """
    if not rtol > 0:
        raise ValueError(f"rtol must be above 0, got {rtol}; use max_abs for an absolute tolerance alone")
    check_tolerance("atol / rtol", atol / rtol)
    return judge(
        name,
        rtol,
        lambda a, b: largest(ratio(distance(a, b), magnitude(b) + atol / rtol)),
        actual=actual,
        expected=expected,
    )


def ulp_distance(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "ulp_distance") -> Comparison:
    """Count the representable numbers from actual to expected, through 0 where the signs differ.

    Neighbours are 1 apart, 0.0 and -0.0 are 0 apart. A number's bits without its sign are its rank from 0 (IEEE
    754 orders magnitudes as integers; Dawson, "Comparing floating point numbers", 2012). For float16, bfloat16,
    float32 and float64, both sides of one dtype.

    Raises:
        TypeError: A leaf has another dtype.
    """

    def measure(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, Floats]:
        epsilon(a)
        rank_a, rank_b = rank(a), rank(b)
        apart = np.maximum(rank_a, rank_b) - np.minimum(rank_a, rank_b)
        across = rank_a + rank_b  # at most 2**64 - 2**53, so uint64 holds it
        return largest(np.where(np.signbit(a) == np.signbit(b), apart, across).astype(np.float64))

    return judge(name, tolerance, measure, dtypes_differ, actual=actual, expected=expected)


def not_worse_than(
    actual: Tree, reference: Tree, exact: Tree, *, factor: Real = 2.0, name: str = "not_worse_than"
) -> Comparison:
    """Compare the error of actual with the error that reference makes, both against a more precise result.

    `measured` is, in the worst leaf, ‖actual - exact‖ / max(‖reference - exact‖, u ‖exact‖), bounded by
    `factor`. u is the unit roundoff of the dtype (6e-8 in float32): as far off as correct rounding may be, so
    that a reference that happens to be exact does not ask for the impossible. This needs no tolerance guessed
    per layer: rounding noise is measured where it arises (Higham, Accuracy and Stability, 2002, chapter 1).

    Args:
        actual: The port's leaves, float16, bfloat16, float32 or float64.
        reference: The original's leaves, of the same dtypes.
        exact: The same computed in a wider dtype; one that is not wider fails (is float64 really on?).
        factor: How many times the reference's error is allowed, at least 0.
        name: Of the comparison.

    Raises:
        TypeError: A leaf has another dtype.
    """

    def mismatch(leaves: dict[str, NDArray[Any]]) -> str:
        truth = leaves["exact"]
        if epsilon(truth) >= epsilon(leaves["reference"]):
            return f"exact must be wider than {leaves['reference'].dtype}, got {truth.dtype}"
        return dtypes_differ({role: leaves[role] for role in ("actual", "reference")})

    def measure(a: NDArray[Any], r: NDArray[Any], e: NDArray[Any]) -> tuple[float, Floats]:
        errors = distance(a, e)
        roundings = norm_ratio(errors, e) / (epsilon(r) / 2)
        return min(norm_ratio(errors, distance(r, e)), roundings), errors

    return judge(name, factor, measure, mismatch, actual=actual, reference=reference, exact=exact)


def trajectory(
    actual_losses: Any,
    expected_losses: Any,
    *,
    tolerance: Real,
    steps: int | None = None,
    name: str = "trajectory",
) -> Trajectory:
    """Compare two curves of one number a step; `measured` is the largest |difference| of the judged steps.

    Args:
        actual_losses: One-dimensional, real.
        expected_losses: The same.
        tolerance: Absolute, finite and at least 0.
        steps: Judge the first so many; a curve that is shorter fails. None judges all and wants equal lengths.
        name: Of the comparison.

    Raises:
        ValueError: A curve has not one dimension.
    """
    check_tolerance("tolerance", tolerance)
    a, b = real_array("actual_losses", actual_losses), real_array("expected_losses", expected_losses)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"losses must have one dimension, got shapes {a.shape} and {b.shape}: ravel them first")
    wanted = max(a.size, b.size) if steps is None else steps
    if wanted < 1:
        raise ValueError(f"{name}: nothing to compare: {wanted} steps")
    both = min(a.size, b.size)
    finite = np.isfinite(a[:both]) & np.isfinite(b[:both])
    errors = np.where(finite, distance(a[:both], b[:both]), math.inf)
    parted = np.flatnonzero(errors > tolerance)
    if both < wanted:
        measured, where = math.inf, f"step {both}"
        detail = f"{wanted} steps to judge, actual has {a.size} and expected {b.size}"
    else:
        worst = int(np.argmax(errors[:wanted]))
        measured, where = float(errors[worst]), f"step {worst}"
        detail = f"actual {a[worst]!s}, expected {b[worst]!s}"
    return Trajectory(
        name=name,
        measured=measured,
        tolerance=float(tolerance),
        passed=bool(measured <= tolerance),
        where=where,
        detail=f"{detail}; " + (f"apart from step {parted[0]} on" if parted.size else "never apart"),
        divergence_step=int(parted[0]) if parted.size else None,
        steps=wanted,
    )
