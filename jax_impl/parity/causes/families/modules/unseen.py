"""The calls of the reference in front of an array that the port has no counterpart of."""

from collections.abc import Mapping, Sequence

from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.measures.execution import Key, events, key
from jax_impl.parity.records.content import Call


def unseen(case: ForwardCase) -> list[Call]:
    """Return the last calls before the array, of modules that call no others, that the port has no counterpart of.

    A container that the port has no counterpart of, such as a Sequential, does not count as a call: what it hands to
    its first module may come from a module in front of the container.
    """
    calls = case.passes[0].free
    ours = {key(call) for call in (*case.passes[1].free, *case.passes[1].forced)}
    above = parents(calls)
    callers = set(above.values())
    own = key(case.call)
    around = {own, *ancestors(own, above)}
    found: list[Call] = []
    for call in sorted(calls, key=lambda one: one.order):
        place = key(call)
        chain = [place, *ancestors(place, above)]
        if case.role == "input" and call.order >= case.call.order:
            break
        if place in around or (case.role == "output" and own not in chain):
            continue
        if any(one in ours for one in chain if one not in around):
            found.clear()  # the port has it, so what comes before it is known to agree
        elif place not in callers:
            found.append(call)
    return found


def parents(calls: Sequence[Call]) -> dict[Key, Key | None]:
    """Return the call that made each call; None for the outermost."""
    begun = [event for event in events(calls) if event.begins]
    return {key(calls[one.call]): None if one.parent is None else key(calls[one.parent]) for one in begun}


def ancestors(place: Key, above: Mapping[Key, Key | None]) -> list[Key]:
    """Return the calls inside which a call is made, the innermost first."""
    found: list[Key] = []
    outer = above.get(place)
    while outer is not None:
        found.append(outer)
        outer = above.get(outer)
    return found
