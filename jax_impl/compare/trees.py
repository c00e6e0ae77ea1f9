"""How trees are compared leaf by leaf. Use `jax_impl.compare`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.arithmetic import Signs, infinite_signs, largest
from jax_impl.compare.leaves import Found, Leaf, Rule, examined
from jax_impl.compare.results import Comparison, Real, check_tolerance, compared, real_array

Tree = Any  # an array, or a dict, list, tuple or NamedTuple of trees

_LISTED = 10  # failing leaves in a message, beside the first one


def judge(
    name: str,
    tolerance: Real,
    errors: Callable[..., NDArray[Any]],
    *,
    measure: Callable[..., float] = largest,
    mismatch: Callable[[Leaf], str] = lambda _: "",
    fills: Callable[[NDArray[Any]], Signs] | None = infinite_signs,
    mask: Tree | None = None,
    noise: Tree = 0.0,
    order: Sequence[str] = (),
    **trees: Tree,
) -> Comparison:
    """Compare trees leaf by leaf and return the result of the worst leaf.

    Args:
        name: Of the comparison.
        tolerance: The largest measured number that passes, finite and at least 0.
        errors: See `Rule`, also for `measure`, `mismatch` and `fills`.
        measure: Of a leaf.
        mismatch: Of a leaf.
        fills: Of an array.
        mask: By leaf, which elements are compared; None compares all.
        noise: By leaf, a number or an array of the leaf's shape. One number holds for all leaves.
        order: Names of leaves, or of what holds them, in the order in which they are reported.
        trees: The trees by role (`actual`, …), the expected one last.

    Raises:
        ValueError: The tolerance is out of range, there are no leaves or elements, two leaves have the same path, or a
            mask or a noise does not fit.
        TypeError: A leaf is not an array of real numbers, or a mask is not boolean.
    """
    check_tolerance("tolerance", tolerance)
    rule = Rule(float(tolerance), errors, measure, mismatch, fills)
    by_role = {role: _flatten(role, tree) for role, tree in trees.items()}
    paths = [path for leaves in reversed(by_role.values()) for path in leaves]  # in the order of the expected tree
    if not paths:
        raise ValueError(f"{name}: nothing to compare: the trees have no leaves")
    masks = {} if mask is None else _by_leaf("mask", mask, paths)
    noises = _noises(noise, paths)
    results = {}
    for path in sorted(dict.fromkeys(paths), key=lambda path: _rank(path, order)):
        leaf = {role: leaves[path] for role, leaves in by_role.items() if path in leaves}
        missing = " and ".join(role for role in by_role if role not in leaf)
        if missing:
            results[path] = Found(np.inf, path, f"missing from {missing}")
        else:
            results[path] = examined(path, leaf, rule, masks.get(path), _noise_of(path, leaf, noises))
    return _worst(name, tolerance, results)


def _worst(name: str, tolerance: Real, results: Mapping[str, Found]) -> Comparison:
    """Return the comparison of the worst leaf, which names all others that fail."""
    failing = {path: found for path, found in results.items() if not found.measured <= tolerance}
    serious = [found for found in failing.values() if not found.harmless]
    worst = max(serious or list(failing.values()) or list(results.values()), key=lambda found: found.measured)
    fields = {"where": worst.where, "detail": worst.detail, "failing": tuple(failing)}
    comparison = compared(Comparison, name, worst.measured, tolerance, **fields)
    if not failing or len(results) == 1:
        return comparison
    first, *others = failing.values()
    detail = f"{worst.detail}; {len(failing)} of {len(results)} leaves fail, first {first.where}"
    if first is not worst:
        detail += f": measured {first.measured:.6g}, {first.detail}"
    told = [found for found in others if found is not worst]
    if told:
        detail += f"; then {', '.join(map(_short, told[:_LISTED]))}"
        detail += f" and {len(told) - _LISTED} more" if len(told) > _LISTED else ""
    return replace(comparison, detail=detail)


def _short(found: Found) -> str:
    return f"{found.where} ({f'{found.measured:.3g}' if np.isfinite(found.measured) else found.detail})"


def _rank(path: str, order: Sequence[str]) -> int:
    """Return the place of the first name in `order` that is the leaf's or holds the leaf; the end if there is none."""
    for place, name in enumerate(order):
        if path == name or path.startswith((f"{name}.", f"{name}[")):
            return place
    return len(order)


def _noises(noise: Tree, paths: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the noise by leaf."""
    if isinstance(noise, Mapping | list | tuple) or np.ndim(noise):
        return _by_leaf("noise", noise, paths)
    check_tolerance("noise", float(noise))
    return dict.fromkeys(paths, np.asarray(noise))


def _noise_of(path: str, leaf: Leaf, noises: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the noise of a leaf, 0 if there is none, in at most the leaf's dimensions."""
    noise, shape = noises.get(path, np.zeros(())), list(leaf.values())[-1].shape
    if noise.shape not in {(), shape}:
        raise ValueError(f"the noise of {path} must be one number or have its shape {shape}, got shape {noise.shape}")
    if not np.isfinite(noise).all() or (noise.ndim == 0 and noise < 0):
        raise ValueError(f"the noise of {path} must be finite, and a single number at least 0")
    return noise


def _by_leaf(label: str, tree: Tree, paths: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the leaves of a mask or a noise, whose names must be among those of the compared trees."""
    leaves = _flatten(label, tree)
    unknown = sorted(set(leaves) - set(paths))
    if unknown:
        raise ValueError(f"{label} has a leaf {unknown[0]}, and the trees do not: its names must be among theirs")
    return leaves


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
