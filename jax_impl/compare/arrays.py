"""Comparisons of arrays and trees of arrays, element by element. Use `jax_impl.compare`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.arithmetic import distance, epsilon, fill_signs, magnitude, max_ratio, norm_ratio, ratio
from jax_impl.compare.leaves import differ
from jax_impl.compare.results import Comparison, Real, check_tolerance
from jax_impl.compare.trees import Tree, judge

Order = Sequence[str]

_dtypes_differ = partial(differ, "dtype")


def exact(
    actual: Tree, expected: Tree, *, mask: Tree | None = None, order: Order = (), name: str = "exact"
) -> Comparison:
    """Compare bit for bit, including dtype and shape. 0.0 and -0.0 differ; equal infinities pass.

    `measured` is the largest number of unequal elements in a leaf.
    """
    return judge(
        name,
        0,
        lambda a, b: (_bits(a) != _bits(b)) | np.isnan(a),
        measure=lambda unequal, *_: float(unequal.sum()),
        mismatch=_dtypes_differ,
        fills=None,
        mask=mask,
        order=order,
        actual=actual,
        expected=expected,
    )


def relative_l2(
    actual: Tree,
    expected: Tree,
    *,
    tolerance: Real,
    noise: Tree = 0.0,
    mask: Tree | None = None,
    order: Order = (),
    name: str = "relative_l2",
) -> Comparison:
    """Compare the relative error of each leaf, ‖actual - expected‖ / ‖expected‖; `measured` is the largest one.

    This is the usual measure for gradients: single elements may consist of rounding only. If a leaf of `expected` is
    all zeros, that of `actual` must be, too.

    Some leaves are rounding as a whole: the gradient of a bias in front of BatchNorm, or of an attention's key bias, is
    0 in theory. Two correct programs disagree about it completely. For such leaves say how large rounding is, as
    `noise`: an error of this L2 norm passes. The measure is ‖actual - expected‖ / max(‖expected‖, ‖noise‖ / tolerance).

    Raises:
        ValueError: A noise needs a tolerance above 0.
    """
    _check_noise(noise, tolerance)
    return judge(
        name,
        tolerance,
        distance,
        measure=lambda errors, rounding, _, b: _beside_noise(norm_ratio, errors, b, rounding, tolerance),
        fills=fill_signs,
        noise=noise,
        mask=mask,
        order=order,
        actual=actual,
        expected=expected,
    )


def max_abs(
    actual: Tree,
    expected: Tree,
    *,
    tolerance: Real,
    mask: Tree | None = None,
    order: Order = (),
    name: str = "max_abs",
) -> Comparison:
    """Compare the absolute errors of all elements; `measured` is the largest |actual - expected|."""
    return judge(name, tolerance, distance, mask=mask, order=order, actual=actual, expected=expected)


def max_relative(
    actual: Tree,
    expected: Tree,
    *,
    tolerance: Real,
    noise: Tree = 0.0,
    mask: Tree | None = None,
    order: Order = (),
    name: str = "max_relative",
) -> Comparison:
    """Compare max |actual - expected| / max |expected| of each leaf; `measured` is the largest ratio.

    Use it if the elements of a leaf share one scale, as logits do. An element near 0 may then have a large relative
    error; `allclose` does not allow that. An error of at most max |noise| passes: the measure is
    max |actual - expected| / max(max |expected|, max |noise| / tolerance).

    Raises:
        ValueError: A noise needs a tolerance above 0.
    """
    _check_noise(noise, tolerance)
    return judge(
        name,
        tolerance,
        distance,
        measure=lambda errors, rounding, _, b: _beside_noise(max_ratio, errors, b, rounding, tolerance),
        fills=fill_signs,
        noise=noise,
        mask=mask,
        order=order,
        actual=actual,
        expected=expected,
    )


def allclose(
    actual: Tree,
    expected: Tree,
    *,
    rtol: Real,
    atol: Real = 0.0,
    mask: Tree | None = None,
    order: Order = (),
    name: str = "allclose",
) -> Comparison:
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
        name,
        rtol,
        lambda a, b: ratio(distance(a, b), magnitude(b) + offset),
        mask=mask,
        order=order,
        actual=actual,
        expected=expected,
    )


def ulp_distance(
    actual: Tree,
    expected: Tree,
    *,
    tolerance: Real,
    mask: Tree | None = None,
    order: Order = (),
    name: str = "ulp_distance",
) -> Comparison:
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

    return judge(
        name, tolerance, errors, mismatch=_dtypes_differ, mask=mask, order=order, actual=actual, expected=expected
    )


def _check_noise(noise: Tree, tolerance: Real) -> None:
    """Raise a ValueError if a noise comes with a tolerance of 0, because the size noise / tolerance has no meaning."""
    if tolerance == 0 and not (np.ndim(noise) == 0 and noise == 0):
        raise ValueError("noise needs a tolerance above 0; use max_abs for an absolute tolerance alone")


def _beside_noise(
    measure: Callable[[NDArray[Any], NDArray[Any]], float],
    errors: NDArray[Any],
    expected: NDArray[Any],
    noise: NDArray[Any],
    tolerance: Real,
) -> float:
    """Return the size of the errors, divided by max(size of expected, size of noise / tolerance)."""
    by_size, by_noise = measure(errors, expected), measure(errors, noise)
    return min(by_size, tolerance * by_noise) if noise.any() else by_size


def _bits(array: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """Return the bits of each element as an integer."""
    return array.view(f"u{array.itemsize}")
