"""The comparison of a port's rounding error with the original's. Use `jax_impl.compare`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.arithmetic import distance, epsilon, fill_signs, norm_ratio
from jax_impl.compare.leaves import Leaf, differ
from jax_impl.compare.results import Comparison, Real
from jax_impl.compare.trees import Tree, judge


def not_worse_than(
    actual: Tree,
    reference: Tree,
    exact: Tree,
    *,
    factor: Real = 10.0,
    noise: Tree = 0.0,
    mask: Tree | None = None,
    order: Sequence[str] = (),
    name: str = "not_worse_than",
) -> Comparison:
    """Compare the error of a port with the error of the original. Both are taken against a more precise result.

    `measured` is the largest ‖actual - exact‖ / max(‖reference - exact‖, ‖noise‖, f u ‖exact‖) of a leaf, in the L2
    norm. No tolerance per layer has to be guessed, because the original shows how large rounding errors are there
    (Higham, Accuracy and Stability of Numerical Algorithms, 2002, chapter 1).

    The factor is 10 because two correct programs add up in different orders. The rounding errors of a sum of n numbers
    grow like sqrt(n / 2k) if k partial sums are kept, and like sqrt(log2 n) if numbers are added in pairs (Higham,
    chapter 4). Every vector unit keeps 8 or more partial sums. So the errors of two correct sums differ by at most
    sqrt(n / (16 log2 n)): 5 for n = 4,608 (the longest sum in ResNet-18) and 10 for n = 25,000 (in VGG-16). Measured in
    ResNet-18: up to 1.7 between torch and XLA, up to 3 with inputs shifted by 20 standard deviations and Flax's fast
    variance, up to 7 between torch's own two memory layouts. Rounding the products' arguments of one layer to TF32
    gives at least 15 and usually more than 1,000; bfloat16 gives 8 times as much. An error below the factor can still
    be a mistake, such as a slightly different epsilon: compare in float64, too.

    The floor f u ‖exact‖ is for a reference that is exact by luck. u is the unit roundoff of the dtype (6e-8 in
    float32), the error of a correctly rounded result. f is 1 if a leaf has 100 elements or more, and 10 / sqrt(size) if
    it has fewer: a single number, such as a loss, is often right to many more digits than its computation deserves.

    Args:
        actual: The port's leaves: float16, bfloat16, float32 or float64.
        reference: The original's leaves, of the same dtypes.
        exact: The original's leaves computed in a wider dtype. The comparison fails if the dtype is not wider, as when
            JAX's float64 is not enabled.
        factor: How many times the original's error is allowed, at least 0.
        noise: What else is known about the size of rounding errors, by leaf.
        mask: Which elements to compare, by leaf.
        order: Of the leaves in the result.
        name: Of the comparison.

    Raises:
        TypeError: A leaf has another dtype.
    """
    return judge(
        name,
        factor,
        lambda a, _, e: distance(a, e),
        measure=_measure,
        mismatch=_mismatch,
        fills=fill_signs,
        noise=noise,
        mask=mask,
        order=order,
        actual=actual,
        reference=reference,
        exact=exact,
    )


def _mismatch(leaf: Leaf) -> str:
    if epsilon(leaf["exact"]) >= epsilon(leaf["reference"]):
        return f"exact must be wider than {leaf['reference'].dtype}, got {leaf['exact'].dtype}"
    return differ("dtype", {role: leaf[role] for role in ("actual", "reference")})


def _measure(
    errors: NDArray[Any], noise: NDArray[Any], _: NDArray[Any], reference: NDArray[Any], exact: NDArray[Any]
) -> float:
    floor = epsilon(reference) / 2 * max(1.0, 10 / math.sqrt(exact.size))
    by_reference = norm_ratio(errors, distance(reference, exact))
    by_noise = norm_ratio(errors, noise) if np.any(noise) else math.inf
    return min(by_reference, by_noise, norm_ratio(errors, exact) / floor)
