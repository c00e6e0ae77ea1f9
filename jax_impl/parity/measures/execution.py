"""The order in which the calls of modules begin and return, and which call is made inside which."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jax_impl.parity.records.content import Call

Key = tuple[str, int]  # a module, and which of its calls


def key(call: Call) -> Key:
    """Return what identifies a call in both records."""
    return call.module, call.call


@dataclass(frozen=True)
class Event:
    """A call begins or returns.

    Attributes:
        call: Its number in the list of calls.
        begins: Whether it begins.
        parent: The number of the call that made it; None for the outermost.
        children: How many calls it has made; 0 when it begins.
    """

    call: int
    begins: bool
    parent: int | None
    children: int


def events(calls: Sequence[Call]) -> Iterator[Event]:
    """Yield what happens, in order. The list is in the order of returning, and `order` counts the beginnings.

    A call that began before another one and returns after it has made it.
    """
    open_calls: list[Event] = []
    counts: dict[int | None, int] = {}

    def returned() -> Event:
        event = open_calls.pop()
        return Event(event.call, False, event.parent, counts.get(event.call, 0))

    for number in sorted(range(len(calls)), key=lambda index: calls[index].order):
        while open_calls and open_calls[-1].call < number:
            yield returned()
        parent = open_calls[-1].call if open_calls else None
        counts[parent] = counts.get(parent, 0) + 1
        event = Event(number, True, parent, 0)
        open_calls.append(event)
        yield event
    while open_calls:
        yield returned()


def within_float32(calls: Sequence[Call], flagged: set[Key]) -> tuple[set[Key], set[Key]]:
    """Return the calls whose inputs, and those whose outputs, come after a computation in float32.

    Args:
        calls: A pass of the reference.
        flagged: The calls that compute in float32 inside. If one of them made another, the outer one may be flagged
            only because of the inner one, so it counts from the inner one on.
    """
    parents = {event.call: event.parent for event in events(calls) if event.begins}
    innermost = {number for number, call in enumerate(calls) if key(call) in flagged}
    for number in tuple(innermost):
        outer = parents[number]
        while outer is not None:
            innermost.discard(outer)
            outer = parents[outer]
    inputs, outputs, started = set[Key](), set[Key](), False
    for event in events(calls):
        if event.begins:
            if started:
                inputs.add(key(calls[event.call]))
            started = started or event.call in innermost
        elif started:
            outputs.add(key(calls[event.call]))
    return inputs, outputs
