"""Framework-neutral comparisons: NumPy in, a measured number and a verdict out.

    compare.relative_l2(jax_grads, torch_grads, tolerance=1e-5).require()

Arguments are anything `np.asarray` takes (detach torch tensors first), alone or in nested dicts, lists, tuples and
NamedTuples. Leaves are matched by their dotted path, so a flat `{"linear1.weight": …}` matches a nested
`{"linear1": {"weight": …}}`. In every comparison

- NaN fails, on either side and against NaN; an infinity fails too, except in `exact`;
- another shape, a missing or an extra leaf fails by name: nothing is broadcast or skipped;
- nothing to compare (no leaves, no elements, no steps) is a ValueError: it would pass whatever the port did;
- complex and object arrays are a TypeError; integers, booleans and bfloat16 are welcome;
- differences are taken in float64.

The comparisons of samples are in `compare_stats` and are re-exported here.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare_stats import (
    Comparison,
    Equivalence,
    Real,
    Significance,
    check_tolerance,
    holm,
    ks_two_sample,
    moments,
    real_array,
    runs_needed,
    tost,
    tost_power,
)

__all__ = [
    "Comparison",
    "Equivalence",
    "Significance",
    "Trajectory",
    "allclose",
    "exact",
    "holm",
    "ks_two_sample",
    "max_abs",
    "max_relative",
    "moments",
    "not_worse_than",
    "relative_l2",
    "runs_needed",
    "tost",
    "tost_power",
    "trajectory",
    "ulp_distance",
]

Tree = Any  # an array, or dicts, lists, tuples and NamedTuples of trees
Floats = NDArray[np.float64]
Measure = Callable[..., tuple[float, NDArray[Any]]]  # arrays of a leaf -> measured, and the error of each element

# From 1 to the next larger number. A table, since np.finfo does not know bfloat16.
_EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


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

    Raises:
        TypeError: A leaf is not real.
        ValueError: There is nothing to compare.
    """

    def measure(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, NDArray[np.bool_]]:
        bits = [np.frombuffer(x.tobytes(), np.uint8).reshape(*x.shape, x.itemsize) for x in (a, b)]
        unequal = (bits[0] != bits[1]).any(-1) | np.isnan(a)
        return float(unequal.sum()), unequal

    return _judge(name, 0, measure, _dtypes_differ, finite=False, actual=actual, expected=expected)


def relative_l2(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "relative_l2") -> Comparison:
    """Compare ‖actual - expected‖ / ‖expected‖ of each leaf; the worst leaf is measured.

    The usual measure for gradients, whose single elements may be all rounding. A leaf that should be all zeros
    must be all zeros. The worst element is the one furthest off.

    Raises:
        TypeError: A leaf is not real.
        ValueError: There is nothing to compare, or the tolerance is not finite and at least 0.
    """

    def measure(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, Floats]:
        errors = _distance(a, b)
        return _norm_ratio(errors, b), errors

    return _judge(name, tolerance, measure, actual=actual, expected=expected)


def max_abs(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "max_abs") -> Comparison:
    """Compare the largest |actual - expected| of all elements of all leaves.

    Raises:
        TypeError: A leaf is not real.
        ValueError: There is nothing to compare, or the tolerance is not finite and at least 0.
    """
    return _judge(name, tolerance, lambda a, b: _largest(_distance(a, b)), actual=actual, expected=expected)


def max_relative(actual: Tree, expected: Tree, *, tolerance: Real, name: str = "max_relative") -> Comparison:
    """Compare the largest |actual - expected| of each leaf, relative to the leaf's largest |expected|.

    For leaves whose elements share one scale, as logits do: an element that happens to be near 0 is not held to
    a relative error of its own; `allclose` does that.

    Raises:
        TypeError: A leaf is not real.
        ValueError: There is nothing to compare, or the tolerance is not finite and at least 0.
    """
    return _judge(
        name,
        tolerance,
        lambda a, b: _largest(_ratio(_distance(a, b), _magnitude(b).max())),
        actual=actual,
        expected=expected,
    )


def allclose(actual: Tree, expected: Tree, *, rtol: Real, atol: Real = 0.0, name: str = "allclose") -> Comparison:
    """Compare each element by |actual - expected| <= rtol * |expected| + atol, as `np.allclose` does.

    `measured` is the largest |actual - expected| / (|expected| + atol / rtol), which the tolerance rtol bounds.

    Raises:
        TypeError: A leaf is not real.
        ValueError: There is nothing to compare, rtol is not above 0 (see `max_abs`), or atol is negative.
    """
    if not rtol > 0:
        raise ValueError(f"rtol must be above 0, got {rtol}; use max_abs for an absolute tolerance alone")
    check_tolerance("atol / rtol", atol / rtol)
    return _judge(
        name,
        rtol,
        lambda a, b: _largest(_ratio(_distance(a, b), _magnitude(b) + atol / rtol)),
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
        ValueError: There is nothing to compare, or the tolerance is not finite and at least 0.
    """

    def measure(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, Floats]:
        _epsilon(a)
        rank_a, rank_b = _rank(a), _rank(b)
        apart = np.maximum(rank_a, rank_b) - np.minimum(rank_a, rank_b)
        across = rank_a + rank_b  # at most 2**64 - 2**53, so uint64 holds it
        return _largest(np.where(np.signbit(a) == np.signbit(b), apart, across).astype(np.float64))

    return _judge(name, tolerance, measure, _dtypes_differ, actual=actual, expected=expected)


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
        ValueError: There is nothing to compare, or factor is not finite and at least 0.
    """

    def mismatch(leaves: dict[str, NDArray[Any]]) -> str:
        truth = leaves["exact"]
        if _epsilon(truth) >= _epsilon(leaves["reference"]):
            return f"exact must be wider than {leaves['reference'].dtype}, got {truth.dtype}"
        return _dtypes_differ({role: leaves[role] for role in ("actual", "reference")})

    def measure(a: NDArray[Any], r: NDArray[Any], e: NDArray[Any]) -> tuple[float, Floats]:
        errors = _distance(a, e)
        roundings = _norm_ratio(errors, e) / (_epsilon(r) / 2)
        return min(_norm_ratio(errors, _distance(r, e)), roundings), errors

    return _judge(name, factor, measure, mismatch, actual=actual, reference=reference, exact=exact)


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
        TypeError: A curve is not real.
        ValueError: There is nothing to compare, a curve has not one dimension, or the tolerance is out of range.
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
    errors = np.where(finite, _distance(a[:both], b[:both]), math.inf)
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


class _Leaf(NamedTuple):
    measured: float
    where: str
    detail: str


def _judge(
    name: str,
    tolerance: Real,
    measure: Measure,
    mismatch: Callable[[dict[str, NDArray[Any]]], str] | None = None,
    *,
    finite: bool = True,
    **trees: Tree,
) -> Comparison:
    """Measure every leaf of the trees, given by role, the one to hold the others against last."""
    check_tolerance("tolerance", tolerance)
    by_role = {role: _flatten(role, tree) for role, tree in trees.items()}
    paths = [path for leaves in reversed(by_role.values()) for path in leaves]  # in the order of the expected
    if not paths:
        raise ValueError(f"{name}: nothing to compare: the trees have no leaves")
    found = []
    for path in dict.fromkeys(paths):
        leaves = {role: flat[path] for role, flat in by_role.items() if path in flat}
        complaint = _structure_differs(leaves, by_role) or (mismatch(leaves) if mismatch else "")
        if complaint:
            found.append(_Leaf(math.inf, path, complaint))
        else:
            found.append(_measure_leaf(path, leaves, measure, finite=finite))
    failing = [leaf for leaf in found if not leaf.measured <= tolerance]
    worst = max(found, key=lambda leaf: leaf.measured)
    detail = worst.detail
    if failing and len(found) > 1:
        first = failing[0]
        detail += f"; {len(failing)} of {len(found)} leaves fail, first {first.where}"
        if first is not worst:
            detail += f": measured {first.measured:.6g}, {first.detail}"
    return Comparison(
        name=name,
        measured=worst.measured,
        tolerance=float(tolerance),
        passed=not failing,
        where=worst.where,
        detail=detail,
    )


def _measure_leaf(path: str, leaves: dict[str, NDArray[Any]], measure: Measure, *, finite: bool) -> _Leaf:
    shape = next(iter(leaves.values())).shape
    arrays = [np.atleast_1d(array) for array in leaves.values()]  # arithmetic turns 0-d arrays into scalars
    if not arrays[0].size:
        raise ValueError(f"{path}: nothing to compare: shape {shape} has no elements")
    broken = ~np.logical_and.reduce([np.isfinite(array) for array in arrays])
    if finite and broken.any():
        measured, errors = math.inf, broken
    else:
        measured, errors = measure(*arrays)
    index = np.unravel_index(int(np.argmax(errors)), shape)
    where = f"{path}[{', '.join(map(str, index))}]" if index else path
    return _Leaf(measured, where, ", ".join(f"{role} {array[index]!s}" for role, array in leaves.items()))


def _flatten(role: str, tree: Tree) -> dict[str, NDArray[Any]]:
    flat: dict[str, NDArray[Any]] = {}
    for path, leaf in _walk("", tree):
        if path in flat:
            raise ValueError(f"{role} has two leaves called {path}")
        flat[path] = real_array(f"{path} of {role}", leaf)
    return flat


def _walk(path: str, tree: Tree) -> Iterator[tuple[str, Any]]:
    dot = "." if path else ""
    if isinstance(tree, Mapping):
        children = [(f"{path}{dot}{key}", child) for key, child in tree.items()]
    elif isinstance(tree, tuple) and hasattr(tree, "_fields"):
        children = [(f"{path}{dot}{key}", child) for key, child in zip(tree._fields, tree, strict=True)]
    elif isinstance(tree, list | tuple):
        children = [(f"{path}[{index}]", child) for index, child in enumerate(tree)]
    else:
        yield path or "array", tree
        return
    for child_path, child in children:
        yield from _walk(child_path, child)


def _structure_differs(leaves: dict[str, NDArray[Any]], roles: Mapping[str, object]) -> str:
    missing = [role for role in roles if role not in leaves]
    if missing:
        return f"missing from {' and '.join(missing)}"
    return _differ("shape", {role: array.shape for role, array in leaves.items()})


def _dtypes_differ(leaves: dict[str, NDArray[Any]]) -> str:
    return _differ("dtype", {role: array.dtype for role, array in leaves.items()})


def _differ(what: str, by_role: dict[str, Any]) -> str:
    if len(set(by_role.values())) == 1:
        return ""
    return f"{what} differs: " + ", ".join(f"{role} {value}" for role, value in by_role.items())


def _largest(errors: Floats) -> tuple[float, Floats]:
    return float(errors.max()), errors


def _magnitude(array: NDArray[Any]) -> Floats:
    return np.abs(array.astype(np.float64))


def _distance(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return |a - b| in float64; inf where that overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        distance: Floats = np.abs(a.astype(np.float64) - b.astype(np.float64))
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        distance = np.maximum(distance, a != b)  # beyond 2**53 float64 calls neighbouring integers equal
    return distance


def _ratio(errors: Floats, scale: Any) -> Floats:
    """Return errors / scale, where 0 / 0 is no error and anything else / 0 an infinite one."""
    ratio = np.zeros_like(errors)
    with np.errstate(divide="ignore", over="ignore"):
        np.divide(errors, scale, out=ratio, where=errors > 0)
    return ratio


def _norm_ratio(errors: NDArray[Any], scale: NDArray[Any]) -> float:
    """Return ‖errors‖ / ‖scale‖, 0 / 0 being 0; both over their largest magnitude first, whose squares are safe."""
    top, bottom = _magnitude(errors), _magnitude(scale)
    top_scale, bottom_scale = float(top.max()), float(bottom.max())
    if top_scale == 0:
        return 0.0
    if bottom_scale == 0 or math.isinf(top_scale):
        return math.inf
    norms = np.linalg.norm(top / top_scale) / np.linalg.norm(bottom / bottom_scale)
    return top_scale / bottom_scale * float(norms)


def _epsilon(array: NDArray[Any]) -> float:
    if array.dtype.name not in _EPSILON:
        raise TypeError(f"leaves must be {', '.join(_EPSILON)}, got {array.dtype}")
    return _EPSILON[array.dtype.name]


def _rank(array: NDArray[Any]) -> NDArray[np.uint64]:
    """Return how many representable numbers lie between each element and 0."""
    bits = np.frombuffer(array.tobytes(), f"u{array.itemsize}").reshape(array.shape).astype(np.uint64)
    sign = np.uint64(1 << (8 * array.itemsize - 1))
    return bits & ~sign
