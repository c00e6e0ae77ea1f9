"""Which unit of torch belongs to which of ours: by equal names, else by structure, words and order."""

import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, permutations
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from jax_impl.parity.mapping.matching import match
from jax_impl.parity.mapping.names import Key, keys, similarity
from jax_impl.parity.mapping.recurrent import Match
from jax_impl.parity.mapping.units import Unit

CLEAR = 0.2  # names decide if the right assignment of two units scores so much better, per unit, than the swapped one
MOST = 8  # units that are left to numbers together
ALL = 4  # units of which all orders are tried

Floats = NDArray[np.float64]
Fits = Mapping[tuple[int, int], Match]  # by the places of the two units


class Assigned(NamedTuple):
    """Two units that belong together, how their leaves match, and what told so."""

    theirs: Unit
    ours: Unit
    match: Match
    how: str


class Assignment(NamedTuple):
    """The units that belong together, and sets of them of which numbers have to choose; the first is the convention."""

    settled: list[Assigned]
    open: list[tuple[tuple[Assigned, ...], ...]]


def assign(theirs: Sequence[Unit], ours: Sequence[Unit]) -> Assignment:
    """Pair the units of two sides. Those without a partner are in no pair."""
    settled = _by_name(theirs, ours)
    done = {id(unit) for one in settled for unit in (one.theirs, one.ours)}
    left, right = ([unit for unit in side if id(unit) not in done] for side in (theirs, ours))
    fits = _fits(left, right)
    groups = _groups(fits, len(left), len(right))
    surroundings = _Surroundings(settled, left, right, groups)
    result = Assignment(settled, [])
    for rows, columns in _blocks(groups, len(left)):
        inside = {(rows.index(i), columns.index(j)): one for (i, j), one in fits.items() if i in rows}
        block = _Block([left[i] for i in rows], [right[j] for j in columns], inside, surroundings)
        result.settled.extend(block.settled())
        result.open.extend(block.open())
    return result


def _by_name(theirs: Sequence[Unit], ours: Sequence[Unit]) -> list[Assigned]:
    """Pair units of one name: to the letter, then with synonyms, then where one name is the end of the other."""
    settled: list[Assigned] = []
    for meant in (False, True):
        first, second = keys([unit.name for unit in theirs], [unit.name for unit in ours], meant=meant)
        for equal in (operator.eq, _is_end):
            done = {id(unit) for one in settled for unit in (one.theirs, one.ours)}
            left = [(key, unit) for key, unit in zip(first, theirs, strict=True) if id(unit) not in done]
            right = [(key, unit) for key, unit in zip(second, ours, strict=True) if id(unit) not in done]
            settled += _unique(left, right, equal)
    return settled


def _is_end(a: Key, b: Key) -> bool:
    """Tell whether one name is the end of the other. A word and a number are too little: BatchNorm_7 and bn7."""
    short, long = sorted((a, b), key=len)
    words = sum(isinstance(part, str) for part in short)
    return words > int(words < len(short)) and long[-len(short) :] == short


def _unique(
    left: Sequence[tuple[Key, Unit]], right: Sequence[tuple[Key, Unit]], equal: Callable[[Key, Key], bool]
) -> Iterator[Assigned]:
    """Yield the units whose names are equal, if each has one such partner whose shapes fit."""
    same = [(a, b) for key, a in left for other, b in right if equal(key, other)]
    found = [(a, b, one) for a, b in same if (one := match(a, b))]
    first, second = Counter(id(a) for a, _, _ in found), Counter(id(b) for _, b, _ in found)
    return (Assigned(a, b, one, "name") for a, b, one in found if first[id(a)] == second[id(b)] == 1)


def _fits(theirs: Sequence[Unit], ours: Sequence[Unit]) -> Fits:
    """Return how two units match, for each two whose shapes fit."""
    by_size = defaultdict(list)
    for j, unit in enumerate(ours):
        by_size[_size(unit)].append(j)
    found = {(i, j): match(unit, ours[j]) for i, unit in enumerate(theirs) for j in by_size[_size(unit)]}
    return {place: one for place, one in found.items() if one}


def _size(unit: Unit) -> tuple[bool, int]:
    """Return what two units have in common if they fit: the elements of their weights. Cells are not so simple."""
    if unit.form == "cell":
        return False, -1
    weights = [leaf for role, leaf in unit.leaves.items() if role.rpartition(".")[2] == "weight"]
    return bool(weights), sum(prod(leaf.shape) for leaf in weights or [unit.main])


def _groups(fits: Fits, rows: int, columns: int) -> list[int]:
    """Number the groups of units that fit each other; return the group of each of torch's units, then of ours."""
    places = np.array(list(fits), int).reshape(-1, 2)
    graph = coo_array((np.ones(len(places)), (places[:, 0], rows + places[:, 1])), shape=(rows + columns,) * 2)
    return connected_components(graph, directed=False)[1].tolist() if rows + columns else []


def _blocks(groups: Sequence[int], rows: int) -> list[tuple[list[int], list[int]]]:
    """Return the places of torch's units and of ours in each group that has both."""
    found: dict[int, tuple[list[int], list[int]]] = {}
    for place, label in enumerate(groups):
        ours = place >= rows
        found.setdefault(label, ([], []))[ours].append(place - rows if ours else place)
    return [block for block in found.values() if all(block)]


class _Surroundings:
    """What kinds of units each part of the two models holds."""

    def __init__(self, settled: Sequence[Assigned], left: Sequence[Unit], right: Sequence[Unit], groups: Sequence[int]):
        pairs = [(one.theirs, one.ours, f"pair {k}") for k, one in enumerate(settled)]
        mine = [(unit, str(group)) for unit, group in zip(left, groups, strict=False)]
        other = [(unit, str(group)) for unit, group in zip(right, groups[len(left) :], strict=True)]
        self._theirs = _held(mine + [(theirs, label) for theirs, _, label in pairs])
        self._ours = _held(other + [(ours, label) for _, ours, label in pairs])
        self._known: dict[tuple[str, str], float] = {}

    def alike(self, theirs: Unit, ours: Unit) -> float:
        """Return how alike the surroundings of two units are, from 0 to 1: all that is around them, and the root."""
        mine, other = _ancestors(theirs.path), _ancestors(ours.path)
        best = [max((self._part_alike(a, b) for b in other), default=0.0) for a in mine]
        best += [max((self._part_alike(a, b) for a in mine), default=0.0) for b in other]
        return (sum(best) + 2) / (len(best) + 2)

    def _part_alike(self, a: str, b: str) -> float:
        if (a, b) not in self._known:
            one, other = self._theirs[a], self._ours[b]
            self._known[a, b] = (one & other).total() / max((one | other).total(), 1)
        return self._known[a, b]


def _ancestors(path: str) -> list[str]:
    pieces = path.split(".")
    return [".".join(pieces[:count]) for count in range(1, len(pieces))]


def _held(units: Sequence[tuple[Unit, str]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for unit, label in units:
        for ancestor in _ancestors(unit.path):
            found[ancestor][label] += 1
    return found


class _Block:
    """Units of both sides that fit each other by their shapes: each two are scored, and the best assignment chosen.

    Equal ones are assigned in order.
    """

    def __init__(self, theirs: Sequence[Unit], ours: Sequence[Unit], fits: Fits, surroundings: _Surroundings) -> None:
        self.theirs, self.ours, self.fits = theirs, ours, fits
        shape = (len(theirs), len(ours))
        possible = np.array([[(i, j) in fits for j in range(shape[1])] for i in range(shape[0])])
        words = np.array([[similarity(a.name, b.name) for b in ours] for a in theirs])
        around = np.array([[surroundings.alike(a, b) for b in ours] for a in theirs])
        kinds = np.array([[_same_kind(a, b) for b in ours] for a in theirs])
        self.words = words.round(1)  # less is chance
        self.total: Floats = 2 * around.round(6) + kinds + self.words
        first, second = (np.linspace(0, 1, count, endpoint=False) for count in shape)
        cost = np.where(possible, 0.01 * (first[:, None] - second[None]) ** 2 - self.total, 1e6)
        rows, columns = linear_sum_assignment(cost)
        self.chosen = {int(i): int(j) for i, j in zip(rows, columns, strict=True) if possible[i, j]}
        self.ties = self._ties()

    def _ties(self) -> list[list[int]]:
        """Return groups of torch's units that could as well be assigned to each other's partners."""
        rows = list(self.chosen)
        near = [(a, b) for a, b in combinations(range(len(rows)), 2) if self._can_swap(rows[a], rows[b])]
        graph = coo_array((np.ones(len(near)), np.array(near, int).reshape(-1, 2).T), shape=(len(rows),) * 2)
        labels = connected_components(graph, directed=False)[1] if rows else []
        groups: dict[int, list[int]] = defaultdict(list)
        for row, label in zip(rows, labels, strict=True):
            groups[int(label)].append(row)
        return [group for group in groups.values() if 2 <= len(group) <= MOST]

    def _can_swap(self, a: int, b: int) -> bool:
        """Tell whether neither names nor order tell two units apart, or only weakly."""
        i, j = self.chosen[a], self.chosen[b]
        if (a, j) not in self.fits or (b, i) not in self.fits:
            return False
        lost = (self.total[a, i] + self.total[b, j] - self.total[a, j] - self.total[b, i]) / 2
        siblings = _series(self.theirs[a]) == _series(self.theirs[b]) and _series(self.ours[i]) == _series(self.ours[j])
        return bool(lost < CLEAR) and siblings

    def settled(self) -> Iterator[Assigned]:
        """Yield the units that numbers need not decide."""
        free = {row for group in self.ties for row in group}
        return (self._assigned(i, j) for i, j in self.chosen.items() if i not in free)

    def open(self) -> Iterator[tuple[tuple[Assigned, ...], ...]]:
        """Yield the sets of assignments of which numbers have to choose."""
        for rows in self.ties:
            orders = _orders([self.chosen[row] for row in rows])
            sets = [list(zip(rows, order, strict=True)) for order in orders]
            yield tuple(tuple(self._assigned(*place) for place in one) for one in sets if set(one) <= self.fits.keys())

    def _assigned(self, i: int, j: int) -> Assigned:
        alone = len(self.theirs) == len(self.ours) == 1
        open_order = any(i in group for group in self.ties)
        how = "order" if open_order else "name" if self.words[i, j] >= 0.5 else "shape" if alone else "order"
        return Assigned(self.theirs[i], self.ours[j], self.fits[i, j], how)


def _orders(columns: list[int]) -> list[tuple[int, ...]]:
    """Return the orders that are tried: all of few columns; of many, turned ones and those with two columns swapped."""
    if len(columns) <= ALL:
        return list(permutations(columns))
    turns = [(*columns[turn:], *columns[:turn]) for turn in range(len(columns))]
    swaps = []
    for a, b in combinations(range(len(columns)), 2):
        order = [*columns]
        order[a], order[b] = order[b], order[a]
        swaps.append(tuple(order))
    return list(dict.fromkeys([*turns, tuple(columns[::-1]), *swaps]))


def _series(unit: Unit) -> tuple[tuple[str, int], ...]:
    """Return the part of a path that repeats with numbers: layers.0 of layers.0.norm1."""
    components = unit.name.components[:-1]
    count = max((place + 1 for place, (_, number) in enumerate(components) if number >= 0), default=0)
    return components[:count]


def _same_kind(theirs: Unit, ours: Unit) -> float:
    """Return how well two layers agree in their kinds and in the roles of their leaves, from 0 to 2."""
    a, b = theirs.leaves.keys(), ours.leaves.keys()
    roles = len(a & b) / len(a | b)
    first, second = theirs.kind, ours.kind
    if not first or not second or "kernel" in (first, second):
        return roles + 0.5
    return roles + float(first == second or {first, second} == {"matrix", "linear"})
