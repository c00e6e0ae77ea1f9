"""The two records that are compared, and what several rungs need to know of both."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from jax_impl.parity.arrays import Array
from jax_impl.parity.measures.comparing import Floats, Stored, compare, part, stored, total
from jax_impl.parity.measures.execution import Key, key
from jax_impl.parity.measures.tolerances import UNIT, Measured, Tolerance
from jax_impl.parity.records.content import Call, Leaf, Module, Pass, Reference, Step
from jax_impl.parity.records.reading import Record

MODES = {"train": "training mode", "eval": "evaluation mode"}
FLOAT32 = UNIT["float32"]
COPIED = "copied weights are equal"
SUM = " + "  # between the names of leaves that the port adds into one


@dataclass(frozen=True)
class Term:
    """A leaf of the reference, or the part of it between two indices of its first axis, written `name[2:5]`."""

    leaf: str
    start: int = 0
    stop: int | None = None

    @classmethod
    def of(cls, text: str) -> "Term":
        """Return what a name in a record stands for."""
        found = re.fullmatch(r"(.*)\[(\d{1,18}):(\d{1,18})\]", text, re.DOTALL)
        return cls(found[1], int(found[2]), int(found[3])) if found else cls(text)


@dataclass(frozen=True)
class Pair:
    """The reference's record and the port's."""

    theirs: Record
    ours: Record
    margin: float  # difference of accuracies that does not matter

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What the search for causes computes once and uses again."""
        return {}

    @cached_property
    def tolerance(self) -> Tolerance:
        """The rule for tolerances, in the dtype in which the reference was recorded."""
        return Tolerance(str(self.theirs.content.precision.get("recorded", "float64")))

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """The reference's leaves by name."""
        return {leaf.name: leaf for leaf in self.theirs.content.leaves}

    @cached_property
    def modules(self) -> dict[str, Module]:
        """The reference's modules by path."""
        return {module.path: module for module in self.theirs.content.modules}

    @cached_property
    def own_modules(self) -> dict[str, Module]:
        """The port's modules by path."""
        return {module.path: module for module in self.ours.content.modules}

    @cached_property
    def partners(self) -> dict[str, str]:
        """The port's module of each of the reference's that has one."""
        mapping = self.ours.content.mapping
        return {pair.theirs: pair.ours for pair in mapping.modules} if mapping else {}

    @cached_property
    def paired(self) -> dict[str, tuple[Term, ...]]:
        """The names under which the port recorded its leaves, with what of the reference's leaves each stands for.

        Leaves of the reference that are tied to another one are left out: their numbers are the other one's.
        """
        found: dict[str, tuple[Term, ...]] = {}
        for pair in self.ours.content.mapping.leaves if self.ours.content.mapping else ():
            for name in [SUM.join(pair.theirs)] if pair.summed else pair.theirs:
                terms = tuple(Term.of(text) for text in name.split(SUM))
                if not any(leaf.tied for term in terms if (leaf := self.leaves.get(term.leaf))):
                    found[name] = terms
        return found

    def name(self, path: str) -> str:
        """Return how a module of the reference is called in messages."""
        module = self.modules.get(path)
        return path or f"{module.type if module else 'the model'} (root)"

    def module_of(self, leaf: str) -> str:
        """Return the path of the module to which a leaf belongs."""
        first = Term.of(leaf.split(SUM)[0]).leaf
        return self.leaves[first].module if first in self.leaves else first.rpartition(".")[0]

    def forward(self, mode: str) -> tuple[Pass | None, Pass | None]:
        """Return the reference's pass in a mode and the port's."""
        return getattr(self.theirs.content.forward, mode), getattr(self.ours.content.forward, mode)

    def in_float32(self, mode: str) -> set[Key]:
        """Return the calls in which the port computes in float32 although its inputs are wider."""
        _, ours = self.forward(mode)
        calls: list[Call] = [*ours.free, *ours.forced] if ours else []
        return {key(call) for call in calls if call.float32}

    @cached_property
    def computes_in_float32(self) -> bool:
        """Whether a module of the port computes in float32 inside, in training."""
        return bool(self.in_float32("train"))

    @cached_property
    def optimizer_in_float32(self) -> bool:
        """Whether the port's optimizer computes in float32 inside, as Optax's schedules do.

        Without a flag it shows in updates that are the reference's but for a factor that rounds to 1 in float32.
        """
        ours, theirs = self.ours.content, self.theirs.content
        if any(step.float32 for step in (*(ours.injected or ()), *(ours.trajectory or ()))):
            return True
        return any(map(self._is_scaled_by_rounding, ours.injected or (), theirs.injected or ()))

    @cached_property
    def trains_in_float32(self) -> bool:
        """Whether a part of the port's training computes in float32 inside."""
        return self.computes_in_float32 or self.optimizer_in_float32

    def _is_scaled_by_rounding(self, ours: Step, theirs: Step) -> bool:
        """Return whether the largest update of a step has such a factor, and agrees exactly with it."""
        sizes = {name: one.norm for name in self.paired if (one := theirs.updates.get(name)) is not None}
        name = max(sizes, key=sizes.__getitem__, default="")
        mine, reference = ours.updates.get(name), theirs.updates.get(name)
        if mine is None or reference is None or self.tolerance.unit >= FLOAT32:
            return False
        a, b = (
            record.array(one).reshape(-1).astype(np.float64)
            for record, one in ((self.ours, mine), (self.theirs, reference))
        )
        if a.shape != b.shape or not np.isfinite(a).all() or not b.any():
            return False
        ratio = float(a @ b) / float(b @ b)
        found = self.compare(mine, reference)
        close = np.linalg.norm(a - ratio * b) <= found.allowed * np.linalg.norm(b)
        return bool(0 < abs(ratio - 1) <= 2 * FLOAT32 and close and not found.passed)

    @cached_property
    def different_weights(self) -> frozenset[str]:
        """The modules whose weights were not the same on both sides before training."""
        return frozenset(self.module_of(name) for name, found in self.starts.items() if not found.passed)

    @cached_property
    def starts(self) -> dict[str, Measured]:
        """Each leaf before training, compared exactly, but a sum by rounding."""
        return {name: self._start(name) for name in self.paired}

    def _start(self, name: str) -> Measured:
        terms = self.paired[name]
        arrays = {term.leaf: self.theirs.start(term.leaf) for term in terms}
        dtypes = {leaf: self.leaves[leaf].dtype for leaf in arrays if leaf in self.leaves}
        dtype = next(iter(dtypes.values()), "float64")
        references = {leaf: _described(array, dtype) for leaf, array in arrays.items() if array is not None}
        theirs = {leaf: stored(references[leaf], array) for leaf, array in arrays.items() if array is not None}
        own = self.ours.start(name)
        same = arrays.get(name)  # None for a sum or a part
        if own is not None and same is not None and np.array_equal(own, same):  # NaN is not equal
            return Measured(measured=0.0, allowed=0.0, reason=COPIED)
        mine = None if own is None else stored(_described(own, dtype), own)
        found = compare(Tolerance(dtype), mine, _value(terms, theirs))
        if len(terms) > 1:
            return found
        return replace(found, allowed=0.0, reason=COPIED)

    def compare(
        self, mine: Reference | None, reference: Reference | None, *, loose: bool = False, slack: float = 0.0
    ) -> Measured:
        """Compare an array of the port with the reference's."""
        return compare(self.tolerance, _load(self.ours, mine), _load(self.theirs, reference), loose=loose, slack=slack)

    def compare_leaf(
        self,
        name: str,
        ours: Mapping[str, Reference | None],
        theirs: Mapping[str, Reference | None],
        *,
        loose: bool = False,
        slack: float = 0.0,
        summed: bool = True,
    ) -> Measured:
        """Compare what was recorded of a leaf on both sides.

        Args:
            name: Under which the port recorded it, a key of `paired`.
            ours: The port's arrays by this name.
            theirs: The reference's, by the names of leaves.
            loose: Whether the port computed in float32 on the way.
            slack: A difference that is allowed in any case.
            summed: Whether leaves that the port adds into one are added, too; otherwise the first one is taken.
        """
        terms = self.paired[name] if summed else self.paired[name][:1]
        loaded = {term.leaf: _load(self.theirs, theirs.get(term.leaf)) for term in terms}
        known = {leaf: value for leaf, value in loaded.items() if value is not None}
        mine = _load(self.ours, ours.get(name))
        return compare(self.tolerance, mine, _value(terms, known), loose=loose, slack=slack)


def _numbers(record: Record, reference: Reference) -> Floats:
    return record.array(reference).reshape(-1).astype(np.float64)


def _load(record: Record, reference: Reference | None) -> Stored | None:
    return None if reference is None else stored(reference, record.array(reference))


def _value(terms: Sequence[Term], leaves: Mapping[str, Stored]) -> Stored | None:
    """Return the sum of leaves or of parts of leaves; None if one is missing."""
    found = []
    for term in terms:
        if term.leaf not in leaves:
            return None
        value = leaves[term.leaf]
        found.append(value if term.stop is None else part(value, term.start, term.stop))
    return found[0] if len(found) == 1 else total(found)


def _described(array: Array, dtype: str) -> Reference:
    return Reference(
        file="start", key="", shape=list(array.shape), dtype=dtype, norm=0.0, largest=0.0, sampled=False, noise=0.0
    )
