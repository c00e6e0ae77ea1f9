"""Arrays of the two sides that differ in the order of their axes, such as channels last and channels first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

import numpy as np

from jax_impl.parity.arrays import Array, inexact, is_fill, sampled

LARGEST_RANK = 5  # of arrays whose axes are permuted: 120 orders
UNCLEAR = 0.1  # relative error above which the order of axes is not certain
NEAR = 1.3  # times the least error: that of arrays which have nothing in common varies by so much from order to order
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Axes:
    """How an array of ours becomes one of theirs: transposed by `order`, or only reshaped if that is None.

    Where theirs is a single row that ours repeats (`repeated`), the first of ours is theirs.

    `features` is set where the last axis is a flattened image whose values the two sides list in another order: ours
    are theirs at these indices.
    """

    order: tuple[int, ...] | None
    theirs: Shape
    ours: Shape
    features: Array | None = field(default=None, compare=False)
    repeated: bool = False

    def to_theirs(self, array: Any) -> Any:
        """Return our array (NumPy or JAX) in their layout."""
        if self.repeated:
            return array[tuple(slice(length) for length in self.theirs)]
        if self.features is not None:
            array = array[..., np.argsort(self.features)]
        return array.reshape(self.theirs) if self.order is None else array.transpose(self.order)

    def to_ours(self, array: Any) -> Any:
        """Return their array (NumPy or JAX) in our layout."""
        if self.repeated:
            return array + np.zeros(self.ours, array.dtype)
        order = None if self.order is None else tuple(int(axis) for axis in np.argsort(self.order))
        array = array.reshape(self.ours) if order is None else array.transpose(order)
        return array if self.features is None else array[..., self.features]


def candidates(theirs: Shape, ours: Shape, features: Sequence[Array] = ()) -> list[Axes]:
    """Return the layouts that fit: as it is, channels last, then all others; a reshape if nothing else fits.

    Each is also tried with the orders in `features` that fit the last axis.
    """
    plain = _plain(theirs, ours)
    fitting = [order for order in features if ours and len(order) == ours[-1]]
    return plain + [replace(axes, features=order) for axes in plain for order in fitting]


def _plain(theirs: Shape, ours: Shape) -> list[Axes]:
    if len(theirs) == len(ours) <= LARGEST_RANK:
        rank = len(ours)
        channels_last = (0, rank - 1, *range(1, rank - 1))
        orders = dict.fromkeys([tuple(range(rank)), channels_last, *permutations(range(rank))]) if rank else {(): None}
        found = [Axes(order, theirs, ours) for order in orders if tuple(ours[axis] for axis in order) == theirs]
        if found:
            return found
        if all(a in (1, b) for a, b in zip(theirs, ours, strict=True)):
            return [Axes(None, theirs, ours, repeated=True)]
    same_size = int(np.prod(theirs)) == int(np.prod(ours))
    return [Axes(None, theirs, ours)] if same_size else []


@dataclass(frozen=True)
class Match:
    """Which of our call's arrays is theirs, and its layout."""

    index: int
    axes: Axes
    error: float  # relative to theirs, in the L2 norm


def match(
    theirs: Sequence[tuple[Shape, Array]],
    ours: Sequence[Array],
    *,
    limit: int,
    features: Sequence[Array] = (),
    usual: Collection[tuple[int, ...] | None] = (),
) -> list[Match | None]:
    """Pair the arrays of a call, in order, by shape; where several fit, take the one that agrees best.

    An array that the reference passes several times is the same one of ours each time. Whole numbers
    are paired with truth values only if they are the same, as 0 and 1; floats never are. Masks that are added (with
    fill values) are never paired with masks that are multiplied.

    Args:
        theirs: Shapes with the stored arrays, which are samples if the whole has more than `limit` elements.
        ours: Whole arrays.
        limit: As above.
        features: Orders of flattened features (`candidates`).
        usual: Orders of axes that are known from arrays that agree. Where nothing agrees, all orders are about as far
            off: then a usual one is taken.
    """
    free = list(range(len(ours)))
    found: list[Match | None] = []
    for number, (shape, reference) in enumerate(theirs):
        same = next((one for one in range(number) if _same(theirs[one], theirs[number])), None)
        if same is not None:
            found.append(found[same])
            continue
        fitting = [
            Match(index, axes, relative_error(sampled(axes.to_theirs(ours[index]), limit), reference))
            for index in free
            if _comparable(ours[index], reference)
            for axes in candidates(shape, ours[index].shape, features)
            if _holds(axes, ours[index])
        ]
        fitting = [one for one in fitting if _kind(ours[one.index]) == _kind(reference) or one.error == 0]
        best = _chosen(fitting, usual)
        found.append(best)
        if best is not None:
            free.remove(best.index)
    return found


def _chosen(fitting: Sequence[Match], usual: Collection[tuple[int, ...] | None]) -> Match | None:
    """Return the match that agrees best, or a usual one that is hardly worse if none agrees."""
    best = min(fitting, key=lambda one: one.error, default=None)
    if best is None or best.error <= UNCLEAR:
        return best
    near = [one for one in fitting if one.index == best.index and not one.error > NEAR * best.error]
    return next((one for one in near if one.axes.features is None and one.axes.order in usual), best)


def _same(a: tuple[Shape, Array], b: tuple[Shape, Array]) -> bool:
    return a[0] == b[0] and (a[1] is b[1] or np.array_equal(a[1], b[1]))


def _comparable(ours: Array, theirs: Array) -> bool:
    return inexact(ours) == inexact(theirs) and bool(is_fill(ours).any()) == bool(is_fill(theirs).any())


def _kind(array: Array) -> str:
    return "f" if inexact(array) else "b" if array.dtype == bool else "i"


def _holds(axes: Axes, ours: Array) -> bool:
    """Return whether ours repeats its first row, if the layout says so."""
    return not axes.repeated or np.array_equal(ours, axes.to_ours(axes.to_theirs(ours)), equal_nan=True)


def relative_error(actual: Array, expected: Array) -> float:
    """Return ‖actual - expected‖ / ‖expected‖ over the elements that are no fill values; NaN counts as infinite."""
    a, b = (np.asarray(array).astype(np.float64).reshape(-1) for array in (actual, expected))
    kept = ~(is_fill(a) & is_fill(b))
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.linalg.norm((a - b)[kept])
    if not np.isfinite(difference):
        return float("inf")
    scale = np.linalg.norm(b[kept])
    return float(difference / scale) if scale else float(difference)
