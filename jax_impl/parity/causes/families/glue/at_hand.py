"""What a module has at hand when it makes an array: its inputs, parameters, and what the modules in it return."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jax_impl.parity.arrays import Array
from jax_impl.parity.causes.cases import Floats, ForwardCase, whole
from jax_impl.parity.measures.comparing import Stored, compare, stored
from jax_impl.parity.measures.execution import Key, events, key
from jax_impl.parity.records.content import Call, Mask, Reference, arrays_of

MOST = 40  # arrays that are combined


@dataclass(frozen=True, eq=False)
class Operand:
    """An array at hand.

    Attributes:
        name: What it is, in the reference's names within the module: "norm1's output".
        array: Its numbers, of any shape.
        module: The module that returns it; empty for the module's own inputs and parameters.
        own: Whether it goes into the module itself, or into one within it, which is what a residual adds.
        late: Whether the reference makes it only after the array in question, so that only the port may use it.
    """

    name: str
    array: Array
    module: str = ""
    own: bool = False
    late: bool = False


def reproduces(case: ForwardCase, prediction: Array | None) -> bool:
    """Return whether a computation gives the reference's recorded array, by the ladder's own tolerance."""
    theirs = case.target.theirs
    if prediction is None or list(prediction.shape) != theirs.shape:
        return False
    expected = stored(theirs, case.pair.theirs.array(theirs))
    flat = np.asarray(prediction).reshape(-1)
    places = expected.positions
    again = Stored(theirs, flat if places is None else flat[places], places, whole=False)
    return compare(case.pair.tolerance, again, expected).passed


def outer_call(case: ForwardCase) -> Call | None:
    """Return the reference's call that makes the array; None for what the loss hands to the model."""
    return case.call if case.role == "output" else case.parent


def calls_within(case: ForwardCase, *, absent: bool = False) -> list[Call]:
    """Return the calls inside `outer_call` that the port makes, too, in the order in which they begin.

    A module without a counterpart in the port is replaced by those in it, because the port has its parts in one place.
    With `absent`, it is listed as well.
    """
    calls, outer = case.passes[0].free, outer_call(case)
    children: dict[int | None, list[int]] = {}
    for event in events(calls):
        if event.begins:
            children.setdefault(event.parent, []).append(event.call)
    made: set[Key] = {key(call) for call in (*case.passes[1].forced, *case.passes[1].free)}

    def listed(number: int) -> Iterator[Call]:
        for child in children.get(number, ()):
            present = key(calls[child]) in made
            if present or absent:
                yield calls[child]
            if not present:
                yield from listed(child)

    return [] if outer is None else list(listed(next(n for n, call in enumerate(calls) if call is outer)))


def operands(case: ForwardCase, *, absent: bool = False) -> list[Operand]:
    """Return the distinct arrays that are at hand, those with the plainest names first.

    What the reference hands to the module in question is left out: it is what is to be explained.
    """
    found: list[Operand] = []
    for one in _listed(case, absent=absent):
        if len(found) < MOST and one.array.size and not any(_same(one.array, other.array) for other in found):
            found.append(one)
    return found


def _listed(case: ForwardCase, *, absent: bool) -> Iterator[Operand]:
    outer = outer_call(case)
    if outer is None:
        yield from _batch(case)
        return
    for number, array in enumerate(_floats(case, outer.inputs)):
        if array is not None:
            name = f"input {number + 1}" if len(outer.inputs) > 1 else "the input"
            yield Operand(name, array, own=True)
    inside = calls_within(case, absent=absent)
    for role in ("output", "input"):
        for call in inside:
            late = case.role == "input" and call.order >= case.call.order
            if late and (role == "input" or call is case.call):
                continue
            arrays = _floats(case, getattr(call, f"{role}s"))
            for number, array in enumerate(arrays):
                if array is not None:
                    which = f" {number + 1}" if len(arrays) > 1 else ""
                    made = call.module if role == "output" else ""
                    yield Operand(f"{short(case, call)}'s {role}{which}", array, made, own=not made, late=late)
    yield from _parameters(case, outer)


def short(case: ForwardCase, call: Call) -> str:
    """Return a call's name within the module that makes the array."""
    outer = outer_call(case)
    prefix = f"{outer.module}." if outer is not None and outer.module else ""
    again = f" (call {call.call + 1})" if call.call else ""
    name = call.module.removeprefix(prefix) or "itself"
    return (".".join(call.module.split(".")[-2:]) if name.isdigit() else name) + again


def _batch(case: ForwardCase) -> Iterator[Operand]:
    """Yield the arrays of the batch: what the loss has at hand."""
    batches = case.pair.theirs.content.batches
    for place, reference in arrays_of(batches[0]) if batches else ():
        array = whole(case.pair.theirs, reference) if hasattr(reference, "key") else None
        if array is not None:
            yield Operand(f"batch{place}", array.astype(np.float64), own=True)


def _parameters(case: ForwardCase, outer: Call) -> Iterator[Operand]:
    """Yield the parameters and buffers of the module itself."""
    for name, leaf in case.pair.leaves.items():
        if leaf.module == outer.module:
            array = case.pair.theirs.start(leaf.tied or name)
            if array is not None and array.size < 1 << 20:
                yield Operand(f"the parameter {name.rpartition('.')[2]}", array.astype(np.float64))


def _floats(case: ForwardCase, references: Sequence[Reference | None]) -> list[Array | None]:
    arrays = [whole(case.pair.theirs, one) for one in references]
    return [None if array is None else array.astype(np.float64) for array in arrays]


def _same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and np.array_equal(one, other)


def masks(case: ForwardCase) -> list[tuple[Mask, Floats]]:
    """Return the dropout masks that are drawn by the module itself or by those in it that the port lacks."""
    outer = outer_call(case)
    if outer is None:
        return []
    present = {call.module for call in calls_within(case)}
    lacking = {call.module for call in calls_within(case, absent=True)} - present | {outer.module}
    found = [(mask, case.mask(mask)) for mask in case.passes[0].masks if mask.module in lacking and mask.rate]
    return [(mask, array) for mask, array in found if array is not None]
