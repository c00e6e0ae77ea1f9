"""Arrays in another arrangement: axes exchanged, flipped, shifted, cut, reduced or joined."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.cases import Floats
from jax_impl.parity.causes.families.glue.at_hand import Operand
from jax_impl.parity.causes.families.glue.expressions import Expression, Term

SECONDS = 0.5  # for one array
REDUCTIONS: tuple[tuple[str, Callable[..., Floats]], ...] = (
    ("mean", np.mean), ("largest", np.max), ("sum", np.sum), ("smallest", np.min)
)  # fmt: skip
STARTS = 64  # places at which a slice may begin

Arrangement = tuple[str, Callable[[], Floats]]


def arranged(
    operands: Sequence[Operand], shape: tuple[int, ...], positions: NDArray[np.int64], target: Floats
) -> list[Expression]:
    """Return the arrangements of operands that give an array, known at some positions of the flattened one."""
    until = time.process_time() + SECONDS
    varied = np.ptp(target) > 0
    found: list[Expression] = []
    for name, array in (*constants(shape, target), *(candidates(operands, shape) if varied else ())):
        if time.process_time() > until or len(found) > 3:
            break
        result = array()
        if result.size != np.prod(shape):
            continue
        sample = result.reshape(-1)[positions]
        if np.allclose(sample, target, rtol=1e-7, atol=1e-9 * float(np.abs(target).max(initial=0.0))):
            found.append(Expression((Term(Operand(name, result.reshape(shape))),), shape))
    return found


def constants(shape: tuple[int, ...], target: Floats) -> Iterator[Arrangement]:
    """Yield an array of one number, and the positions along an axis, if the target looks like that."""
    if not target.size:
        return
    value = float(target[0])
    if not (target - value).any():
        yield f"{value:g} everywhere", lambda: np.full(shape, value)
    if not np.equal(np.mod(target, 1), 0).all():
        return
    for axis, length in enumerate(shape):
        if length < 3:
            continue
        along = np.arange(length, dtype=np.float64).reshape(*(1,) * axis, length, *(1,) * (len(shape) - axis - 1))
        low = float(target.min())
        for first, step in ((low, 1), (low, -1)):
            numbers = along if step > 0 else along[::-1] if axis == 0 else np.flip(along, axis)
            start = first if step > 0 else first + length - 1
            text = f"the positions {start:g}, {start + step:g}, … along axis {axis}"
            yield text, lambda numbers=numbers, first=first: np.broadcast_to(numbers + first, shape)  # type: ignore[misc]


def candidates(operands: Sequence[Operand], shape: tuple[int, ...]) -> Iterator[Arrangement]:
    """Yield arrangements of the operands with as many elements as the shape has."""
    size = int(np.prod(shape))
    for one in operands:
        if one.array.size == size:
            yield from moved(one)
        elif one.array.size > size:
            yield from cut(one, shape)
            yield from reduced(one, size)
    yield from joined(operands, shape)


def moved(one: Operand) -> Iterator[Arrangement]:
    """Yield an operand with its axes in another order, flipped, or shifted by one."""
    array, axes = one.array, range(one.array.ndim)
    orders = permutations(axes) if array.ndim <= 4 else ()
    for order in orders:
        changed = [axis for axis in axes if order[axis] != axis]
        if changed and any(array.shape[axis] > 1 for axis in changed):
            how = f"axes {changed[0]} and {changed[1]} exchanged" if len(changed) == 2 else f"axes in the order {order}"
            yield f"{one.name} with {how}", lambda order=order: array.transpose(order)  # type: ignore[misc]
    for axis in axes:
        if array.shape[axis] > 1:
            yield f"{one.name} reversed along axis {axis}", lambda axis=axis: np.flip(array, axis)  # type: ignore[misc]
    for axis in axes:
        for step in (1, -1) if array.shape[axis] > 2 else ():
            way = "later" if step > 0 else "earlier"
            name = f"{one.name} shifted along axis {axis} by one place {way}"
            yield f"{name}, round the end", lambda axis=axis, step=step: np.roll(array, step, axis)  # type: ignore[misc]
            yield f"{name}, filled with 0", lambda axis=axis, step=step: shifted(array, step, axis)  # type: ignore[misc]


def shifted(array: Floats, step: int, axis: int) -> Floats:
    """Return an array shifted along an axis, with zeros where nothing comes in."""
    result = np.roll(array, step, axis)
    end = slice(0, step) if step > 0 else slice(step, None)
    result[(slice(None),) * axis + (end,)] = 0
    return result


def cut(one: Operand, shape: tuple[int, ...]) -> Iterator[Arrangement]:
    """Yield parts of an operand along one axis: a slice of the same number of axes, or a single place."""
    array = one.array
    for axis, length in enumerate(array.shape):
        rest = array.shape[:axis] + array.shape[axis + 1 :]
        if int(np.prod(rest)) == np.prod(shape):
            for place in range(min(length, STARTS)):
                which = "the last place" if place == length - 1 else f"place {place}"
                yield f"{one.name} at {which} of axis {axis}", lambda a=axis, p=place: array.take(p, a)  # type: ignore[misc]
        elif array.ndim == len(shape) and rest == shape[:axis] + shape[axis + 1 :]:
            for start in range(min(length - shape[axis] + 1, STARTS)):
                part = (slice(None),) * axis + (slice(start, start + shape[axis]),)
                name = f"{one.name} at {start}:{start + shape[axis]} of axis {axis}"
                yield name, lambda part=part: array[part]  # type: ignore[misc]


def reduced(one: Operand, size: int) -> Iterator[Arrangement]:
    """Yield the mean, sum or largest value of an operand over one or two axes."""
    array = one.array
    for count in (1, 2):
        for axes in combinations(range(array.ndim), count):
            if int(np.prod([array.shape[axis] for axis in range(array.ndim) if axis not in axes])) == size:
                over = f"axis {axes[0]}" if count == 1 else f"axes {axes[0]} and {axes[1]}"
                for name, function in REDUCTIONS:
                    text = f"the {name} of {one.name} over {over}"
                    yield text, lambda function=function, axes=axes: function(array, axis=axes)  # type: ignore[misc]


def joined(operands: Sequence[Operand], shape: tuple[int, ...]) -> Iterator[Arrangement]:
    """Yield two operands one behind the other along an axis."""
    fitting = [one for one in operands if one.array.ndim == len(shape)]
    for one, other in permutations(fitting[:16], 2):
        for axis in range(len(shape)):
            sizes = [[*a.shape[:axis], 0, *a.shape[axis + 1 :]] for a in (one.array, other.array)]
            wanted = [*shape[:axis], 0, *shape[axis + 1 :]]
            if sizes[0] == sizes[1] == wanted and one.array.shape[axis] + other.array.shape[axis] == shape[axis]:
                arrays = (one.array, other.array)
                text = f"{one.name} and {other.name} joined along axis {axis}"
                yield text, lambda arrays=arrays, axis=axis: np.concatenate(arrays, axis)  # type: ignore[misc]
