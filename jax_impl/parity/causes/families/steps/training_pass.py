"""The reference's calls on the first batch in training mode: which layers make what a module receives."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jax_impl.parity.arrays import Array
from jax_impl.parity.causes.cases import Floats, whole
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call

BEFORE = 12  # calls before a module among which the one that makes its input is sought
FEW = 64  # elements by which arrays are compared first
RTOL, ATOL = 1e-6, 1e-9


@dataclass(frozen=True)
class TrainingPass:
    """The calls of the forward pass of which the gradients were taken."""

    pair: Pair

    @cached_property
    def calls(self) -> list[Call]:
        """All calls, in the order of beginning."""
        train, _ = self.pair.forward("train")
        return sorted(train.free if train else [], key=lambda call: call.order)

    def input(self, call: Call) -> Array | None:
        """Return the first array that a call receives; None if it is not known whole."""
        return whole(self.pair.theirs, call.inputs[0]) if call.inputs else None

    def output(self, call: Call) -> Array | None:
        """Return the first array that a call returns."""
        return whole(self.pair.theirs, call.outputs[0]) if call.outputs else None

    def kind(self, call: Call) -> str:
        """Return the type of the module that is called."""
        return self.pair.modules[call.module].type

    def is_called_once(self, call: Call) -> bool:
        """Return whether no other call is one of the same module."""
        return sum(one.module == call.module for one in self.calls) == 1

    def makers(self, call: Call) -> Iterator[tuple[Call, Floats]]:
        """Yield the linear layers and convolutions whose output a call receives: as it is, or in a sum.

        Each comes with what its output is multiplied by in between: dropout, or 1.
        """
        x = self.input(call)
        for one in [other for other in self.calls if other.order < call.order][-BEFORE:]:
            y = self.output(one) if self.kind(one).startswith(("Linear", "Conv")) else None
            if x is None or y is None or y.shape != x.shape:
                continue
            for factor in (np.ones(1), *self._dropped(one, y)):
                if np.array_equal(factor * y, x) or self._is_known(x - factor * y, call):
                    yield one, factor
                    break

    def _dropped(self, maker: Call, y: Array) -> Iterator[Floats]:
        """Yield the factors by which dropout multiplies what a call returned."""
        for one in self.calls:
            given, made = one.inputs[:1], maker.outputs[:1]
            if "Drop" in self.kind(one) and given and given[0] and made[0] and given[0].key == made[0].key:
                result = self.output(one)
                if result is not None and result.shape == y.shape:
                    yield np.divide(result, y, out=np.zeros_like(y), where=y != 0)

    def _is_known(self, rest: Array, until: Call) -> bool:
        """Return whether an array is one that an earlier call received or returned."""
        before = [call for call in self.calls if call.order < until.order]
        found = [one for call in before for one in (*call.inputs, *call.outputs) if one is not None]
        for reference in {one.key: one for one in found if one.shape == list(rest.shape)}.values():
            other = whole(self.pair.theirs, reference)
            if other is not None and _near(other.reshape(-1)[:FEW], rest.reshape(-1)[:FEW]) and _near(other, rest):
                return True
        return False


def _near(one: Array, other: Array) -> bool:
    return bool(np.allclose(one, other, rtol=RTOL, atol=ATOL))
