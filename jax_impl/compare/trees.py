"""How trees are compared leaf by leaf, and the arithmetic that the comparisons share. Use `jax_impl.compare`."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.results import Comparison, Real, check_tolerance, compared, real_array

Tree = Any  # an array, or a dict, list, tuple or NamedTuple of trees
Floats = NDArray[np.float64]
# Takes a leaf's array from each tree; returns the measured number and the error of each element.
Measure = Callable[..., tuple[float, NDArray[Any]]]

# The distance from 1 to the next larger number. np.finfo does not know bfloat16.
_EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


class _LeafResult(NamedTuple):
    measured: float
    where: str
    detail: str


def judge(
    name: str,
    tolerance: Real,
    measure: Measure,
    mismatch: Callable[[dict[str, NDArray[Any]]], str] | None = None,
    *,
    finite: bool = True,
    **trees: Tree,
) -> Comparison:
    """Compare trees leaf by leaf and return the result of the worst leaf.

    Args:
        name: Of the comparison.
        tolerance: The largest measured number that passes, finite and at least 0.
        measure: Measures one leaf. The arrays come in the order of `trees`.
        mismatch: Says why the arrays of a leaf, by role, cannot be compared; an empty string if they can.
        finite: Whether NaN and infinities fail before `measure` is called.
        trees: The trees by role (`actual`, …), the expected one last.

    Raises:
        ValueError: The tolerance is out of range, there are no leaves or elements, or two leaves have the same path.
        TypeError: A leaf is not an array of real numbers.
    """
    check_tolerance("tolerance", tolerance)
    by_role = {role: _flatten(role, tree) for role, tree in trees.items()}
    paths = [path for leaves in reversed(by_role.values()) for path in leaves]  # in the order of the expected tree
    if not paths:
        raise ValueError(f"{name}: nothing to compare: the trees have no leaves")
    results = []
    for path in dict.fromkeys(paths):
        leaves = {role: flat[path] for role, flat in by_role.items() if path in flat}
        complaint = _structure_differs(leaves, by_role) or (mismatch(leaves) if mismatch else "")
        if complaint:
            results.append(_LeafResult(math.inf, path, complaint))
        else:
            results.append(_measure_leaf(path, leaves, measure, finite=finite))
    failing = [leaf for leaf in results if not leaf.measured <= tolerance]
    worst = max(results, key=lambda leaf: leaf.measured)
    detail = worst.detail
    if failing and len(results) > 1:
        first = failing[0]
        detail += f"; {len(failing)} of {len(results)} leaves fail, first {first.where}"
        if first is not worst:
            detail += f": measured {first.measured:.6g}, {first.detail}"
    return compared(name, worst.measured, tolerance, where=worst.where, detail=detail)


def _measure_leaf(path: str, leaves: dict[str, NDArray[Any]], measure: Measure, *, finite: bool) -> _LeafResult:
    shape = next(iter(leaves.values())).shape
    arrays = [np.atleast_1d(array) for array in leaves.values()]  # arithmetic turns 0-d arrays into scalars
    if not arrays[0].size:
        raise ValueError(f"{path}: nothing to compare: shape {shape} has no elements")
    not_finite = ~np.logical_and.reduce([np.isfinite(array) for array in arrays])
    if finite and not_finite.any():
        measured, errors = math.inf, not_finite
    else:
        measured, errors = measure(*arrays)
    index = np.unravel_index(int(np.argmax(errors)), shape)
    where = f"{path}[{', '.join(map(str, index))}]" if index else path
    return _LeafResult(measured, where, ", ".join(f"{role} {array[index]!s}" for role, array in leaves.items()))


def _flatten(role: str, tree: Tree) -> dict[str, NDArray[Any]]:
    """Return the leaves of a tree by their dotted paths."""
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


def dtypes_differ(leaves: dict[str, NDArray[Any]]) -> str:
    """Say that the arrays of a leaf, by role, have different dtypes; return an empty string if they do not."""
    return _differ("dtype", {role: array.dtype for role, array in leaves.items()})


def _differ(attribute: str, by_role: dict[str, Any]) -> str:
    if len(set(by_role.values())) == 1:
        return ""
    return f"{attribute} differs: " + ", ".join(f"{role} {value}" for role, value in by_role.items())


def largest(errors: Floats) -> tuple[float, Floats]:
    """Return the largest error, and the errors: the result of a `Measure`."""
    return float(errors.max()), errors


def magnitude(array: NDArray[Any]) -> Floats:
    """Return |array| in float64."""
    return np.abs(array.astype(np.float64))


def distance(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return |a - b| in float64; inf if it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        difference: Floats = np.abs(a.astype(np.float64) - b.astype(np.float64))
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        difference = np.maximum(difference, a != b)  # beyond 2**53 neighbouring integers are equal in float64
    return difference


def ratio(errors: Floats, scale: Any) -> Floats:
    """Return errors / scale. 0 / 0 is 0; any other error divided by 0 is inf."""
    quotient = np.zeros_like(errors)
    with np.errstate(divide="ignore", over="ignore"):
        np.divide(errors, scale, out=quotient, where=errors > 0)
    return quotient


def norm_ratio(errors: NDArray[Any], scale: NDArray[Any]) -> float:
    """Return ‖errors‖ / ‖scale‖; 0 / 0 is 0."""
    top, bottom = magnitude(errors), magnitude(scale)
    top_max, bottom_max = float(top.max()), float(bottom.max())
    if top_max == 0:
        return 0.0
    if bottom_max == 0 or math.isinf(top_max):
        return math.inf
    norms = np.linalg.norm(top / top_max) / np.linalg.norm(bottom / bottom_max)  # the squares cannot overflow
    return top_max / bottom_max * float(norms)


def epsilon(array: NDArray[Any]) -> float:
    """Return the distance from 1 to the next larger number in the array's dtype.

    Raises:
        TypeError: The dtype is not float16, bfloat16, float32 or float64.
    """
    if array.dtype.name not in _EPSILON:
        raise TypeError(f"leaves must be {', '.join(_EPSILON)}, got {array.dtype}")
    return _EPSILON[array.dtype.name]


def rank(array: NDArray[Any]) -> NDArray[np.uint64]:
    """Return how many steps from one representable number to the next each element is away from 0."""
    bits = np.frombuffer(array.tobytes(), f"u{array.itemsize}").reshape(array.shape).astype(np.uint64)
    sign_bit = np.uint64(1 << (8 * array.itemsize - 1))
    return bits & ~sign_bit
