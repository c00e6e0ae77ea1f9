"""How the reference makes an array, and how the port makes its own: the expressions that give them."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.activations import KNOWN, Activation, described
from jax_impl.parity.causes.families.glue.arrangements import arranged
from jax_impl.parity.causes.families.glue.at_hand import (
    Operand,
    calls_within,
    masks,
    operands,
    outer_call,
    reproduces,
)
from jax_impl.parity.causes.families.glue.expressions import POSITIONS, Expression, Search, fitted
from jax_impl.parity.measures.comparing import stored

THE_SAME = "what the reference has there"
FEWEST = 6  # elements by which an expression can be told from others
ELSEWHERE = (
    "Conv",
    "Pool",
    "Norm",
    "LSTM",
    "GRU",
    "RNN",
    "Embedding",
    "MultiheadAttention",
    "Upsample",
    "Linear",
    "Drop",
)


class Glue:
    """An array of the reference and the port's, and how both follow from what is at hand."""

    def __init__(self, case: ForwardCase) -> None:
        self.case = case
        self.theirs, self.shape = case.expected, tuple(case.target.theirs.shape)

    @classmethod
    def of(cls, case: ForwardCase) -> "Glue":
        """Return it for a case, computed once."""
        glue: Glue = case.pair.kept.setdefault(("glue", case.evidence), cls(case))
        return glue

    @property
    def fits(self) -> bool:
        """Whether the array can be explained here: no other family knows the module better, and it has numbers."""
        case = self.case
        leaf = case.role == "output" and not calls_within(case, absent=True)
        known = leaf and any(kind in case.module.type for kind in ELSEWHERE)
        if self._misaligned():
            return False
        enough = self.theirs is not None and self.theirs.size >= FEWEST
        return not known and enough and bool(np.isfinite(self.expected).all())

    def _misaligned(self) -> bool:
        """Return whether a module in the block has no weights in the port: its arrays may be another module's."""
        mapping, path = self.case.pair.ours.content.mapping, outer_call(self.case)
        lacking = [one.name for one in mapping.unmatched.theirs] if mapping and path else []
        modules = {name.rpartition(".")[0] for name in lacking if name.endswith(".weight")}
        return any(call.module in modules for call in calls_within(self.case, absent=True))

    @cached_property
    def positions(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Some elements that both records hold."""
        ours = self.case.target.ours
        own = stored(ours, self.case.pair.ours.array(ours))
        places = np.arange(own.array.size) if own.positions is None else own.positions
        chosen = np.random.default_rng(0).permutation(places.size)[:POSITIONS]
        return np.sort(places[chosen])

    @cached_property
    def ours(self) -> Floats:
        """The port's array at these positions."""
        ours = self.case.target.ours
        own = stored(ours, self.case.pair.ours.array(ours))
        at = self.positions if own.positions is None else np.searchsorted(own.positions, self.positions)
        return own.array[at].astype(np.float64)

    @property
    def expected(self) -> Floats:
        """The reference's array at these positions."""
        return np.zeros(0) if self.theirs is None else self.theirs.reshape(-1)[self.positions].astype(np.float64)

    @property
    def tolerance(self) -> float:
        """The relative difference that counts as equal when expressions are sought."""
        return max(1e-9, 100 * self.case.pair.tolerance.unit)

    @cached_property
    def activations(self) -> tuple[Activation, ...]:
        """The activations that are tried: those of the module and of those in it that the port lacks come first."""
        outer = outer_call(self.case)
        paths = [call.module for call in (*calls_within(self.case, absent=True), *([outer] if outer else ()))]
        modules = [self.case.pair.modules[path] for path in paths if path in self.case.pair.modules]
        own = [described(module.type, module.settings) for module in modules]
        named = {one.name: one for one in (*own, *KNOWN) if one is not None}
        return tuple(named.values())

    @cached_property
    def operands(self) -> list[Operand]:
        """What is at hand, on both sides, and dropped out by masks that the module draws itself."""
        return self._with_dropout(operands(self.case))

    @cached_property
    def more_operands(self) -> list[Operand]:
        """The same with what goes into and comes out of modules that the port lacks."""
        return self._with_dropout(operands(self.case, absent=True))

    def _with_dropout(self, found: Sequence[Operand]) -> list[Operand]:
        dropped = []
        for mask, kept in masks(self.case):
            factor = kept / (1 - (mask.rate or 0.0))
            dropped.append(Operand("the dropout mask", factor))
            for one in found:
                array = fitted(one.array, kept.shape) if one.array.size == kept.size else None
                if array is not None:
                    dropped.append(Operand(f"dropout of {one.name}", array * factor, late=one.late))
        return [*found, *dropped]

    def search(self, among: Sequence[Operand]) -> Search:
        """Return a search for expressions of some operands."""
        return Search(among, self.shape, self.positions, self.tolerance, self.activations)

    @cached_property
    def reference(self) -> Expression | None:
        """How the reference makes its array; None if that is not found."""
        early = [[one for one in among if not one.late] for among in (self.operands, self.more_operands)]
        return self._reference(early[0]) or self._reference(early[1])

    def _reference(self, among: Sequence[Operand]) -> Expression | None:
        if not self.fits:
            return None
        found = self.search(among).find(self.expected) or arranged(among, self.shape, self.positions, self.expected)
        return next((one for one in found if reproduces(self.case, one.value())), None)

    @cached_property
    def port(self) -> list[Expression]:
        """How the port makes its own: the simplest expressions. Empty if none is found."""
        if not self.fits or not np.isfinite(self.ours).all():
            return []
        among = self.operands
        if self.reference is not None and not self.reference.names <= {one.name for one in among}:
            among = self.more_operands
        same = Operand(THE_SAME, self.theirs.astype(np.float64)) if self.theirs is not None else None
        found = self.search(among).find(self.ours, plain=self.reference is None)
        if not found and same is not None:
            found = [one for one in self.search([same, *among]).find(self.ours) if THE_SAME in one.names]
            found = found or arranged([same, *among], self.shape, self.positions, self.ours)
        return distinct(found)


def distinct(found: Sequence[Expression]) -> list[Expression]:
    """Return those that differ in their numbers, each in its plainest form, which comes first."""
    kept: list[tuple[Expression, Floats]] = []
    for one in found[:8]:
        value = one.value()
        if value is not None and not any(np.allclose(value, other, rtol=1e-9, atol=0) for _, other in kept):
            kept.append((one, value))
    return [one for one, _ in kept[:3]]
