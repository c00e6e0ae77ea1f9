"""What is known about a failed check: the arrays of both sides, and everything recorded around them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.arrays import Array, sample_indices
from jax_impl.parity.measures.comparing import Stored, compare, stored
from jax_impl.parity.measures.execution import Key, events, key
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call, Mask, Module, Pass, Reference
from jax_impl.parity.records.reading import Record
from jax_impl.parity.verdict import Check, Evidence

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """An array of the port, which a changed reference must reproduce."""

    pair: Pair
    ours: Reference
    theirs: Reference
    loose: bool = False

    def agrees(self, prediction: Array | None) -> Measured | None:
        """Compare a prediction, a whole array in the reference's layout, with the port's array.

        The tolerance is that of the check which failed. None stands for a prediction that cannot be computed.
        """
        if prediction is None or list(prediction.shape) != self.theirs.shape:
            return None
        mine = stored(self.ours, self.pair.ours.array(self.ours))
        flat = np.asarray(prediction).reshape(-1)
        places = sample_indices(flat.size, mine.array.size) if mine.positions is not None else None
        expected = Stored(self.theirs, flat if places is None else flat[places], places, whole=False)
        return compare(self.pair.tolerance, mine, expected, loose=self.loose)

    @cached_property
    def array(self) -> Array | None:
        """The port's whole array; None if only a sample was stored."""
        return whole(self.pair.ours, self.ours)


def whole(record: Record, reference: Reference | None) -> Array | None:
    """Return an array of a record, in float64 if it holds floating-point numbers; None if only a sample was stored."""
    if reference is None or reference.sampled:
        return None
    array = record.array(reference)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


@dataclass(frozen=True)
class ForwardCase:
    """An array that goes into or comes out of a module, in a forward pass, differs.

    Attributes:
        pair: The records.
        check: That failed.
        evidence: Of the check.
    """

    pair: Pair
    check: Check
    evidence: Evidence

    @property
    def training(self) -> bool:
        """Whether it is in training mode."""
        return self.evidence.mode == "train"

    @property
    def role(self) -> str:
        """Whether the array is an "input" or an "output" of `call`."""
        return self.evidence.role

    @cached_property
    def passes(self) -> tuple[Pass, Pass]:
        """The reference's pass and the port's."""
        theirs, ours = self.pair.forward(self.evidence.mode)
        return theirs or Pass(free=[]), ours or Pass(free=[])

    @cached_property
    def calls(self) -> dict[Key, Call]:
        """The reference's calls."""
        return {key(call): call for call in self.passes[0].free}

    @cached_property
    def call(self) -> Call:
        """The reference's call whose array differs."""
        return self.calls[self.evidence.call or ("", 0)]

    @cached_property
    def mine(self) -> Call:
        """The port's call, which received the reference's inputs."""
        own = self.passes[1].forced if self.evidence.forced else self.passes[1].free
        return next(call for call in own if key(call) == key(self.call))

    @property
    def module(self) -> Module:
        """The reference's module that makes the array: the one called, or, of an input, the one that calls it."""
        return self.pair.modules[self.call.module if self.role == "output" else self.check.module or ""]

    @property
    def own_module(self) -> Module | None:
        """The port's partner of `module`."""
        return self.pair.own_modules.get(self.pair.partners.get(self.module.path, ""))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the reference's module."""
        return self.module.settings

    @cached_property
    def target(self) -> Target:
        """The port's array."""
        ours = getattr(self.mine, f"{self.role}s")[self.evidence.index]
        return Target(self.pair, ours, self.reference, key(self.call) in self.pair.in_float32(self.evidence.mode))

    @cached_property
    def expected(self) -> Array | None:
        """The reference's array."""
        return whole(self.pair.theirs, self.reference)

    @property
    def reference(self) -> Reference:
        """Where the reference's array is stored."""
        found: Reference = getattr(self.call, f"{self.role}s")[self.evidence.index]
        return found

    @property
    def own_shapes(self) -> list[list[int]]:
        """The shapes of the port's arrays that may be this one, but have no partner, in the port's own layout."""
        return self.mine.own_outputs if self.role == "output" else self.mine.own_inputs

    @cached_property
    def inputs(self) -> list[Array | None]:
        """What the reference's module receives."""
        call = self.call if self.role == "output" else self.parent
        return [whole(self.pair.theirs, one) for one in call.inputs] if call else []

    @property
    def input(self) -> Array | None:
        """The first input."""
        return self.inputs[0] if self.inputs else None

    def parameter(self, name: str) -> Floats | None:
        """Return a parameter or buffer of the reference's module before training, by its name in the module."""
        path = f"{self.module.path}.{name}" if self.module.path else name
        leaf = self.pair.leaves.get(path)
        array = self.pair.theirs.start(leaf.tied or path if leaf else path)
        return None if array is None else array.astype(np.float64)

    @cached_property
    def parent(self) -> Call | None:
        """The reference's call inside which `call` is made."""
        calls = self.passes[0].free
        parents = {event.call: event.parent for event in events(calls) if event.begins}
        outer = parents[next(number for number, call in enumerate(calls) if key(call) == key(self.call))]
        return None if outer is None else calls[outer]

    @cached_property
    def inside(self) -> list[Call]:
        """The calls that `module` makes, in the order of beginning; of an input that differs, those before it."""
        calls = self.passes[0].free
        outer = self.call if self.role == "output" else self.parent
        found = [
            calls[event.call]
            for event in events(calls)
            if event.begins and outer is not None and event.parent is not None and calls[event.parent] is outer
        ]
        return found if self.role == "output" else [one for one in found if one.order < self.call.order]

    @cached_property
    def masks(self) -> list[Mask]:
        """The dropout masks that the reference's module draws itself."""
        return [mask for mask in self.passes[0].masks if mask.module == self.module.path]

    def mask(self, mask: Mask) -> Floats | None:
        """Return a mask as an array of 0 and 1."""
        found = whole(self.pair.theirs, mask.array)
        return None if found is None else found.astype(np.float64)

    def known(self) -> Iterator[tuple[str, Array]]:
        """Yield what the reference's module has at hand: its inputs, and inputs and outputs of modules it calls."""
        for number, array in enumerate(self.inputs):
            if array is not None:
                yield f"input {number + 1}" if len(self.inputs) > 1 else "the input", array
        for call in self.inside:
            for role in ("input", "output"):
                for reference in getattr(call, f"{role}s"):
                    array = whole(self.pair.theirs, reference)
                    if array is not None:
                        yield f"the {role} of {_short(call.module, self.module.path)}", array


@dataclass(frozen=True)
class LeafCase:
    """A parameter or buffer that was loaded, or drawn, or is a gradient, differs.

    Attributes:
        name: Under which the port recorded it.
        theirs: The reference's array. Of fresh weights, shape (seeds, elements).
        ours: The port's, in the reference's layout.
    """

    pair: Pair
    check: Check
    evidence: Evidence
    name: str
    theirs: Floats
    ours: Floats

    @property
    def module(self) -> Module:
        """The reference's module to which it belongs."""
        return self.pair.modules[self.pair.module_of(self.name)]

    def agrees(self, prediction: Floats | None, tolerance: float = 1e-6) -> Measured | None:
        """Compare a prediction with the port's array by the L2 norm of the difference."""
        if prediction is None or prediction.shape != self.ours.shape:
            return None
        scale = float(np.linalg.norm(self.ours)) or 1.0
        return Measured(measured=float(np.linalg.norm(prediction - self.ours)) / scale, allowed=tolerance)


@dataclass(frozen=True)
class WholeCase:
    """Something that needs all of both records differs: loss, gradients, optimizer, state, trajectory or data.

    Attributes:
        rung: The number of the rung that failed.
        failures: Its failed checks.
    """

    pair: Pair
    check: Check
    rung: int
    failures: tuple[Check, ...]


def _short(path: str, outer: str) -> str:
    return path.removeprefix(f"{outer}." if outer else "") or "itself"
