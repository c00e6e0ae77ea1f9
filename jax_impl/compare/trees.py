"""What the comparisons of `jax_impl.compare` do to every leaf of the trees, and their arithmetic in float64."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.results import Comparison, Real, check_tolerance, real_array

Tree = Any  # an array, or dicts, lists, tuples and NamedTuples of trees
Floats = NDArray[np.float64]
Measure = Callable[..., tuple[float, NDArray[Any]]]  # arrays of a leaf -> measured, and the error of each element

# From 1 to the next larger number. A table, since np.finfo does not know bfloat16.
_EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


class _Leaf(NamedTuple):
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


def dtypes_differ(leaves: dict[str, NDArray[Any]]) -> str:
    """Return the complaint that the leaves, by role, have not one dtype; empty if they have."""
    return _differ("dtype", {role: array.dtype for role, array in leaves.items()})


def _differ(what: str, by_role: dict[str, Any]) -> str:
    if len(set(by_role.values())) == 1:
        return ""
    return f"{what} differs: " + ", ".join(f"{role} {value}" for role, value in by_role.items())


def largest(errors: Floats) -> tuple[float, Floats]:
    """Return the largest error and the errors: what a `Measure` returns."""
    return float(errors.max()), errors


def magnitude(array: NDArray[Any]) -> Floats:
    """Return |array| in float64."""
    return np.abs(array.astype(np.float64))


def distance(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return |a - b| in float64; inf where that overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        apart: Floats = np.abs(a.astype(np.float64) - b.astype(np.float64))
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        apart = np.maximum(apart, a != b)  # beyond 2**53 float64 calls neighbouring integers equal
    return apart


def ratio(errors: Floats, scale: Any) -> Floats:
    """Return errors / scale, where 0 / 0 is no error and anything else / 0 an infinite one."""
    quotient = np.zeros_like(errors)
    with np.errstate(divide="ignore", over="ignore"):
        np.divide(errors, scale, out=quotient, where=errors > 0)
    return quotient


def norm_ratio(errors: NDArray[Any], scale: NDArray[Any]) -> float:
    """Return ‖errors‖ / ‖scale‖, 0 / 0 being 0; both over their largest magnitude first, whose squares are safe."""
    top, bottom = magnitude(errors), magnitude(scale)
    top_scale, bottom_scale = float(top.max()), float(bottom.max())
    if top_scale == 0:
        return 0.0
    if bottom_scale == 0 or math.isinf(top_scale):
        return math.inf
    norms = np.linalg.norm(top / top_scale) / np.linalg.norm(bottom / bottom_scale)
    return top_scale / bottom_scale * float(norms)


def epsilon(array: NDArray[Any]) -> float:
    """Return the spacing of the array's dtype at 1; a TypeError if it is no floating one."""
    if array.dtype.name not in _EPSILON:
        raise TypeError(f"leaves must be {', '.join(_EPSILON)}, got {array.dtype}")
    return _EPSILON[array.dtype.name]


def rank(array: NDArray[Any]) -> NDArray[np.uint64]:
    """Return how many representable numbers lie between each element and 0."""
    bits = np.frombuffer(array.tobytes(), f"u{array.itemsize}").reshape(array.shape).astype(np.uint64)
    sign = np.uint64(1 << (8 * array.itemsize - 1))
    return bits & ~sign
