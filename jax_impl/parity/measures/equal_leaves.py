"""Leaves that start equal in every fresh model, such as those of layers that were copied."""

from collections.abc import Iterable, Sequence
from itertools import pairwise


def equal_groups(pairs: Sequence[Sequence[str]], names: set[str]) -> set[frozenset[str]]:
    """Return the groups of leaves that are equal to each other."""
    group = {name: {name} for name in names}
    for one in pairs:
        for a, b in pairwise(one):
            if a in group and b in group and group[a] is not group[b]:
                group[a] |= group[b]
                for name in group[b]:
                    group[name] = group[a]
    return {frozenset(found) for found in group.values() if len(found) > 1}


def by_module(groups: Iterable[frozenset[str]]) -> dict[tuple[str, ...], int]:
    """Return the modules, or the single leaves, that are equal, each with the number of leaves."""
    found: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for group in sorted(map(sorted, groups)):
        parts = [name.split(".") for name in group]
        while len({one[-1] for one in parts}) == 1 and min(map(len, parts)) > 1:
            parts = [one[:-1] for one in parts]
        found.setdefault(tuple(map(".".join, parts)), []).append(tuple(group))
    return {names if len(leaves) > 1 else leaves[0]: len(leaves) for names, leaves in found.items()}
