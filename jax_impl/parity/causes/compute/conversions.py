"""What converters of weights do to arrays: other layouts, other orders of rows, rounding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations
from math import prod

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Order = NDArray[np.int64]
Shape = tuple[int, ...]
AXES = 5  # of an array at most
PROBES = 64  # elements by which a change is rejected before it is computed


@dataclass(frozen=True)
class Change:
    """A rearrangement of an array that keeps its shape.

    Attributes:
        text: What was done: "transposed".
        fix: What to do instead, in one line.
        apply: Returns the changed array, as a view where that is possible.
    """

    text: str
    fix: str
    apply: Callable[[Floats], Floats]


def layouts(shape: Shape) -> Iterator[Change]:
    """Yield other orders of the axes, reshaping in place of transposing, and reversed axes; the simplest first."""
    n = len(shape)
    if not 1 <= n <= AXES:
        return
    orders = [order for order in permutations(range(n)) if order != tuple(range(n))]
    same = [order for order in orders if tuple(shape[axis] for axis in order) == shape]
    for order in same:
        yield Change(_axes_text(order, n), _axes_fix(n), partial(np.transpose, axes=order))
    for order in orders:
        yield _reshaped(shape, order)
    long = [axis for axis in range(n) if shape[axis] > 1]
    sets = [axes for count in range(1, len(long) + 1) for axes in combinations(long, count)]
    inner = tuple(axis for axis in long if axis > 1)
    for axes in sorted(sets, key=lambda axes: axes != inner):  # all axes of a kernel first
        yield Change(_flip_text(axes, n), _flip_fix(axes, n), partial(np.flip, axis=axes))
    if n > 2 and inner:
        for order in same:
            text = f"{_axes_text(order, n)}, and {_flip_text(inner, n)}"
            fix = f"{_axes_fix(n)}, and {_flip_fix(inner, n)}"
            yield Change(text, fix, partial(_turned, order=order, axes=inner))


def _turned(x: Floats, order: Shape, axes: Shape) -> Floats:
    return np.flip(x.transpose(order), axes)


def _reshaped(shape: Shape, order: Shape) -> Change:
    """Return the mistake of giving an array the shape that `order` of the axes has, by reshaping it."""
    back = tuple(int(axis) for axis in np.argsort(order))
    wanted = tuple(shape[axis] for axis in order)
    name = "transpose()" if len(shape) == 2 else f"transpose{order}"
    return Change(
        f"reshaped to the layout of axes {order} instead of transposed",
        f"use {name}, not reshape",
        lambda x: x.reshape(wanted).transpose(back),
    )


def _axes_text(order: Shape, n: int) -> str:
    if n == 2:
        return "transposed"
    if order == (1, 0, *range(2, n)):
        return "inputs and outputs (axes 0 and 1) exchanged"
    if order[:2] == (0, 1) and n == 4:
        return "height and width of the kernel exchanged"
    return f"axes in the order {order}"


def _axes_fix(n: int) -> str:
    if n == 2:
        return "transpose it once, kernel = weight.T"
    return "exchange the axes back, axes in torch's order (outputs, inputs, kernel)"


def _flip_text(axes: Shape, n: int) -> str:
    if n > 2 and axes == tuple(range(2, n)):
        return "kernel flipped along its spatial axes"
    return f"reversed along axis {axes[0]}" if len(axes) == 1 else f"reversed along the axes {axes}"


def _flip_fix(axes: Shape, n: int) -> str:
    if n > 2 and min(axes) > 1:
        return "flip the kernel exactly where the layer's convention needs it: Flax's ConvTranspose does not flip"
    return "do not reverse it" if len(axes) == 1 else "do not reverse these axes"


def looks_equal(changed: Floats, ours: Floats) -> bool:
    """Return whether some elements, spread over the array, are equal up to rounding."""
    if changed.shape != ours.shape:
        return False
    if not ours.size:
        return True
    places = np.unravel_index(np.arange(PROBES, dtype=np.int64) * 7919 * 31 % ours.size, ours.shape)
    return bool(np.allclose(changed[places], ours[places], rtol=1e-6, atol=1e-30))


def entries_order(theirs: Floats, ours: Floats, axis: int) -> Order | None:
    """Return in which order ours has the entries of theirs along an axis; None if it has not all of them.

    `ours` is `theirs.take(order, axis)`, in float32. Entries that occur several times stay in their place if they can.
    """
    first, second = (_rows(array, axis) for array in (theirs, ours))
    places: dict[bytes, list[int]] = {}
    for number, row in enumerate(first):
        places.setdefault(row, []).append(number)
    order = np.full(len(first), -1, np.int64)
    for number, row in enumerate(second):
        if number in places.get(row, ()):
            order[number] = number
            places[row].remove(number)
    for number, row in enumerate(second):
        if order[number] < 0:
            if not places.get(row):
                return None
            order[number] = places[row].pop(0)
    return order


def _rows(array: Floats, axis: int) -> list[bytes]:
    rows = np.ascontiguousarray(np.moveaxis(array, axis, 0)).astype(np.float32) + np.float32(0)  # -0 becomes 0
    return [row.tobytes() for row in rows]


def blocks_order(order: Order) -> Order | None:
    """Return the order of equal blocks, as few as possible; None if there are no blocks of more than one entry."""
    size = len(order)
    for count in range(2, size // 2 + 1):
        if size % count == 0:
            blocks = order.reshape(count, -1)
            starts = blocks[:, 0]
            whole = np.array_equal(blocks, starts[:, None] + np.arange(size // count))
            if whole and not (starts % (size // count)).any():
                return np.asarray(starts // (size // count))
    return None


def factors_order(order: Order) -> tuple[Shape, Shape] | None:
    """Return the factors of a length and the order of these axes that give an order of entries; None if none do.

    (8, 12) and (1, 0) are channels by positions that were flattened with the channels last.
    """
    size = len(order)
    divisors = [one for one in range(2, size // 2 + 1) if size % one == 0]
    for shape in ((one, size // one) for one in divisors):
        if np.array_equal(np.arange(size).reshape(shape).T.reshape(-1), order):
            return shape, (1, 0)
    triples = ((a, b, size // a // b) for a in divisors for b in divisors if size % (a * b) == 0 and a * b < size)
    axes = ((0, 2, 1), (1, 0, 2), (2, 1, 0))  # the other two are those of two factors
    for triple in triples:
        numbers = np.arange(size).reshape(triple)
        for one in axes:
            # The first numbers reject most
            if np.array_equal(numbers.transpose(one).reshape(-1), order):
                return triple, one
    return None


def rounded_to(name: str, array: Floats) -> Floats:
    """Return the array rounded to a dtype of NumPy's, to bfloat16, or to bfloat16 by cutting digits off."""
    with np.errstate(over="ignore", invalid="ignore"):
        if name == "bfloat16":
            return bfloat16(array, cut=False)
        if name == "bfloat16 by cutting off":
            return bfloat16(array, cut=True)
        return array.astype(np.dtype(name)).astype(np.float64)


def bfloat16(array: Floats, *, cut: bool) -> Floats:
    """Return the array rounded to bfloat16, to the nearest and to even, or cut off."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    if not cut:
        bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    kept = (bits & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isfinite(array), kept, array).astype(np.float64)


def same_places(first: Callable[[Floats], Floats], second: Callable[[Floats], Floats], shape: Shape) -> bool:
    """Return whether two rearrangements move every element to the same place."""
    numbers = np.arange(prod(shape), dtype=np.float64).reshape(shape)
    return np.array_equal(first(numbers), second(numbers))
