"""Orders of the entries of a leaf along an axis: gates, heads, flattened images."""

from collections.abc import Iterator
from functools import partial
from math import prod

import numpy as np

from jax_impl.parity.causes.cases import Floats, LeafCase
from jax_impl.parity.causes.compute.conversions import (
    Change,
    Order,
    blocks_order,
    entries_order,
    factors_order,
)
from jax_impl.parity.causes.leaves.blocks import GATES, Part, block_names

SHOWN = 6  # numbers of an order in a message
Shape = tuple[int, ...]


def _taken(x: Floats, order: Order, axis: int) -> Floats:
    return x.take(order, axis)


def _common_order(case: LeafCase, part: Part, axis: int) -> Order | None:
    """Return the order in which every block that differs has the reference's entries along an axis."""
    orders = [entries_order(a, b, axis) for a, b in part.pairs(case)]
    first = orders[0]
    if first is None or np.array_equal(first, np.arange(len(first))):
        return None
    return first if all(one is not None and np.array_equal(one, first) for one in orders) else None


def named(case: LeafCase, part: Part) -> Iterator[Change]:
    """Yield orders that have a name: of gates or of query, key and value, and of flattened images."""
    names = block_names(case) if part.count == 1 else ()
    size = part.shape[0] if part.shape else 0
    if names and size % len(names) == 0 and size > len(names):
        order = _common_order(case, part, 0)
        blocks = None if order is None else blocks_order(order)
        if order is not None and blocks is not None and len(names) % len(blocks) == 0:
            starts = order.reshape(len(names), -1)[:, 0] // (size // len(names))
            what = "gates" if names in GATES.values() else "blocks"
            ours, theirs = ", ".join(names[number] for number in starts), ", ".join(names)
            text = f"{what} in the order {ours} instead of {theirs}"
            fix = f"keep torch's order, {theirs}, or split them in the order in which they are stored"
            yield Change(text, fix, partial(_taken, order=order, axis=0))
    if len(part.shape) == 2 and part.count == 1:
        yield from _flattened(case, part.shape[1])


def _flattened(case: LeafCase, width: int) -> Iterator[Change]:
    """Yield the orders of a flattened image that reached the layer, with the channels last."""
    for image in flattened_shapes(case, width):
        order = np.arange(width).reshape(image).transpose(*range(1, len(image)), 0).reshape(-1)
        last = (*image[1:], image[0])
        axes = ", ".join(map(str, (*range(2, len(image) + 1), 1)))
        apart = f"weight.reshape(-1, {', '.join(map(str, image))}).transpose(0, {axes}).reshape(-1, {width}).T"
        words = "columns in the order of an image {} instead of {}, as {} flattens"
        first, second = (
            Change(words.format(_shape(last), _shape(image), "NHWC"), "do not reorder the columns: weight.T",
                   partial(_taken, order=order, axis=1)),
            Change(words.format(_shape(image), _shape(last), "NCHW"), f"reorder the columns: {apart}",
                   partial(_taken, order=np.argsort(order), axis=1)),
        )  # fmt: skip
        if np.array_equal(order, np.argsort(order)):  # as many channels as positions: both are the same exchange
            fix = f"flatten as the reference does: {apart} if the port flattens NHWC, weight.T if it flattens NCHW"
            yield Change(f"{first.text}, or the reverse", fix, first.apply)
        else:
            yield from (first, second)


def flattened_shapes(case: LeafCase, width: int) -> list[Shape]:
    """Return the shapes (channels, …) of the images that were flattened to this width before the leaf's module."""
    found: dict[Shape, None] = {}
    for mode in ("train", "eval"):
        theirs, _ = case.pair.forward(mode)
        seen: list[Shape] = []
        for call in sorted(theirs.free, key=lambda call: call.order) if theirs else ():
            if call.module == case.module.path and call.inputs and call.inputs[0] is not None:
                if call.inputs[0].shape[-1:] == [width]:
                    found |= dict.fromkeys(reversed(seen))
                break
            arrays = [one for one in (*call.inputs, *call.outputs) if one is not None and len(one.shape) > 2]
            seen += [tuple(one.shape[1:]) for one in arrays if prod(one.shape[1:]) == width]
    return list(found)


def others(case: LeafCase, part: Part) -> Iterator[Change]:
    """Yield orders without a name: exchanged factors of an axis, blocks, or any order of the entries."""
    for axis in range(len(part.shape)):
        order = _common_order(case, part, axis) if part.shape[axis] > 1 else None
        if order is not None:
            text, fix = _described(order, axis, part.shape)
            yield Change(text, fix, partial(_taken, order=order, axis=axis))


def _described(order: Order, axis: int, shape: Shape) -> tuple[str, str]:
    """Return what an order of entries is, and the remedy."""
    what = {(1, 0): "elements", (2, 0): "rows", (2, 1): "columns"}.get((len(shape), axis), f"entries of axis {axis}")
    blocks = blocks_order(order)
    if blocks is not None and len(blocks) <= 4:
        numbers = ", ".join(str(number + 1) for number in blocks)
        return f"blocks of {what} in the order {numbers} instead of 1 to {len(blocks)}", f"keep the order of the {what}"
    factors = factors_order(order)
    if factors is not None:
        lengths, axes = factors
        ours = tuple(lengths[one] for one in axes)
        text = f"{what} in the order of an array {_shape(ours)} instead of {_shape(lengths)}, axes {_shape(axes)}"
        return text + _hint(lengths, axes), f"transpose these {what} before they are flattened"
    if blocks is not None:
        numbers = ", ".join(str(number + 1) for number in blocks[:SHOWN])
        return f"blocks of {what} in another order: {numbers} … of {len(blocks)}", f"keep the order of the {what}"
    numbers = ", ".join(map(str, order[:SHOWN]))
    return f"{what} in another order: {numbers} … instead of 0, 1, 2 …", f"keep the order of the {what}"


def _hint(lengths: Shape, axes: Shape) -> str:
    """Return what such an order usually is."""
    moved = [lengths[one] for one in range(len(lengths)) if axes[one] != one]
    if 2 in moved and axes in ((0, 2, 1), (1, 0)):
        return ": pairs that are adjacent on one side and in two halves on the other, as for rotary positions"
    if 3 in moved and axes in ((1, 0, 2), (1, 0)):
        return ": packed by head on one side and by query, key and value on the other"
    return ""


def _shape(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"
