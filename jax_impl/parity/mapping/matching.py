"""How the leaves of one unit of torch become those of one of ours: layers, cells, and packed or separate q, k and v."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from math import prod

import numpy as np

from jax_impl.parity.mapping import rules
from jax_impl.parity.mapping.layouts import as_reshape, each, join, layout, split, transpose
from jax_impl.parity.mapping.leaves import Layout, Leaf, Pair
from jax_impl.parity.mapping.recurrent import Match, match_cells
from jax_impl.parity.mapping.rules import weight_layouts
from jax_impl.parity.mapping.units import TRIPLE, Unit

Pairs = tuple[Pair, ...]
Parts = Mapping[str, tuple[list[Leaf], list[Leaf]]]


def match(theirs: Unit, ours: Unit) -> Match | None:
    """Return how one unit becomes the other, or None if their shapes do not fit."""
    rule = {
        ("layer", "layer"): _layers, ("cell", "cell"): match_cells, ("layer", "triple"): _packed_to_triple,
        ("triple", "layer"): _triple_to_packed, ("layer", "unnamed triple"): _packed_to_any_three,
    }.get((theirs.form, ours.form))  # fmt: skip
    return rule(theirs, ours) if rule else None


def _layers(theirs: Unit, ours: Unit) -> Match | None:
    ways = {
        role: bias_layouts(leaf, ours.leaves[role]) if role == "bias" else weight_layouts(leaf, ours.leaves[role])
        for role, leaf in theirs.leaves.items()
        if role in ours.leaves
    }
    if not ways or not all(ways.values()):
        return None
    main = "weight" if "weight" in ways else next(iter(ways))
    others = [_pair([theirs.leaves[role]], [ours.leaves[role]], ways[role][0]) for role in ways if role != main]
    mains = [_pair([theirs.leaves[main]], [ours.leaves[main]], way) for way in ways[main]]
    return Match(tuple((one, *others) for one in mains))


def bias_layouts(theirs: Leaf, ours: Leaf) -> list[Layout]:
    """Return the layout of a bias, which ours may cut into heads or spread over pixels; none if the sizes differ."""
    return [as_reshape(theirs.shape, ours.shape)] if prod(theirs.shape) == prod(ours.shape) else []


def _pair(theirs: Sequence[Leaf], ours: Sequence[Leaf], way: Layout) -> Pair:
    names = tuple(leaf.name for leaf in theirs), tuple(leaf.name for leaf in ours)
    return Pair(theirs=names[0], ours=names[1], layout=way, how="")


def _linear(leaf: Leaf, shape: tuple[int, ...]) -> Leaf:
    """Return a leaf as if it were the weight or bias of a Linear of torch."""
    return replace(leaf, shape=shape, module_type="Linear" if len(shape) == 2 else "", framework="torch")


def split_layouts(theirs: Leaf, ours: Sequence[Leaf]) -> list[Layout]:
    """Return the layouts that cut the rows of one leaf of torch into several of ours, none if the shapes do not fit."""
    turned = rules.kind(theirs) == "matrix"
    shape = theirs.shape[::-1] if turned else theirs.shape
    width = prod(shape[1:])
    sizes = [prod(part.shape) // width for part in ours]
    if len(shape) not in (1, 2) or sum(sizes) != shape[0]:
        return []
    rule = weight_layouts if len(shape) == 2 else bias_layouts
    ways = [rule(_linear(theirs, (size, *shape[1:])), part) for size, part in zip(sizes, ours, strict=True)]
    first = [transpose(1, 0)] if turned else []
    return [layout(f"cut, {way[0].name}", *first, split(*sizes), each(*way)) for way in zip(*ways, strict=False)]


def join_layouts(theirs: Sequence[Leaf], ours: Leaf) -> list[Layout]:
    """Return the layouts that put the rows of several leaves of torch into one of ours, none if the shapes misfit."""
    if len({part.shape[1:] for part in theirs}) > 1 or len(theirs[0].shape) not in (1, 2):
        return []
    sizes = [part.shape[0] for part in theirs]
    whole = _linear(theirs[0], (sum(sizes), *theirs[0].shape[1:]))
    ways = weight_layouts(whole, ours) if len(whole.shape) == 2 else bias_layouts(whole, ours)
    return [layout(f"joined, {way.name}", join(*sizes), each(way)) for way in ways]


def _packed_to_triple(theirs: Unit, ours: Unit) -> Match | None:
    """One array of torch that holds the rows of query, key and value, and three of ours."""
    sides = {
        role: ([leaf], [ours.leaves.get(f"{part}.{role}") for part in TRIPLE]) for role, leaf in theirs.leaves.items()
    }
    full = {role: (one, [part for part in parts if part]) for role, (one, parts) in sides.items() if all(parts)}
    return _in_all_layouts(full, lambda one, parts: split_layouts(one[0], parts))


def _packed_to_any_three(theirs: Unit, ours: Unit) -> Match | None:
    """One array of torch, and three of ours of which nothing tells which is the query."""
    options: list[Pairs] = []
    for order in permutations(TRIPLE):
        names = dict(zip(TRIPLE, order, strict=True))
        leaves = {
            f"{names[role.partition('.')[0]]}.{role.partition('.')[2]}": leaf for role, leaf in ours.leaves.items()
        }
        found = _packed_to_triple(theirs, replace(ours, leaves=leaves))
        options += found.options if found else ()
    return Match(tuple(options)) if options else None


def _triple_to_packed(theirs: Unit, ours: Unit) -> Match | None:
    """Three arrays of torch, and one of ours that holds them."""
    sides = {
        role: ([theirs.leaves.get(f"{part}.{role}") for part in TRIPLE], [leaf]) for role, leaf in ours.leaves.items()
    }
    full = {role: ([part for part in parts if part], one) for role, (parts, one) in sides.items() if all(parts)}
    return _in_all_layouts(full, lambda parts, one: join_layouts(parts, one[0]))


def _in_all_layouts(sides: Parts, layouts_of: Callable[[list[Leaf], list[Leaf]], list[Layout]]) -> Match | None:
    found = {role: [_pair(*leaves, way) for way in layouts_of(*leaves)] for role, leaves in sides.items()}
    if not found.get("weight"):
        return None
    biases = [pairs[0] for role, pairs in found.items() if role != "weight" and pairs]
    return Match(tuple((weight, *biases) for weight in found["weight"]))


def given_layouts(theirs: Sequence[Leaf], ours: Sequence[Leaf]) -> tuple[list[Layout], bool]:
    """Return the layouts by which some leaves can become others, if any, and whether torch's are added up."""
    first, other = theirs[0], ours[0]
    if len(ours) > 1:
        return (split_layouts(first, ours) if len(theirs) == 1 else []), False
    equal = all(leaf.shape == first.shape and prod(leaf.shape) == prod(other.shape) for leaf in theirs)
    if equal or len(theirs) == 1:
        return weight_layouts(first, other) or bias_layouts(first, other), len(theirs) > 1
    return join_layouts(theirs, other), False


def flattened(options: Sequence[Pairs], theirs: Unit, ours: Unit, units: Sequence[Unit]) -> list[Pairs]:
    """Add the layouts of a Linear of torch after a flattened image, or before one that is unflattened.

    torch's images are (C, H, W) and Flax's (H, W, C), so features may have another order. It depends on C alone, which
    the layers before and after tell. Flax's usual order comes first.
    """
    weight = theirs.leaves.get("weight")
    if theirs not in units or theirs.kind != "linear" or weight is None or len(weight.shape) != 2:
        return list(options)
    place = units.index(theirs)
    before = rules.channels(units[place - 1].main, out=True) if place else 0
    after = rules.channels(units[place + 1].main, out=False) if place + 1 < len(units) else 0
    sides = {"inputs": (before, weight.shape[1]), "outputs": (after, weight.shape[0])}
    result = list(options)
    for side, (count, size) in sides.items():
        if count and size > count and size % count == 0:
            other = [_features(pairs, weight, **{side: count}) for pairs in result]
            result = other + result if ours.main.framework in rules.FLAX else result + other
    return result


def _features(pairs: Pairs, weight: Leaf, *, inputs: int = 0, outputs: int = 0) -> Pairs:
    """Reorder the input features of a weight, or the output features of a weight and its bias."""
    size = weight.shape[1] if inputs else weight.shape[0]
    order = np.arange(size).reshape(inputs or outputs, -1).T.ravel()
    return tuple(
        replace(pair, layout=rules.reordered(pair.layout, order, axis=1 if inputs else 0))
        if outputs or pair.theirs == (weight.name,)
        else pair
        for pair in pairs
    )
