"""How trees are compared leaf by leaf, and the arithmetic that the comparisons share. Use `jax_impl.compare`."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.results import Comparison, Real, check_tolerance, compared, real_array

Tree = Any  # an array, or a dict, list, tuple or NamedTuple of trees
Floats = NDArray[np.float64]
Leaf = dict[str, NDArray[Any]]  # the arrays of a leaf, by the role of their tree (`actual`, …)

# The distance from 1 to the next larger number. np.finfo does not know bfloat16.
_EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


def largest(errors: NDArray[Any], *_: NDArray[Any]) -> float:
    """Measure a leaf by its largest error."""
    return float(errors.max())


def judge(
    name: str,
    tolerance: Real,
    errors: Callable[..., NDArray[Any]],
    *,
    measure: Callable[..., float] = largest,
    mismatch: Callable[[Leaf], str] = lambda _: "",
    finite: bool = True,
    **trees: Tree,
) -> Comparison:
    """Compare trees leaf by leaf and return the result of the worst leaf.

    Args:
        name: Of the comparison.
        tolerance: The largest measured number that passes, finite and at least 0.
        errors: Takes a leaf's arrays in the order of `trees` and returns the error of each element.
        measure: Takes these errors and the arrays, and returns the measured number.
        mismatch: Says why the arrays of a leaf cannot be compared; an empty string if they can.
        finite: Whether NaN and infinities fail before `errors` is called.
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
        leaf = {role: leaves[path] for role, leaves in by_role.items() if path in leaves}
        missing = " and ".join(role for role in by_role if role not in leaf)
        complaint = f"missing from {missing}" if missing else differ("shape", leaf) or mismatch(leaf)
        if complaint:
            measured, where, detail = math.inf, path, complaint
        else:
            measured, where, detail = _measured(path, leaf, errors, measure, finite=finite)
        results.append(compared(Comparison, name, measured, tolerance, where=where, detail=detail))
    failing = [result for result in results if not result.passed]
    worst = max(results, key=lambda result: result.measured)
    if not failing or len(results) == 1:
        return worst
    first = failing[0]
    detail = f"{worst.detail}; {len(failing)} of {len(results)} leaves fail, first {first.where}"
    if first is not worst:
        detail += f": measured {first.measured:.6g}, {first.detail}"
    return replace(worst, detail=detail)


def _measured(
    path: str, leaf: Leaf, errors: Callable[..., NDArray[Any]], measure: Callable[..., float], *, finite: bool
) -> tuple[float, str, str]:
    """Return the measured number of a leaf, the place of its largest error, and the numbers found there."""
    shape = next(iter(leaf.values())).shape
    arrays = [np.atleast_1d(array) for array in leaf.values()]  # arithmetic turns 0-d arrays into scalars
    if not arrays[0].size:
        raise ValueError(f"{path}: nothing to compare: shape {shape} has no elements")
    not_finite = ~np.logical_and.reduce([np.isfinite(array) for array in arrays])
    if finite and not_finite.any():
        measured, found = math.inf, not_finite
    else:
        found = errors(*arrays)
        measured = measure(found, *arrays)
    index = np.unravel_index(int(np.argmax(found)), shape)
    where = f"{path}[{', '.join(map(str, index))}]" if index else path
    return measured, where, ", ".join(f"{role} {array[index]!s}" for role, array in leaf.items())


def _flatten(role: str, tree: Tree) -> dict[str, NDArray[Any]]:
    """Return the leaves of a tree by their dotted paths."""
    flat: dict[str, NDArray[Any]] = {}
    for path, leaf in _walk("", tree):
        if path in flat:
            raise ValueError(f"{role} has two leaves called {path}")
        flat[path] = real_array(f"{path} of {role}", leaf)
    return flat


def _walk(path: str, tree: Tree) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, tuple) and hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if isinstance(tree, Mapping):
        children = [(f"{path}.{key}" if path else f"{key}", child) for key, child in tree.items()]
    elif isinstance(tree, list | tuple):
        children = [(f"{path}[{index}]", child) for index, child in enumerate(tree)]
    else:
        yield path or "array", tree
        return
    for child_path, child in children:
        yield from _walk(child_path, child)


def differ(attribute: str, leaf: Leaf) -> str:
    """Say that the arrays of a leaf differ in this attribute; return an empty string if they do not."""
    values = {role: getattr(array, attribute) for role, array in leaf.items()}
    if len(set(values.values())) == 1:
        return ""
    return f"{attribute} differs: " + ", ".join(f"{role} {value}" for role, value in values.items())


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
    """Return the distance from 1 to the next larger number in the array's dtype, or raise a TypeError."""
    if array.dtype.name not in _EPSILON:
        raise TypeError(f"leaves must be {', '.join(_EPSILON)}, got {array.dtype}")
    return _EPSILON[array.dtype.name]
