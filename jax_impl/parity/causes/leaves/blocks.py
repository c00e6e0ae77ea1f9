"""Packed leaves: those of gates, or of query, key and value, of which a mistake may concern a few blocks only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from jax_impl.parity.causes.cases import Floats, LeafCase
from jax_impl.parity.pair import Term

GATES = {"LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n")}  # torch's orders
PACKED = ("in_proj", "qkv", "c_attn", "query_key_value", "Wqkv", "to_kv", "kv_proj")  # in names of leaves
QKV = ("q", "k", "v")


@dataclass(frozen=True)
class Part:
    """The blocks of a leaf, along its first axis, that a mistake concerns.

    Attributes:
        count: Of equal blocks of the leaf; 1 for the whole leaf.
        which: The numbers of those that differ.
        names: Of all blocks; empty if they have none.
        shape: Of one block.
    """

    count: int
    which: tuple[int, ...]
    names: tuple[str, ...]
    shape: tuple[int, ...]

    def blocks(self, array: Floats) -> list[Floats]:
        """Return all blocks."""
        return [array] if self.count == 1 else np.split(array, self.count)

    def pairs(self, case: LeafCase) -> list[tuple[Floats, Floats]]:
        """Return the blocks that differ, theirs and ours."""
        theirs, ours = self.blocks(case.theirs), self.blocks(case.ours)
        return [(theirs[number], ours[number]) for number in self.which]

    def changed(self, array: Floats, change: Callable[[Floats], Floats]) -> Floats:
        """Return a leaf with these blocks changed, each on its own."""
        if self.count == 1:
            return change(array)
        blocks = self.blocks(array)
        return np.concatenate([change(one) if i in self.which else one for i, one in enumerate(blocks)])

    def text(self, text: str) -> str:
        """Return what was done, with the blocks to which it was done."""
        if self.count == 1:
            return text
        names = self.names or tuple(f"block {number + 1} of {self.count}" for number in range(self.count))
        found = [names[number] for number in self.which]
        listed = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}, each"
        return f"{listed}: {text}"


def block_names(case: LeafCase) -> tuple[str, ...]:
    """Return the names of a packed leaf's blocks; none if it is not known to be packed."""
    leaf = Term.of(case.name.split(" + ")[0]).leaf
    kind = case.module.type if leaf.rpartition(".")[0] in case.pair.modules else ""
    last = leaf.rpartition(".")[2]
    for name, gates in GATES.items():
        if name in kind and last.startswith(("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
            return gates
    attends = "in_proj" in last and "Attention" in kind
    return QKV if attends or any(one in leaf.split(".")[-2:][0] or one in last for one in PACKED[:5]) else ()


def parts(case: LeafCase) -> Iterator[Part]:
    """Yield the whole leaf, then the blocks that differ, by the names of its blocks or as square blocks."""
    shape = case.theirs.shape
    yield Part(1, (0,), (), shape)
    names = block_names(case)
    counts = {len(names): names} if names else {}
    if len(shape) == 2 and shape[1] and shape[0] > shape[1] and shape[0] % shape[1] == 0:
        counts.setdefault(shape[0] // shape[1], ())
    for count, known in counts.items():
        if shape and count > 1 and shape[0] % count == 0 and shape[0]:
            block = (shape[0] // count, *shape[1:])
            pairs = zip(np.split(case.theirs, count), np.split(case.ours, count), strict=True)
            which = tuple(number for number, (a, b) in enumerate(pairs) if not np.allclose(a, b, rtol=1e-6, atol=0))
            if which:
                yield Part(count, which, known, block)
