"""Two arrays of two records, compared element by element."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jax_impl.figures.numbers import short
from jax_impl.parity.arrays import FILL, Array, inexact, is_fill, sample_indices
from jax_impl.parity.measures.likeness import likeness
from jax_impl.parity.measures.tolerances import ROUNDING_ONLY, Measured, Tolerance, digits
from jax_impl.parity.records.content import Reference

Floats = NDArray[np.float64]
FILLED = ("forward", "batches")  # files of arrays that may hold fill values
ABSURD = 1e10  # times the value: such noise is the rounding of fill values


@dataclass(frozen=True)
class Stored:
    """An array of a record, a part of one along its first axis, or a sum, with what is known of it.

    Attributes:
        reference: What the record says of it.
        array: The stored elements, flat.
        positions: Their places in the flattened array; None if all are stored.
        whole: Whether the norm and the largest value of the whole array are known.
    """

    reference: Reference
    array: Array
    positions: NDArray[np.int64] | None
    whole: bool = True


def stored(reference: Reference, array: Array) -> Stored:
    """Return an array as a record holds it."""
    flat = array.reshape(-1)
    positions = sample_indices(reference.size, flat.size) if flat.size < reference.size else None
    return Stored(reference, flat, positions)


def part(value: Stored, start: int, stop: int) -> Stored:
    """Return the part of an array between two indices of its first axis."""
    shape = value.reference.shape
    row = value.reference.size // shape[0] if shape and shape[0] else 0
    stop = min(stop, shape[0]) if shape else 0
    positions = np.arange(value.array.size) if value.positions is None else value.positions
    inside = (positions >= start * row) & (positions < stop * row)
    reference = replace(value.reference, shape=[max(stop - start, 0), *shape[1:]])
    share = math.sqrt(reference.size / value.reference.size) if value.reference.size else 0.0
    reference = replace(reference, noise=None if reference.noise is None else reference.noise * share)
    kept = None if value.positions is None else positions[inside] - start * row
    return Stored(reference, value.array[inside], kept, whole=False)


def total(values: Sequence[Stored]) -> Stored | None:
    """Return the sum of several arrays; None if their shapes differ."""
    first = values[0]
    if any(one.reference.shape != first.reference.shape or one.array.shape != first.array.shape for one in values):
        return None
    array = np.sum([one.array for one in values], axis=0, dtype=np.float64)
    noise = sum(one.reference.noise or 0.0 for one in values)
    return Stored(replace(first.reference, noise=noise), np.asarray(array), first.positions, whole=False)


def compare(
    tolerance: Tolerance,
    mine: Stored | None,
    reference: Stored | None,
    *,
    loose: bool = False,
    slack: float = 0.0,
) -> Measured:
    """Compare the port's array with the reference's.

    An array that the port holds in float32 has float32's rounding. NaN fails, on either side and on both. Where one
    side of a forward pass holds a fill value, the other must, too; in other arrays infinities fail. Integers and
    booleans must be equal. Of arrays that were sampled, the norm and the largest value of the whole array are compared,
    too.
    """
    if mine is None or reference is None:
        return _absent(mine, reference)
    ours, theirs = mine.reference, reference.reference
    if ours.shape != theirs.shape:
        return _differs(f"shape {tuple(ours.shape)} instead of {tuple(theirs.shape)}")
    loose = loose or (ours.dtype, theirs.dtype) == ("float32", "float64")
    a, b, positions = _common(mine, reference)
    if not a.size and theirs.size:
        return _differs("no element was stored on both sides")
    if not (inexact(a) or inexact(b)):
        return _integers(a, b, _Place(theirs, positions))
    a, b = (array if inexact(array) else array.astype(np.float64) for array in (a, b))
    fills = is_fill(b, theirs.dtype) & (theirs.file in FILLED)
    if complaint := _incomparable(a, b, fills, theirs):
        return _differs(complaint)
    kept = ~fills
    x, y = (np.where(kept, array, 0).astype(np.float64) for array in (a, b))
    found = _elements(tolerance, x, y, theirs, loose=loose, slack=slack)
    if not found.passed:
        text = _largest(x, y, _Place(theirs, positions))
        dtypes = f"; ours is {ours.dtype}, theirs {theirs.dtype}" if ours.dtype != theirs.dtype else ""
        return replace(found, detail=text + dtypes)
    if positions is not None and mine.whole and reference.whole and max(ours.largest, theirs.largest) < FILL:
        return _whole(tolerance, ours, theirs, loose=loose, slack=slack) or found
    return found


def _incomparable(a: Array, b: Array, fills: NDArray[np.bool_], theirs: Reference) -> str:
    """Return why two arrays of floats cannot be compared by their difference; `fills` are those of theirs."""
    nan = int(np.isnan(a).sum()), int(np.isnan(b).sum())
    if any(nan):
        return f"NaN in {nan[0]:,} of ours and {nan[1]:,} of theirs, of {a.size:,} elements"
    mine = is_fill(a, theirs.dtype) if theirs.file in FILLED else np.isinf(a)
    expected = fills if theirs.file in FILLED else np.zeros(b.shape, bool)
    unequal = (mine != expected) | np.isinf(b) & ~expected | fills & (np.sign(a) != np.sign(b))
    return f"{unequal.sum():,} of {a.size:,} elements are infinite or fill values on one side" if unequal.any() else ""


def _elements(
    tolerance: Tolerance, x: Floats, y: Floats, reference: Reference, *, loose: bool, slack: float
) -> Measured:
    """Compare the stored elements by the norm of their difference, relative unless they consist of rounding."""
    norm, difference = l2(y), l2(x - y)
    share = math.sqrt(y.size / reference.size) if reference.size else 1.0
    noise = reference.noise
    if noise is not None and (not math.isfinite(noise) or noise > ABSURD * max(norm, 1.0)):
        noise = None
    noise = None if noise is None else noise * share
    allowed, reason = tolerance.allowed(norm, noise, dtype=reference.dtype, loose=loose, slack=slack * share)
    scale = norm if norm and (noise or 0.0) < ROUNDING_ONLY * norm else 0.0
    if norm and not scale:
        reason = f"the value is rounding only, {short(norm)}: {reason}"
    unit = "relative" if scale else "absolute"
    return Measured(measured=difference / (scale or 1.0), allowed=allowed / (scale or 1.0), unit=unit, reason=reason)


def l2(values: Floats) -> float:
    """Return the L2 norm of finite numbers. np.linalg.norm's threads would wait for each other on small arrays."""
    largest = float(np.abs(values).max(initial=0.0))
    if 1e-150 < largest < 1e150:
        return math.sqrt(float(np.square(values).sum()))
    return largest * math.sqrt(float(np.square(values / largest).sum())) if largest else 0.0


def _whole(tolerance: Tolerance, ours: Reference, theirs: Reference, *, loose: bool, slack: float) -> Measured | None:
    """Compare the norm and the largest value of whole arrays, which differ by no more than the arrays do.

    Returns None if they agree.
    """
    allowed, reason = tolerance.allowed(theirs.norm, theirs.noise, dtype=theirs.dtype, loose=loose, slack=slack)
    for what in ("norm", "largest"):
        one, other = getattr(ours, what), getattr(theirs, what)
        if not abs(one - other) <= allowed:
            scale = theirs.norm or 1.0
            name = "norm" if what == "norm" else "largest value"
            detail = f"{name} of the whole array: ours {digits(one, other)}, theirs {digits(other, one)}"
            unit = "relative" if theirs.norm else "absolute"
            measured = abs(one - other) / scale
            return Measured(measured=measured, allowed=allowed / scale, unit=unit, reason=reason, detail=detail)
    return None


def _common(mine: Stored, reference: Stored) -> tuple[Array, Array, NDArray[np.int64] | None]:
    """Return the elements that both sides stored, and their places; None as places stands for all."""
    ours, theirs = mine.positions, reference.positions
    if theirs is None:
        return mine.array, reference.array if ours is None else reference.array[ours], ours
    if ours is None:
        return mine.array[theirs], reference.array, theirs
    if np.array_equal(ours, theirs):
        return mine.array, reference.array, ours
    left, right = (np.isin(one, other, assume_unique=True) for one, other in ((ours, theirs), (theirs, ours)))
    return mine.array[left], reference.array[right], ours[left]


def _absent(mine: Stored | None, reference: Stored | None) -> Measured:
    if mine is None and reference is None:
        return Measured(measured=0.0, allowed=0.0, detail="none on either side")
    if mine is not None and mine.reference.norm == 0 and not mine.array.any():  # NaN counts as any
        return Measured(measured=0.0, allowed=0.0, detail="zeros, and theirs has none")
    return _differs("ours has none" if mine is None else "theirs has none")


def _differs(detail: str) -> Measured:
    return Measured(measured=math.inf, allowed=0.0, detail=detail)


def _integers(a: Array, b: Array, place: "_Place") -> Measured:
    unequal = a != b
    detail = ""
    if unequal.any():
        first = int(np.flatnonzero(unequal)[0])
        detail = f"first at {place.index(first)}: ours {a[first]!s}, theirs {b[first]!s}"
    return Measured(
        measured=float(unequal.sum()), allowed=0.0, unit="unequal elements", reason="whole numbers", detail=detail
    )


def _largest(x: Floats, y: Floats, place: "_Place") -> str:
    """Return how two arrays are related, and where they differ most."""
    worst = int(np.argmax(np.abs(x - y)))
    text = f"largest at {place.index(worst)}: ours {digits(x[worst], y[worst])}, theirs {digits(y[worst], x[worst])}"
    hint = likeness(x, y)
    return f"{hint}; {text}" if hint else text


@dataclass(frozen=True)
class _Place:
    """Where the stored elements of an array are."""

    reference: Reference
    positions: NDArray[np.int64] | None

    def index(self, number: int) -> str:
        """Return the place of a stored element in the whole array."""
        if not self.reference.shape:
            return "the number"
        flat = number if self.positions is None else int(self.positions[number])
        return str([int(index) for index in np.unravel_index(flat, self.reference.shape)])
