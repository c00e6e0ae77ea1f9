"""The loss: which one change of it gives the port's value, from the same outputs and the same batch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.cases import Floats, WholeCase, whole
from jax_impl.parity.causes.compute.losses import CLASSES, NUMBERS, Elements, Loss, elements, reduced
from jax_impl.parity.causes.families.steps import loss_changes
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import MODES, Pair
from jax_impl.parity.records.content import Reference, arrays_of

LARGEST = 2_000_000  # elements of outputs: more would take too long
DENOMINATOR = 10  # of a factor; in float32, one of 10^4 other numbers passes for such a fraction by chance
KEPT = 8  # losses by element that are kept for other reductions


@dataclass(frozen=True)
class Reading:
    """A loss of one of the model's outputs and one array of the batch.

    Attributes:
        loss: What is computed.
        output: The number of the root module's output.
        target: The place of the labels, or of the numbers to reach, in the batch.
    """

    loss: Loss
    output: int
    target: str


@dataclass(frozen=True)
class Losses:
    """What both records say of the loss of the first batch."""

    pair: Pair

    @cached_property
    def batch(self) -> dict[str, NDArray[np.generic]]:
        """The arrays of the first batch, by place."""
        batches = self.pair.theirs.content.batches
        listed = arrays_of(batches[0]) if batches else ()
        found = {place: one for place, one in listed if isinstance(one, Reference) and not one.sampled}
        return {place: self.pair.theirs.array(reference) for place, reference in found.items()}

    @cached_property
    def outputs(self) -> dict[str, list[Floats | None]]:
        """What the whole model returned in each mode, at its last call."""
        found: dict[str, list[Floats | None]] = {}
        for mode in MODES:
            theirs, _ = self.pair.forward(mode)
            roots = [call for call in theirs.free if call.module == ""] if theirs else []
            arrays = [whole(self.pair.theirs, one) for one in roots[-1].outputs] if roots else []
            found[mode] = [
                one if one is not None and one.dtype.kind == "f" and one.size <= LARGEST else None for one in arrays
            ]
        return found

    def agrees(self, reading: Reading, side: str) -> Measured | None:
        """Compare a loss with what a side recorded, in both modes; return the worst comparison."""
        compared = []
        for mode in MODES:
            passes = dict(zip(("theirs", "ours"), self.pair.forward(mode), strict=True))
            theirs, wanted = passes["theirs"], passes[side]
            if theirs is None or theirs.loss is None or wanted is None or wanted.loss is None:
                continue
            outputs = self.outputs[mode]
            output = outputs[reading.output] if reading.output < len(outputs) else None
            found = None if output is None else self._value(mode, reading, output)
            if found is None:
                return None
            loose = side == "ours" and bool(self.pair.in_float32(mode))
            compared.append(self.pair.tolerance.number(wanted.loss, found, theirs.loss_noise, loose=loose))
        return max(compared, key=lambda one: one.measured / (one.allowed or 1e-300), default=None)

    @cached_property
    def _elements(self) -> dict[tuple[str, Reading], Elements | None]:
        """The last elements of losses, which many reductions share."""
        return {}

    def _value(self, mode: str, reading: Reading, output: Floats) -> float | None:
        """Return a loss in a mode."""
        key = mode, replace(reading, loss=replace(reading.loss, summed=(), of_means=False))
        if key not in self._elements:
            if len(self._elements) >= KEPT:
                self._elements.clear()
            self._elements[key] = elements(reading.loss, output, self.batch[reading.target])
        found = self._elements[key]
        return None if found is None else reduced(reading.loss, found)

    def known(self) -> list[Reading]:
        """Return the standard losses that give the reference's value in both modes."""
        found: list[Reading] = []
        for reading in self._readings():
            if found and replace(found[0].loss, summed=()) != replace(reading.loss, summed=()):
                break  # one is enough, but all its reductions that give this value
            if _passed(self.agrees(reading, "theirs")):
                found.append(reading)
        return found

    def _readings(self) -> Iterator[Reading]:
        """Yield the standard losses of outputs and arrays of the batch whose shapes fit."""
        for number, output in enumerate(self.outputs["train"]):
            if output is None or not output.size:
                continue
            for place, target in self.batch.items():
                for loss in standard(output, target):
                    yield Reading(loss, number, place)


def standard(output: Floats, target: NDArray[np.generic]) -> Iterator[Loss]:
    """Yield the usual losses of an output and a target."""
    if target.dtype.kind in "iu" and output.ndim >= 2:
        for axis in dict.fromkeys((output.ndim - 1, 1)):
            if output.shape[:axis] + output.shape[axis + 1 :] == target.shape:
                yield from _of_classes(axis, target)
    if target.squeeze().shape == output.squeeze().shape:
        for kind in NUMBERS:
            for summed in loss_changes.sums(output.shape):
                yield Loss(kind=kind, summed=summed)


def _of_classes(axis: int, labels: NDArray[np.generic]) -> Iterator[Loss]:
    present = [label for label in loss_changes.IGNORED if (labels == label).any()]
    negative = [label for label in present if label < 0]
    shifts = [(0, 0), *([(0, 1)] if labels.ndim >= 2 else [])]
    for shift in shifts:
        for ignored in negative or (None, *present):
            for kind in CLASSES:
                for smoothing in (0.0, *loss_changes.SMOOTHINGS) if kind == "cross entropy" else (0.0,):
                    for summed in loss_changes.sums(labels.shape):
                        yield Loss(
                            kind=kind, axis=axis, shift=shift, ignored=ignored, smoothing=smoothing, summed=summed
                        )


def changed(losses: Losses, reading: Reading) -> Iterator[tuple[str, str, Reading]]:
    """Yield a cause, a fix and the changed loss, for each change."""
    loss, target = reading.loss, losses.batch[reading.target]
    outputs = losses.outputs["train"]
    output = outputs[reading.output]
    shape = target.shape if output is None or loss.kind in CLASSES else output.shape
    for text, fix, other in loss_changes.changed(loss, shape):
        yield text, fix, replace(reading, loss=other)
    for place, one in losses.batch.items():
        if place != reading.target and one.shape == target.shape and one.dtype.kind == target.dtype.kind:
            yield (f"the target is batch{place} instead of batch{reading.target}", f"take batch{reading.target}",
                   replace(reading, target=place))  # fmt: skip
    for number, array in enumerate(outputs):
        if number != reading.output and array is not None and output is not None and array.shape == output.shape:
            yield (f"output {number + 1} of the model instead of output {reading.output + 1}",
                   f"take output {reading.output + 1}", replace(reading, output=number))  # fmt: skip


def loss(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield another loss, if a standard one gives the reference's value."""
    losses = Losses(case.pair)
    known = losses.known()
    yielded = set[str]()
    for reading in known[:4]:
        if _passed(losses.agrees(reading, "ours")):
            return
        for cause, fix, other in changed(losses, reading):
            if cause not in yielded:
                yielded.add(cause)
                yield Hypothesis(cause=cause, fix=fix, test=partial(losses.agrees, other, "ours"))


def multiple(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield the reference's loss times a size of the batch, where the loss itself is not a known one."""
    losses = Losses(case.pair)
    if losses.known():
        return
    sizes = {"the batch": {len(array) for array in losses.batch.values() if array.ndim}}
    sizes["all elements"] = {array.size for array in losses.batch.values()} - sizes["the batch"]
    for what, numbers in sizes.items():
        for size in sorted(number for number in numbers if number > 1):
            yield Hypothesis(cause=f"the sum over {what} ({size}) instead of the mean", fix="take the mean",
                             test=partial(_times, case.pair, float(size)))  # fmt: skip
            yield Hypothesis(cause=f"the mean over {what} ({size}) instead of the sum", fix="take the sum",
                             test=partial(_times, case.pair, 1 / size))  # fmt: skip


def factor(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield the reference's loss times a fraction of small numbers, which says nothing of why."""
    theirs, ours = case.pair.forward("train")
    if theirs and ours and theirs.loss and ours.loss and np.isfinite(theirs.loss) and np.isfinite(ours.loss):
        fraction = Fraction(ours.loss / theirs.loss).limit_denominator(DENOMINATOR)
        if fraction not in (0, 1):
            yield Hypothesis(
                cause=f"the loss is multiplied by {fraction}",
                fix="leave out the factor",
                test=partial(_times, case.pair, float(fraction)),
            )


def _times(pair: Pair, factor: float) -> Measured | None:
    """Compare a multiple of the reference's loss with the port's, in both modes."""
    compared = []
    for mode in MODES:
        theirs, ours = pair.forward(mode)
        if theirs and ours and theirs.loss is not None and ours.loss is not None and theirs.loss:
            noise = None if theirs.loss_noise is None else theirs.loss_noise * factor
            compared.append(
                pair.tolerance.number(ours.loss, theirs.loss * factor, noise, loose=bool(pair.in_float32(mode)))
            )
    return max(compared, key=lambda one: one.measured / (one.allowed or 1e-300), default=None)


def _passed(measured: Measured | None) -> bool:
    return measured is not None and measured.passed


FAMILIES = (
    Family("the loss: reduction, kind, labels, smoothing", loss),
    Family("the loss times a size of the batch", multiple),
    Family("a factor of the loss", factor, last_resort=True),
)
