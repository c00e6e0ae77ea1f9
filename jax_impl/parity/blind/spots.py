"""All blind spots of two records."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from jax_impl.parity.blind import changes, inputs, sizes, training
from jax_impl.parity.blind.blindspot import BlindSpot
from jax_impl.parity.causes.hypotheses import optional
from jax_impl.parity.pair import Pair
from jax_impl.parity.verdict import Rung


def blind_spots(pair: Pair, rungs: Sequence[Rung]) -> tuple[BlindSpot, ...]:
    """Return what a ladder without failures could not have seen; nothing of one that fails."""
    if any(rung.failures for rung in rungs):
        return ()
    found: list[BlindSpot] = []
    for module in (training, inputs, sizes):
        with optional(f"the search for blind spots of {module.__name__.rpartition('.')[2]}"):
            found += module.spots(pair)
    return grouped([*found, *changes.spots(pair, rungs)])


def grouped(found: Iterable[BlindSpot]) -> tuple[BlindSpot, ...]:
    """Return blind spots of one kind as one, with all its places in their order."""
    kinds: dict[tuple[str, str], BlindSpot] = {}
    for spot in found:
        before = kinds.setdefault((spot.hidden, spot.remedy), spot)
        places = dict.fromkeys((*before.place, *spot.place))
        kinds[spot.hidden, spot.remedy] = replace(before, place=tuple(places))
    return tuple(kinds.values())
