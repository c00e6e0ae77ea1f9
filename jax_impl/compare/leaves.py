"""How the arrays of one leaf are compared. Use `jax_impl.compare`."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jax_impl.compare.arithmetic import Signs

Leaf = dict[str, NDArray[Any]]  # the arrays of a leaf, by the role of their tree (`actual`, …), the expected one last


class Found(NamedTuple):
    """What a leaf shows: the measured number, the place of its largest error, and the numbers found there.

    It is harmless if only axes of length 1 are in the way: the values agree.
    """

    measured: float
    where: str
    detail: str
    harmless: bool = False


class Rule(NamedTuple):
    """How a comparison judges a leaf.

    `errors` takes the arrays and returns the error of each element. `measure` takes these errors, the leaf's noise and
    the arrays, and returns the measured number. `mismatch` says why arrays cannot be compared; an empty string if they
    can. `fills` finds the elements that are compared apart from the numbers; None if there are none.
    """

    tolerance: float
    errors: Callable[..., NDArray[Any]]
    measure: Callable[..., float]
    mismatch: Callable[[Leaf], str]
    fills: Callable[[NDArray[Any]], Signs] | None


def examined(path: str, leaf: Leaf, rule: Rule, mask: NDArray[Any] | None, noise: NDArray[Any]) -> Found:
    """Compare the arrays of a leaf, which have the same number of elements or different shapes."""
    shape = list(leaf.values())[-1].shape
    complaint = differ("shape", leaf)
    if complaint and not _same_but_ones(leaf):
        return Found(math.inf, path, complaint)
    if complaint:
        found = examined(path, {role: array.reshape(shape) for role, array in leaf.items()}, rule, mask, noise)
        agree = found.measured <= rule.tolerance
        values = "agree" if agree else f"differ at {found.where}, {found.detail}"
        return Found(
            math.inf, path, f"{complaint}: only axes of length 1 differ, and the values {values}", harmless=agree
        )
    complaint = rule.mismatch(leaf)
    if complaint:
        return Found(math.inf, path, complaint)
    return _measured(path, leaf, rule, _kept(path, shape, mask), noise)


def differ(attribute: str, leaf: Leaf) -> str:
    """Say that the arrays of a leaf differ in this attribute; return an empty string if they do not."""
    values = {role: getattr(array, attribute) for role, array in leaf.items()}
    if len(set(values.values())) == 1:
        return ""
    return f"{attribute} differs: " + ", ".join(f"{role} {value}" for role, value in values.items())


def _measured(path: str, leaf: Leaf, rule: Rule, kept: NDArray[Any], noise: NDArray[Any]) -> Found:
    arrays = [np.atleast_1d(array) for array in leaf.values()]  # arithmetic turns 0-d arrays into scalars
    arrays = [_zeroed(array, ~kept) for array in arrays]
    failing = np.zeros_like(kept)
    if rule.fills:
        filled, failing = _fills([rule.fills(array) for array in arrays[1:]], arrays)
        arrays = [_zeroed(array, filled) for array in arrays]
        failing |= ~np.logical_and.reduce([np.isfinite(array) for array in arrays])
    if failing.any():
        measured, errors = math.inf, failing
    else:
        errors = rule.errors(*arrays)
        measured = rule.measure(errors, _zeroed(noise, ~kept) if noise.ndim else np.atleast_1d(noise), *arrays)
    shape = list(leaf.values())[-1].shape
    index = np.unravel_index(int(np.argmax(errors)), shape)
    where = f"{path}[{', '.join(map(str, index))}]" if index else path
    detail = _numbers(leaf, index)
    if noise.any():
        detail += f", noise {np.abs(noise).max():.3g}"
    return Found(measured, where, detail)


def _kept(path: str, shape: tuple[int, ...], mask: NDArray[Any] | None) -> NDArray[np.bool_]:
    """Return which elements are compared, in at least one dimension."""
    if not math.prod(shape):
        raise ValueError(f"{path}: nothing to compare: shape {shape} has no elements")
    if mask is None:
        return np.ones(shape or 1, bool)
    if mask.dtype != bool:
        raise TypeError(f"the mask of {path} must be boolean, True where elements are compared, got {mask.dtype}")
    if mask.shape != shape:
        raise ValueError(f"the mask of {path} must have its shape {shape}, got {mask.shape}: use np.broadcast_to")
    if not mask.any():
        raise ValueError(f"{path}: nothing to compare: its mask is False everywhere")
    return np.atleast_1d(mask)


def _fills(signs: list[Signs], arrays: list[NDArray[Any]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where arrays other than the first have fill values, and where the arrays do not agree about them.

    The first two arrays must be equal there. A third one, the exact result in a wider dtype, must have a fill of the
    same sign: `finfo.min` is another number in another dtype.
    """
    filled = np.logical_or.reduce([sign != 0 for sign in signs])
    unequal = arrays[0].astype(np.float64) != arrays[1].astype(np.float64)
    for sign in signs[1:]:
        unequal |= sign != signs[0]
    return filled, filled & unequal


def _zeroed(array: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the array with zeros at these places, where it is neither an error nor a part of the scale."""
    if not where.any():
        return array
    array = array.copy()
    array[where] = 0
    return array


def _same_but_ones(leaf: Leaf) -> bool:
    """Return whether the shapes differ only by axes of length 1, and there are elements."""
    shapes = {tuple(length for length in array.shape if length != 1) for array in leaf.values()}
    return len(shapes) == 1 and 0 not in shapes.pop()


def _numbers(leaf: Leaf, index: tuple[Any, ...]) -> str:
    """Return what the arrays hold at an index. Numbers of different dtypes are told apart by dtype and by more digits.

    The exact result, which is in a wider dtype by design, does not count as different.
    """
    actual, expected = list(leaf.values())[:2]
    if actual.dtype == expected.dtype:
        return ", ".join(f"{role} {array[index]!s}" for role, array in leaf.items())
    return ", ".join(f"{role} {_all_digits(array[index])} ({array.dtype})" for role, array in leaf.items())


def _all_digits(number: Any) -> str:
    return f"{number!s}" if number.dtype.kind in "biu" else f"{float(number)!r}"
