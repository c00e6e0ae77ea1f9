"""Running statistics of a norm, updated again from the inputs of the first step."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jax_impl.parity.causes.cases import Floats, Target, whole
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call

MEAN, VAR = "running_mean", "running_var"
Buffers = dict[str, Floats]


@dataclass(frozen=True)
class Batch:
    """The statistics of one batch, by channel: the mean, the biased variance, and of how many numbers."""

    mean: Floats
    var: Floats
    count: int


@dataclass(frozen=True)
class Norm:
    """A norm of the reference that keeps running statistics.

    Attributes:
        pair: The records.
        path: Of the module.
    """

    pair: Pair
    path: str

    def name(self, buffer: str) -> str:
        """Return the name of one of its buffers."""
        return f"{self.path}.{buffer}" if self.path else buffer

    @cached_property
    def start(self) -> Buffers:
        """The buffers before training."""
        found = {buffer: self.pair.theirs.start(self.name(buffer)) for buffer in (MEAN, VAR)}
        return {buffer: array.astype(np.float64) for buffer, array in found.items() if array is not None}

    @cached_property
    def momentum(self) -> float | None:
        """The share of the new value in the first step; None if it is not known."""
        settings = self.pair.modules[self.path].settings
        if "momentum" in settings and settings["momentum"] is None:  # torch's cumulative average
            count = self.pair.theirs.start(self.name("num_batches_tracked"))
            return None if count is None else 1 / (float(count) + 1)
        found = settings.get("momentum")
        return float(found) if isinstance(found, float | int) and 0 < found <= 1 else None

    @cached_property
    def after(self) -> Buffers:
        """The reference's buffers after the first step."""
        first = (self.pair.theirs.content.trajectory or [])[0]
        found = {buffer: whole(self.pair.theirs, first.buffers.get(self.name(buffer))) for buffer in (MEAN, VAR)}
        return {buffer: array for buffer, array in found.items() if array is not None}

    @cached_property
    def calls(self) -> list[Call]:
        """The calls of the module on the first batch."""
        train, _ = self.pair.forward("train")
        return sorted(
            (call for call in (train.free if train else ()) if call.module == self.path), key=lambda c: c.order
        )

    @cached_property
    def batches(self) -> list[Batch]:
        """The statistics of each call's input; if only a sample of it was stored, those that the buffers imply."""
        found = []
        for call in self.calls:
            reference = call.inputs[0] if call.inputs else None
            x = whole(self.pair.theirs, reference)
            if x is not None and x.ndim >= 2 and x.dtype.kind == "f":
                axes = (0, *range(2, x.ndim))
                found.append(Batch(x.mean(axis=axes), x.var(axis=axes), x.size // x.shape[1]))
            elif reference is not None and len(self.calls) == 1 and len(reference.shape) >= 2 and self.momentum:
                count = reference.size // reference.shape[1]
                mean, var = ((self.after[b] - (1 - self.momentum) * self.start[b]) / self.momentum for b in (MEAN, VAR))
                found.append(Batch(mean, var * (count - 1) / count, count))
        return found

    def updated(
        self, momentum: float, *, biased: bool = False, times: int = 1, uncentred: bool = False, root: bool = False
    ) -> Buffers:
        """Return the buffers after the first step, with other settings of the update."""
        mean, var = self.start[MEAN], self.start[VAR]
        for batch in self.batches * times:
            new = batch.var * (1 if biased else batch.count / (batch.count - 1))
            new = new + batch.mean**2 if uncentred else np.sqrt(new) if root else new
            mean, var = (1 - momentum) * mean + momentum * batch.mean, (1 - momentum) * var + momentum * new
        return {MEAN: mean, VAR: var}

    def agrees(self, predicted: Buffers, side: str) -> Measured | None:
        """Compare buffers after the first step with those of a side; return the worst comparison."""
        theirs = (self.pair.theirs.content.trajectory or [])[0].buffers
        record = getattr(self.pair, side)
        own = (record.content.trajectory or [])[0].buffers
        compared = []
        for buffer, array in predicted.items():
            mine, reference = own.get(self.name(buffer)), theirs.get(self.name(buffer))
            if mine is None or reference is None:
                continue
            pair = self.pair if side == "ours" else Pair(self.pair.theirs, self.pair.theirs, self.pair.margin)
            compared.append(
                Target(pair, mine, reference, side == "ours" and self.pair.computes_in_float32).agrees(array)
            )
        if not compared or any(one is None for one in compared):
            return None
        return max((one for one in compared if one), key=lambda one: one.measured / (one.allowed or 1e-300))

    @cached_property
    def known(self) -> bool:
        """Whether updating the buffers again gives the reference's."""
        complete = {MEAN, VAR} <= self.start.keys() & self.after.keys() and self.momentum is not None
        if not complete or not self.batches or len(self.batches) != len(self.calls):
            return False
        if any(batch.count < 2 or batch.mean.shape != self.start[MEAN].shape for batch in self.batches):
            return False
        found = self.agrees(self.updated(self.momentum or 0.0), "theirs")
        return found is not None and found.passed

    @cached_property
    def solved(self) -> float | None:
        """The momentum that the port's running mean implies, rounded; None if it has none."""
        own = (self.pair.ours.content.trajectory or [])[0].buffers.get(self.name(MEAN))
        mine = whole(self.pair.ours, own)
        if mine is None or mine.shape != self.start[MEAN].shape or len(self.batches) != 1:
            return None
        way = self.batches[0].mean - self.start[MEAN]
        square = float(way @ way)
        found = float(way @ (mine - self.start[MEAN])) / square if square > 0 else None
        return None if found is None else round(found, 6)
