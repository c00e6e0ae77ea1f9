"""Which module of torch is which of ours, told by the leaves that they hold."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from jax_impl.parity.mapping.layouts import whole
from jax_impl.parity.mapping.leaves import Leaf, Pair
from jax_impl.parity.mapping.names import meanings, parse, similarity
from jax_impl.parity.mapping.units import is_constant

Held = Mapping[str, frozenset[str]]
SEQUENCES = {"LSTM", "GRU", "RNN"}  # torch modules that run over a whole sequence, so they are the outermost of ours


def modules(
    theirs_modules: Sequence[str],
    ours_modules: Sequence[str],
    pairs: Iterable[Pair],
    theirs_leaves: Sequence[Leaf],
    ours_leaves: Sequence[Leaf],
    agreeing: Collection[tuple[str, str]] = (),
) -> tuple[tuple[str, str], ...]:
    """Return the paths of the modules that belong together, in torch's order. The roots do.

    Two modules belong together if our module holds just the partners of the leaves in torch's, and the reverse. Where
    torch wraps a module in another one, or we do, those in `agreeing` do, and otherwise those of similar names. Modules
    without leaves do if their names agree, as far as the modules around them belong together.
    """
    pairs = list(pairs)
    found = {"": ""} if "" in theirs_modules and "" in ours_modules else {}
    owners = (
        {leaf.module: leaf.module_type for leaf in theirs_leaves},
        {leaf.module: leaf.module_type for leaf in ours_leaves},
    )
    for paths, partners in alternatives(theirs_modules, ours_modules, pairs, theirs_leaves, ours_leaves):
        found |= _aligned(paths, partners, owners, agreeing)
    first, second = set(_held(theirs_modules, theirs_leaves)), set(_held(ours_modules, ours_leaves))
    found |= _without_leaves(theirs_modules, ours_modules, found, first, second)
    return tuple((path, found[path]) for path in theirs_modules if path in found)


def alternatives(
    theirs_modules: Sequence[str],
    ours_modules: Sequence[str],
    pairs: Iterable[Pair],
    theirs_leaves: Sequence[Leaf],
    ours_leaves: Sequence[Leaf],
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield torch's modules and ours that hold the same leaves, each from the outside; without the roots."""
    links = [({whole(name) for name in pair.theirs}, {whole(name) for name in pair.ours}) for pair in pairs]
    first = _held(theirs_modules, theirs_leaves, {name for theirs, _ in links for name in theirs})
    second = _held(ours_modules, ours_leaves, {name for _, ours in links for name in ours})
    forth: dict[str, set[str]] = defaultdict(set)
    back: dict[str, set[str]] = defaultdict(set)
    for theirs, ours in links:
        for name in theirs:
            forth[name] |= ours
        for name in ours:
            back[name] |= theirs
    ours_by_leaves = _by_leaves(second)
    for names, paths in _by_leaves(first).items():
        image = frozenset(partner for name in names for partner in forth[name])
        if names and frozenset(name for partner in image for name in back[partner]) == names:
            yield _inner(paths), _inner(ours_by_leaves[image])


def _inner(paths: Sequence[str]) -> list[str]:
    """Return the paths without the root, from the outside."""
    return sorted((path for path in paths if path), key=lambda path: path.count("."))


def _by_leaves(held: Held) -> dict[frozenset[str], list[str]]:
    result: dict[frozenset[str], list[str]] = defaultdict(list)
    for path, names in held.items():
        result[names].append(path)
    return result


def _held(paths: Sequence[str], leaves: Sequence[Leaf], paired: Collection[str] = ()) -> Held:
    """Return the paired leaves that each module holds, its own and its descendants', for modules that hold any leaf."""
    held: dict[str, set[str]] = {}
    known = set(paths)
    for leaf in leaves:
        pieces = leaf.module.split(".") if leaf.module else []
        for count in range(len(pieces) + 1):
            path = ".".join(pieces[:count])
            if path in known and not is_constant(leaf):
                held.setdefault(path, set()).update({leaf.name}.intersection(paired))
    return {path: frozenset(held[path]) for path in paths if path in held}


def _aligned(
    theirs: Sequence[str],
    ours: Sequence[str],
    owners: tuple[Mapping[str, str], Mapping[str, str]],
    agreeing: Collection[tuple[str, str]],
) -> dict[str, str]:
    """Pair modules that hold the same leaves, in order: wrappers with wrappers, owners of the leaves with owners."""
    if not theirs or not ours:
        return {}
    if len(theirs) == len(ours):
        return dict(zip(theirs, ours, strict=True))
    if len(theirs) == 1 and owners[0].get(theirs[0]) in SEQUENCES:
        return {theirs[0]: ours[0]}

    def likeness(one: str, other: str) -> float:
        same = float((one in owners[0]) == (other in owners[1]))
        return 0.01 + same + similarity(parse(one), parse(other)) + 4 * ((one, other) in agreeing)

    table: list[list[tuple[float, tuple[tuple[str, str], ...]]]] = [
        [(0.0, ())] * (len(ours) + 1) for _ in range(len(theirs) + 1)
    ]
    for i, one in enumerate(theirs):
        for j, other in enumerate(ours):
            total, chosen = table[i][j]
            both = (total + likeness(one, other), (*chosen, (one, other)))
            table[i + 1][j + 1] = max(both, table[i][j + 1], table[i + 1][j], key=lambda entry: entry[0])
    return dict(table[-1][-1][1])


def _without_leaves(
    theirs: Sequence[str], ours: Sequence[str], found: Mapping[str, str], holding: set[str], ours_holding: set[str]
) -> dict[str, str]:
    """Pair activations, dropouts and the like by name, inside of modules that belong together.

    Siblings of one name but other numbers are paired in order if there are as many.
    """
    free = [path for path in theirs if path and path not in holding]
    candidates = _by_parent([path for path in ours if path and path not in ours_holding])
    result: dict[str, str] = {}
    for parent, siblings in _by_parent(free).items():  # parents come before children
        partner = {**found, **result}.get(parent)
        others = _by_stem(candidates.get(partner, []) if partner is not None else [])
        for name, members in _by_stem(siblings).items():
            alike = others.get(name, [])
            equal = {path: other for path in members for other in alike if _last(path) == _last(other)}
            counted = name and len(equal) < len(members) == len(alike)
            result |= dict(zip(members, alike, strict=True)) if counted else equal
    return result


def _last(path: str) -> tuple[str | int, ...]:
    return parse(path.rpartition(".")[2]).key(meant=False)


def _by_parent(paths: Sequence[str]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        result[path.rpartition(".")[0]].append(path)
    return result


def _by_stem(paths: Sequence[str]) -> dict[str, list[str]]:
    """Group siblings by the words of their names, each group by number."""
    result: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        words = [word for text, _ in parse(path.rpartition(".")[2]).components for word in meanings(text)]
        result["".join(words)].append(path)
    return {
        stem: sorted(members, key=lambda path: [n for _, n in parse(path).components])
        for stem, members in result.items()
    }
