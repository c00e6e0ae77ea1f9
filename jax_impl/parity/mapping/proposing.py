"""The proposal: which leaves belong together, by what the user gave, by names, structure, order and shapes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from jax_impl.errors import UserError
from jax_impl.parity.mapping.assignment import Assigned, assign
from jax_impl.parity.mapping.layouts import whole
from jax_impl.parity.mapping.leaves import Choice, Leaf, Pair, Proposal, Unmatched
from jax_impl.parity.mapping.matching import flattened, given_layouts
from jax_impl.parity.mapping.names import cleaned, closest, parse, similarity
from jax_impl.parity.mapping.units import Unit, is_constant, triples, units_of, unnamed_triples

LIKELY = 0.6  # similarity of names from which two leaves that were in no pair of layers are paired
Sides = tuple[list[Unit], list[Unit]]


def propose(
    theirs: Sequence[Leaf],
    ours: Sequence[Leaf],
    given: Mapping[str, str | tuple[str, ...]] = {},
) -> Proposal:
    """Pair torch's leaves with ours.

    Args:
        theirs: Torch's parameters and buffers, in the order of registration.
        ours: The port's.
        given: Pairs by hand, which win over everything: our leaf, or several, by torch's name. Leaves of torch with the
            same partner are added up if they all have its size, else they are joined along the first axis.

    Raises:
        UserError: A given name does not exist, or the shapes cannot fit.
    """
    choices = _given(theirs, ours, given)
    warnings: list[str] = []
    used = _names(choices)
    first, second = ([leaf for leaf in side if leaf.name not in used and leaf.tied is None] for side in (theirs, ours))
    sides = units_of(first), units_of(second)
    for select in (_composites, _layers, _single_leaves):
        result = assign(*select(*_free(sides, choices)))
        for one in result.settled:
            if select is not _single_leaves or one.how == "shape" or _likely(one):
                choices.append(_choice(one, sides[0]))
                warnings += one.match.warnings
        for sets in result.open if select is not _single_leaves else []:
            options = [_in_option(assigned, index) for index in range(_options(sets)) for assigned in sets]
            choices.append(Choice(tuple(options)))
    tied, tied_warnings = _tied(theirs, second, choices)
    return _proposal(choices + tied, theirs, ours, [*warnings, *tied_warnings])


def _composites(theirs: Sequence[Unit], ours: Sequence[Unit]) -> Sides:
    """Return the cells, and q, k and v that are packed on one side and separate on the other."""
    packed = [[_around(unit) for unit in side if unit.is_packed] for side in (theirs, ours)]
    separate = [triples(side) for side in (theirs, ours)]
    if packed[0] and not packed[1] and not separate[1]:
        separate[1] = unnamed_triples(ours)
    found = []
    for side, units in enumerate((theirs, ours)):
        cells = [unit for unit in units if unit.form == "cell"]
        pack, apart = packed[side] if separate[1 - side] else [], separate[side] if packed[1 - side] else []
        found.append(cells + pack + apart)
    return found[0], found[1]


def _around(unit: Unit) -> Unit:
    """Return a packed layer under the name of the attention, which is what three separate layers have in common."""
    return replace(unit, path=unit.path.rpartition(".")[0])


def _layers(theirs: Sequence[Unit], ours: Sequence[Unit]) -> Sides:
    return [unit for unit in theirs if unit.form == "layer"], [unit for unit in ours if unit.form == "layer"]


def _single_leaves(theirs: Sequence[Unit], ours: Sequence[Unit]) -> Sides:
    """Return each leaf as a unit of its own: their roles may be called differently."""
    sides = [
        [Unit(cleaned(leaf), {"weight": leaf}) for unit in side for leaf in unit.leaves.values()]
        for side in (theirs, ours)
    ]
    return sides[0], sides[1]


def _likely(one: Assigned) -> bool:
    return similarity(parse(one.theirs.path), parse(one.ours.path)) >= LIKELY


def _free(sides: Sides, choices: Iterable[Choice]) -> Sides:
    """Return the units none of whose leaves is in a pair."""
    used = _names(choices)
    left, right = ([unit for unit in side if not used & {leaf.name for leaf in unit.leaves.values()}] for side in sides)
    return left, right


def _names(choices: Iterable[Choice]) -> set[str]:
    return {whole(name) for choice in choices for pair in choice.alternatives[0] for name in (*pair.theirs, *pair.ours)}


def _told(pairs: Iterable[Pair], how: str) -> tuple[Pair, ...]:
    return tuple(replace(pair, how=how) for pair in pairs)


def _choice(one: Assigned, units: Sequence[Unit]) -> Choice:
    """Return the ways in which two units match. Only the whole model tells in which order features are flattened."""
    options = flattened(one.match.options, one.theirs, one.ours, units)
    modules = one.theirs.modules() if len(options) == len(one.match.options) else ()
    return Choice(tuple(_told(option, one.how) for option in options), modules)


def _options(sets: Sequence[Sequence[Assigned]]) -> int:
    return min(len(one.match.options) for assigned in sets for one in assigned)


def _in_option(assigned: Sequence[Assigned], index: int) -> tuple[Pair, ...]:
    return tuple(pair for one in assigned for pair in _told(one.match.options[index], one.how))


def _tied(theirs: Sequence[Leaf], ours: Sequence[Leaf], choices: Sequence[Choice]) -> tuple[list[Choice], list[str]]:
    """Pair leaves that torch lists a second time, if the port has two arrays for them."""
    used = _names(choices)
    tied = [leaf for leaf in theirs if leaf.tied is not None and leaf.name not in used]
    free = [leaf for leaf in ours if leaf.name not in used]
    found = assign(_layers(units_of(tied), [])[0], units_of(free)).settled if tied and free else []
    warnings = [
        f"{leaf.name} and {leaf.tied} are one array in torch and two in the port, which trains them apart"
        for leaf in (one.theirs.main for one in found)
    ]
    return [
        Choice(tuple(_told(option, one.how) for option in one.match.options), one.theirs.modules()) for one in found
    ], warnings


def _proposal(
    choices: Sequence[Choice], theirs: Sequence[Leaf], ours: Sequence[Leaf], warnings: Iterable[str]
) -> Proposal:
    used = _names(choices)
    settled = [pair for choice in choices if len(choice.alternatives) == 1 for pair in choice.alternatives[0]]
    free = [leaf for leaf in theirs if leaf.name not in used and leaf.tied is None]
    return Proposal(
        tuple(settled),
        tuple(choice for choice in choices if len(choice.alternatives) > 1),
        _unmatched(free, ours),
        _unmatched([leaf for leaf in ours if leaf.name not in used], theirs),
        tuple(dict.fromkeys(warnings)),
    )


def _unmatched(leaves: Sequence[Leaf], others: Sequence[Leaf]) -> tuple[Unmatched, ...]:
    return tuple(Unmatched(leaf.name, leaf.shape, closest(leaf, others)) for leaf in leaves if not is_constant(leaf))


def _given(theirs: Sequence[Leaf], ours: Sequence[Leaf], given: Mapping[str, str | tuple[str, ...]]) -> list[Choice]:
    """Return the pairs that were given by hand."""
    first, second = {leaf.name: leaf for leaf in theirs}, {leaf.name: leaf for leaf in ours}
    sources: dict[tuple[str, ...], list[str]] = {}
    for name, partner in given.items():
        partners = (partner,) if isinstance(partner, str) else tuple(partner)
        for wanted, known, side in ((name, first, "the reference"), *((one, second, "the port") for one in partners)):
            if wanted not in known:
                near = ", ".join(closest(Leaf(name=wanted, shape=()), list(known.values())))
                raise UserError(
                    f"pairs: {side} has no parameter or buffer {wanted!r}: use one of its names, such as {near}"
                )
        sources.setdefault(partners, []).append(name)
    choices = []
    for partners, names in sources.items():
        ways, summed = given_layouts([first[name] for name in names], [second[name] for name in partners])
        if not ways:
            shapes = [
                ", ".join(f"{leaf} {known[leaf].shape}" for leaf in side)
                for side, known in ((names, first), (partners, second))
            ]
            raise UserError(f"pairs: {shapes[0]} and {shapes[1]} cannot hold the same numbers: correct the names")
        pairs = [Pair(theirs=tuple(names), ours=partners, layout=way, how="given", summed=summed) for way in ways]
        choices.append(
            Choice(tuple((pair,) for pair in pairs), tuple(dict.fromkeys(first[name].module for name in names)))
        )
    return choices
