"""Recurrent cells: torch keeps all gates in one array and has two biases, which others do not.

The gates are i, f, g, o (LSTM) and r, z, n (GRU) in torch, Flax and Equinox. The two biases of a gate are added, except
those of the GRU's candidate n: its second bias stays inside the reset gate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, permutations
from math import prod
from typing import NamedTuple

import numpy as np

from jax_impl.parity.mapping.layouts import SAME, Step, as_reshape, each, layout, split, take
from jax_impl.parity.mapping.leaves import Layout, Leaf, Pair
from jax_impl.parity.mapping.rules import weight_layouts
from jax_impl.parity.mapping.units import Unit

LETTERS = {4: "ifgo", 3: "rzn", 1: "h"}
COUNTS = {"LSTM": 4, "LSTMCell": 4, "GRU": 3, "GRUCell": 3, "RNN": 1, "RNNCell": 1}

Pairs = tuple[Pair, ...]


@dataclass(frozen=True)
class Match:
    """The ways in which two units can be paired, the usual one first, and what a user should know."""

    options: tuple[Pairs, ...]
    warnings: tuple[str, ...] = ()


class Place(NamedTuple):
    """Where torch's biases of a gate go."""

    sides: tuple[str, ...]  # which of torch's biases: ih, hh, or both, added
    group: str  # of our leaves: gates of one group are one pair
    gate: int
    role: str  # of our leaf


def match_cells(theirs: Unit, ours: Unit) -> Match | None:
    """Return how a recurrent cell of torch becomes one of ours, or None if it cannot."""
    opposite = {theirs.is_backward, ours.is_backward} == {True, False}
    if opposite or not {"w_ih", "w_hh"} <= theirs.leaves.keys():
        return None
    w_ih, w_hh = theirs.leaves["w_ih"], theirs.leaves["w_hh"]
    count = COUNTS.get(w_ih.module_type) or w_ih.shape[0] // w_hh.shape[1]
    letters = LETTERS.get(count, "")
    apart = any(role in ours.leaves for role in ("ii.weight", "ir.weight"))
    options = _weights_apart(theirs, ours, letters) if apart else _fused_weights(theirs, ours)
    places = _places(ours, letters, apart) if {"b_ih", "b_hh"} <= theirs.leaves.keys() else []
    biases = _biases(theirs, ours, places, len(letters), apart)
    if not letters or not options or biases is None:
        return None
    known = apart or _is_of_a_library(ours) or any("[" in name for pair in biases for name in pair.theirs)
    orders = [tuple(range(count))] if known else list(permutations(range(count)))
    sets = [
        tuple(_with_gates(pair, order, letters, w_ih.shape[0]) for pair in (*weights, *biases))
        for order in orders
        for weights in options
    ]
    return Match(tuple(sets), tuple(_warnings(theirs, ours, biases, places, letters)))


def _is_of_a_library(ours: Unit) -> bool:
    """Tell whether a library defines the cell, so that the order of its gates is known."""
    types = {leaf.module_type for leaf in ours.leaves.values()}
    return all(name in ("Linear", "Dense") or name.endswith("Cell") for name in types)


def _pair(theirs: Sequence[str], ours: Sequence[str], way: Layout, *, summed: bool = False) -> Pair:
    return Pair(theirs=tuple(theirs), ours=tuple(ours), layout=way, how="", summed=summed)


def _as_linear(leaf: Leaf, shape: tuple[int, ...]) -> Leaf:
    return replace(leaf, shape=shape, module_type="Linear")


def _weights_apart(theirs: Unit, ours: Unit, letters: str) -> list[Pairs]:
    """Return the pairs of the weights if ours has an array for each gate; none if the shapes do not fit."""
    pairs = []
    for side, role in (("i", "w_ih"), ("h", "w_hh")):
        leaf, held = theirs.leaves[role], [ours.leaves.get(f"{side}{gate}.weight") for gate in letters]
        parts = [part for part in held if part is not None]
        rows = leaf.shape[0] // len(letters)
        ways = [weight_layouts(_as_linear(leaf, (rows, leaf.shape[1])), part) for part in parts]
        if len(parts) != len(letters) or not all(ways):
            return []
        first = [way[0] for way in ways]
        way = layout(f"gates apart, {first[0].name}", split(*[rows] * len(parts)), each(*first))
        pairs.append(_pair([leaf.name], [part.name for part in parts], way))
    return [tuple(pairs)]


def _fused_weights(theirs: Unit, ours: Unit) -> list[Pairs]:
    """Return the pairs of the weights if ours has one array for all gates, for each way to store both matrices."""
    ways: list[dict[str, Pair]] = []
    for role in ("w_ih", "w_hh"):
        leaf, partner = theirs.leaves[role], ours.leaves[role]
        found = weight_layouts(_as_linear(leaf, leaf.shape), partner)
        kept = partner.framework == "equinox" and partner.module_type.endswith("Cell")
        ways.append({one.name: _pair([leaf.name], [partner.name], one) for one in found if not kept or one == SAME})
    alike = [name for name in ways[0] if name in ways[1]]
    names = [(name, name) for name in alike] or list(zip(ways[0], ways[1], strict=False))[:1]
    return [(ways[0][first], ways[1][second]) for first, second in names]


def _places(ours: Unit, letters: str, apart: bool) -> list[Place]:
    """Return where the biases of each gate go: to one leaf each if ours has two, else their sum to the one."""
    found = []
    for index, gate in enumerate(letters):
        if apart:
            held = {side: role for side in ("ih", "hh") if (role := f"{side[0]}{gate}.bias") in ours.leaves}
        else:
            held = {side: role for side in ("ih", "hh") if (role := f"b_{side}") in ours.leaves}
            held |= {"ih": "b"} if "b" in ours.leaves else {}
            held |= {"hh": "b_n"} if gate == "n" and "b_n" in ours.leaves else {}
        if len(held) == 1 and gate != "n":
            role = next(iter(held.values()))
            found.append(Place(("ih", "hh"), "" if apart else role, index, role))
        else:
            found += [Place((side,), side if apart else role, index, role) for side, role in held.items()]
    return found


def _biases(theirs: Unit, ours: Unit, places: Sequence[Place], count: int, apart: bool) -> list[Pair] | None:
    """Return the pairs of the biases, or None if the shapes do not fit."""
    pairs = []
    for (sides, _), group in groupby(sorted(places), key=lambda place: place[:2]):
        members = list(group)
        hidden = theirs.leaves["b_ih"].shape[0] // count
        first, last = members[0].gate * hidden, (members[-1].gate + 1) * hidden
        part = "" if len(members) == count else f"[{first}:{last}]"
        names = [f"{theirs.leaves[f'b_{side}'].name}{part}" for side in sides]
        held = [ours.leaves[place.role] for place in (members if apart else members[:1])]
        whole = all(prod(leaf.shape) * len(held) == last - first for leaf in held)
        if whole:
            ways = [as_reshape((prod(leaf.shape),), leaf.shape) for leaf in held]
            way = layout("gates apart", split(*[hidden] * len(held)), each(*ways)) if len(held) > 1 else ways[0]
            pairs.append(_pair(names, [leaf.name for leaf in held], way, summed=len(sides) > 1))
        elif held[0].shape == (count * hidden,):
            pairs.append(_pair(names, [f"{held[0].name}{part}"], SAME, summed=len(sides) > 1))
        else:
            return None
    return pairs


def _warnings(theirs: Unit, ours: Unit, biases: Sequence[Pair], places: Sequence[Place], letters: str) -> list[str]:
    """Return what the port cannot do as torch does."""
    main = theirs.leaves["w_ih"]
    where, found = main.module or main.module_type, []
    if any(pair.summed for pair in biases):
        found.append(f"{where}: two biases are added into one, which an optimizer moves half as far as torch's sum")
    if places and letters[-1] == "n" and not any("hh" in place.sides for place in places if place.gate == 2):
        hidden = theirs.leaves["b_hh"].shape[0] // 3
        bias = f"{theirs.leaves['b_hh'].name}[{2 * hidden}:{3 * hidden}]"
        found.append(
            f"{where}: {bias} has no place in {ours.path or 'the port'}, because torch multiplies this bias by the "
            "reset gate: give the port's cell a second bias for n"
        )
    return found


def _with_gates(pair: Pair, order: Sequence[int], letters: str, rows: int) -> Pair:
    """Return the pair with the gates in another order, as programs with a cell of their own may have them."""
    if list(order) == sorted(order):
        return pair
    indices = np.arange(rows).reshape(len(order), -1)[list(order)].ravel()
    name = f"gates {''.join(letters[index] for index in order)}, {pair.layout.name}"
    return replace(pair, layout=layout(name, take(indices, 0), Step(pair.layout.to_ours, pair.layout.to_theirs)))
