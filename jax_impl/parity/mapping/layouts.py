"""Layouts: exact rearrangements between torch's arrays and ours, and loading arrays through them.

Each is a chain of steps on lists of arrays. A step has an exact inverse. The results may be views: to copy a large
array into another order takes long, and a record needs only samples of most arrays.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jax_impl.parity.mapping.leaves import Array, Arrays, Layout, Pair

Shape = tuple[int, ...]


class Step(NamedTuple):
    """One rearrangement of a list of arrays, and its inverse."""

    forward: Callable[[Arrays], list[Array]]
    backward: Callable[[Arrays], list[Array]]


def layout(name: str, *steps: Step, inputs: Array | None = None, outputs: Array | None = None) -> Layout:
    """Return the layout that takes the steps from torch to JAX in this order."""

    def to_ours(arrays: Arrays) -> list[Array]:
        for step in steps:
            arrays = step.forward(arrays)
        return list(arrays)

    def to_theirs(arrays: Arrays) -> list[Array]:
        for step in reversed(steps):
            arrays = step.backward(arrays)
        return list(arrays)

    return Layout(name, to_ours, to_theirs, inputs, outputs)


def transpose(*axes: int) -> Step:
    """Reorder the axes of each array."""
    back = tuple(int(axis) for axis in np.argsort(axes))
    return Step(lambda xs: [np.transpose(x, axes) for x in xs], lambda xs: [np.transpose(x, back) for x in xs])


def reshape(theirs: Shape, ours: Shape) -> Step:
    """Give each array of shape `theirs` the shape `ours`."""
    return Step(lambda xs: [np.reshape(x, ours) for x in xs], lambda xs: [np.reshape(x, theirs) for x in xs])


def flip(*axes: int) -> Step:
    """Reverse these axes of each array."""
    return Step(lambda xs: [np.flip(x, axes) for x in xs], lambda xs: [np.flip(x, axes) for x in xs])


def take(order: Array, axis: int) -> Step:
    """Reorder the entries along an axis of each array."""
    back = np.argsort(order)
    return Step(lambda xs: [np.take(x, order, axis) for x in xs], lambda xs: [np.take(x, back, axis) for x in xs])


def split(*sizes: int) -> Step:
    """Cut one array along its first axis into parts of these sizes."""
    ends = np.cumsum(sizes)[:-1]
    return Step(lambda xs: np.split(np.asarray(xs[0]), ends), lambda xs: [np.concatenate(xs)])


def join(*sizes: int) -> Step:
    """Put arrays of these sizes together along their first axis."""
    apart = split(*sizes)
    return Step(apart.backward, apart.forward)


def each(*layouts: Layout) -> Step:
    """Rearrange every array by a layout of its own."""

    def forward(arrays: Arrays) -> list[Array]:
        return [one.to_ours([array])[0] for one, array in zip(layouts, arrays, strict=True)]

    def backward(arrays: Arrays) -> list[Array]:
        return [one.to_theirs([array])[0] for one, array in zip(layouts, arrays, strict=True)]

    return Step(forward, backward)


SAME = layout("same")


def as_reshape(theirs: Shape, ours: Shape) -> Layout:
    """Return the layout that only changes the shape."""
    return SAME if theirs == ours else layout(f"{_text(theirs)} to {_text(ours)}", reshape(theirs, ours))


def _text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def whole(name: str) -> str:
    """Return the name of the leaf of which `name` may be a part."""
    return re.sub(r"\[\d+:\d+\]$", "", name)


def _part(name: str) -> slice:
    found = re.search(r"\[(\d+):(\d+)\]$", name)
    return slice(int(found[1]), int(found[2])) if found else slice(None)


def terms(name: str) -> list[tuple[str, slice]]:
    """Return the leaves that a name of a record adds up, and the part of each along its first axis.

    "a[0:4] + b[0:4]" is [("a", slice(0, 4)), ("b", slice(0, 4))].
    """
    return [(whole(term), _part(term)) for term in name.split(" + ")]


def value(name: str, arrays: Mapping[str, Array]) -> Array:
    """Return the array that a record calls `name`, made of whole leaves: a leaf, a part of one, or a sum."""
    parts = [arrays[leaf] if part == slice(None) else arrays[leaf][part] for leaf, part in terms(name)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def recorded_names(pair: Pair) -> tuple[str, ...]:
    """Return the names under which a pair's arrays are recorded."""
    return (" + ".join(pair.theirs),) if pair.summed else pair.theirs


def converted(pairs: Iterable[Pair], theirs: Mapping[str, Array]) -> dict[str, Array]:
    """Return our leaves by name, made of torch's. Pairs with a leaf that `theirs` lacks are left out."""
    parts: dict[str, list[tuple[int, Array]]] = {}
    for pair in pairs:
        if any(whole(name) not in theirs for name in pair.theirs):
            continue
        arrays = pair.layout.to_ours([value(name, theirs) for name in recorded_names(pair)])
        for name, array in zip(pair.ours, arrays, strict=True):
            parts.setdefault(whole(name), []).append((_part(name).start or 0, array))
    return {name: _joined(found) for name, found in parts.items()}


def _joined(parts: Sequence[tuple[int, Array]]) -> Array:
    arrays = [array for _, array in sorted(parts, key=lambda part: part[0])]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def restored(pairs: Iterable[Pair], ours: Mapping[str, Array]) -> dict[str, Array]:
    """Return torch's leaves by name, made of ours: the inverse of `converted`. Sums are named "a + b".

    Pairs with a leaf that `ours` lacks are left out.
    """
    result: dict[str, Array] = {}
    for pair in pairs:
        if all(whole(name) in ours for name in pair.ours):
            arrays = pair.layout.to_theirs([value(name, ours) for name in pair.ours])
            result |= dict(zip(recorded_names(pair), arrays, strict=True))
    return result
