"""The arrays of the batches of both sides, beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.cases import Floats, WholeCase
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.records.content import Reference, arrays_of

ALLOWED = 4e-6  # relative difference: 64 roundings of float32, in which data are prepared
VALUES = 3  # different numbers that an array needs, so that a change of it can be told

Array = NDArray[Any]


@dataclass(frozen=True)
class Entry:
    """One array of the batches, in all batches that both sides have.

    Attributes:
        where: Its place in the batch; "" if it is the only one.
        theirs: The reference's arrays, one for each batch.
        ours: The port's, with the channels first where the rung allows them last.
    """

    where: str
    theirs: list[Array]
    ours: list[Array]

    def text(self, text: str) -> str:
        """Return what was done to this array."""
        return f"{self.where} of the batch: {text}" if self.where else text

    @property
    def alike(self) -> bool:
        """Whether both sides have the same shapes, with at least one axis."""
        return all(a.shape == b.shape and a.ndim for a, b in zip(self.theirs, self.ours, strict=True))

    @property
    def uniform(self) -> bool:
        """Whether all batches have the same shape, on each side."""
        return all(len({one.shape for one in side}) == 1 for side in (self.theirs, self.ours))

    @property
    def whole(self) -> bool:
        """Whether all numbers are integers, on both sides."""
        return all(one.dtype.kind in "iub" for one in (*self.theirs, *self.ours))

    @property
    def differs(self) -> bool:
        """Whether the port's numbers are others, beyond rounding."""
        found = agreement(self.theirs, self.ours)
        return found is None or not found.passed

    @property
    def informative(self) -> bool:
        """Whether the arrays hold enough different finite numbers."""
        sides = [flat(side) for side in (self.theirs, self.ours)]
        return np.unique(sides[0]).size >= VALUES and all(np.isfinite(side).all() for side in sides)


def flat(arrays: Sequence[Array]) -> Floats:
    """Return all numbers of several arrays."""
    return np.concatenate([one.reshape(-1).astype(np.float64) for one in arrays] or [np.zeros(0)])


def agreement(prediction: Sequence[Array], ours: Sequence[Array], allowed: float = ALLOWED) -> Measured | None:
    """Compare predicted arrays of all batches with the port's; None if the shapes differ."""
    if len(prediction) != len(ours) or any(a.shape != b.shape for a, b in zip(prediction, ours, strict=True)):
        return None
    a, b = flat(prediction), flat(ours)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    scale = float(np.linalg.norm(b)) or 1.0
    return Measured(measured=float(np.linalg.norm(a - b)) / scale, allowed=allowed)


def worst(results: Sequence[Measured | None]) -> Measured | None:
    """Return the largest difference; None if one is not known."""
    known = [one for one in results if one is not None]
    return max(known, key=lambda one: one.measured) if known and len(known) == len(results) else None


def entries(case: WholeCase) -> list[Entry]:
    """Return the arrays of the batches that both sides have; none if the batches have different structures."""
    theirs, ours = case.pair.theirs.content.batches, case.pair.ours.content.own_batches or []
    both = [(list(arrays_of(a)), list(arrays_of(b))) for a, b in zip(theirs, ours, strict=False)]
    if not both or any(len(a) != len(b) or len(a) != len(both[0][0]) for a, b in both):
        return []
    found = []
    for number, (where, _) in enumerate(both[0][0]):
        pairs = [(a[number][1], b[number][1]) for a, b in both]
        if all(isinstance(one, Reference) and not one.sampled for both_sides in pairs for one in both_sides):
            first = [case.pair.theirs.array(a) for a, _ in pairs]
            second = [case.pair.ours.array(b) for _, b in pairs]
            turned = [_channels_first(a, b) for a, b in zip(first, second, strict=True)]
            found.append(Entry(where if len(both[0][0]) > 1 else "", first, turned))
    return found


def _channels_first(theirs: Array, ours: Array) -> Array:
    shape = ours.shape
    last = len(shape) > 2 and (shape[0], shape[-1], *shape[1:-1]) == theirs.shape != shape
    return np.moveaxis(ours, -1, 1) if last else ours


def different(case: WholeCase) -> list[Entry]:
    """Return the arrays that differ and hold enough to tell why."""
    return [one for one in entries(case) if one.differs and one.informative]
