"""What both records say of the optimizer alone: what it was given, and the steps that each side made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.arrays import STEP_LIMIT, sample_indices
from jax_impl.parity.causes.compute.rules import Floats, Given
from jax_impl.parity.measures.comparing import Stored, compare, stored
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import FLOAT32, Pair, Term
from jax_impl.parity.records.content import Reference, Step
from jax_impl.parity.records.reading import Record
from jax_impl.parity.rungs.optimizer import share_of_clipping

SHIFT = 7919  # docs/records.md, "injected"
Group = dict[str, Any]


@dataclass(frozen=True)
class Alone:
    """The optimizer's steps on given gradients, of the leaves that both sides recorded.

    Attributes:
        pair: The records.
        names: The leaves.
        groups: The number of the parameter group of each leaf.
        starts: Where in the vectors of `given` the elements of each leaf begin, and the end.
        given: What the optimizer is given.
    """

    pair: Pair
    names: tuple[str, ...]
    groups: tuple[int, ...]
    starts: NDArray[np.int64]
    given: Given

    @cached_property
    def settings(self) -> list[Group]:
        """The settings of the reference's parameter groups."""
        return _groups(self.pair)

    @property
    def complete(self) -> bool:
        """Whether all elements of all leaves are there, so that norms can be computed from them."""
        trained = [leaf for leaf in self.pair.theirs.content.leaves if leaf.trainable and not leaf.tied]
        return self.given.weights.size == sum(math.prod(leaf.shape) for leaf in trained)

    @cached_property
    def leaf_of(self) -> NDArray[np.int64]:
        """The number of the leaf of each element."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.starts))

    @cached_property
    def group_of(self) -> NDArray[np.int64]:
        """The number of the parameter group of each element."""
        return np.asarray(self.groups, np.int64)[self.leaf_of]

    @cached_property
    def theirs(self) -> Floats:
        """The reference's updates, (steps, n)."""
        return self._updates(self.pair.theirs)

    @cached_property
    def ours(self) -> Floats:
        """The port's updates, (steps, n)."""
        return self._updates(self.pair.ours)

    def agrees(self, prediction: Floats, record: Record, leaves: Sequence[int]) -> Measured:
        """Compare predicted updates of some leaves with those of a record; return the worst comparison."""
        worst = Measured(measured=math.inf, allowed=0.0)
        share = -1.0
        loose = record is self.pair.ours and self.pair.optimizer_in_float32
        steps = zip(record.content.injected or (), self.pair.theirs.content.injected or (), strict=False)
        for number, (step, reference) in enumerate(steps):
            for leaf in leaves:
                found = self._compare(prediction[number], leaf, record, step, reference, loose)
                ratio = found.measured / found.allowed if found.allowed else found.measured and math.inf
                if ratio > share:
                    share, worst = ratio, found
        return worst

    def _compare(
        self, prediction: Floats, leaf: int, record: Record, step: Step, reference: Step, loose: bool
    ) -> Measured:
        name = self.names[leaf]
        own, theirs = _update(step, name), _update(reference, name)
        part = prediction[self.starts[leaf] : self.starts[leaf + 1]]
        positions = _positions(theirs)
        expected = Stored(theirs, part, positions, whole=False)
        slack = share_of_clipping(self.pair) * theirs.norm if record is self.pair.ours else 0.0
        return compare(self.pair.tolerance, stored(own, record.array(own)), expected, loose=loose, slack=slack)

    def _updates(self, record: Record) -> Floats:
        rows = [
            np.concatenate([record.array(_update(step, name)).reshape(-1).astype(np.float64) for name in self.names])
            for step in record.content.injected or ()
        ]
        return np.stack(rows)


def alone(pair: Pair) -> Alone | None:
    """Return the optimizer's steps of both records; None if they cannot be computed again."""
    theirs, ours = pair.theirs.content.injected or [], pair.ours.content.injected or []
    groups = _groups(pair)
    if not theirs or len(theirs) != len(ours) or not groups or pair.tolerance.unit > FLOAT32:
        return None
    if "steps.safetensors" not in pair.theirs.content.files:
        return None
    names = [name for name in pair.paired if _usable(pair, name, [*theirs, *ours])]
    group_of = {leaf: number for number, group in enumerate(groups) for leaf in group.get("names", ())}
    names = [name for name in names if name in group_of and pair.theirs.start(name) is not None]
    rates = np.array([step.learning_rates for step in theirs], dtype=np.float64)  # (steps, groups)
    if not names or rates.ndim != 2 or rates.shape[1] != len(groups) or not np.isfinite(rates).all():
        return None
    block, scale = _block(pair.theirs)
    if block is None or scale is None or len(scale) < len(theirs):
        return None
    return _given(pair, names, [group_of[name] for name in names], rates, _Gradients(pair, block, scale, len(theirs)))


def _given(pair: Pair, names: list[str], groups: list[int], rates: Floats, gradients: "_Gradients") -> Alone:
    first = (pair.theirs.content.injected or [])[0]
    references = [_update(first, name) for name in names]
    places = [_positions(one) for one in references]
    sizes = [one.size if where is None else where.size for one, where in zip(references, places, strict=True)]
    leaf_of = np.repeat(np.arange(len(names)), sizes)
    norms = np.array([[gradients.norm(name, step) for name in names] for step in range(len(rates))])
    given = Given(
        gradients=np.stack([
            np.concatenate([gradients.elements(name, step, where) for name, where in zip(names, places, strict=True)])
            for step in range(len(rates))
        ]),
        weights=np.concatenate([_weights(pair, name, where) for name, where in zip(names, places, strict=True)]),
        rates=rates[:, np.asarray(groups)[leaf_of]],
        norms=np.array([[gradients.total(step)] for step in range(len(rates))]),
        leaf_norms=norms[:, leaf_of],
    )  # fmt: skip
    return Alone(pair, tuple(names), tuple(groups), np.concatenate([[0], np.cumsum(sizes)]), given)


class _Gradients:
    """The gradients that the optimizer was given, by docs/records.md's rule."""

    def __init__(self, pair: Pair, block: Floats, scale: Floats, steps: int) -> None:
        leaves = [leaf for leaf in pair.theirs.content.leaves if leaf.trainable and not leaf.tied]
        self.numbers = {leaf.name: number for number, leaf in enumerate(leaves)}
        self.sizes = {leaf.name: math.prod(leaf.shape) for leaf in leaves}
        self.block, self.scale, self.steps = block, scale, steps

    def elements(self, name: str, step: int, positions: NDArray[np.int64] | None) -> Floats:
        """Return the gradient of a leaf in a step at some places of the flattened array."""
        places = np.arange(self.sizes[name]) if positions is None else positions
        shift = SHIFT * (self.numbers[name] * self.steps + step)
        return np.asarray(self.scale[step] * self.block[(places - shift) % self.block.size])

    def norm(self, name: str, step: int) -> float:
        """Return the L2 norm of the whole gradient of a leaf."""
        size = self.block.size
        times, rest = divmod(self.sizes[name], size)
        part = self.elements(name, 0, np.arange(rest) - SHIFT * step) / self.scale[0]
        total = times * float(np.square(self.block).sum()) + float(np.square(part).sum())
        return float(self.scale[step]) * math.sqrt(total)

    def total(self, step: int) -> float:
        """Return the L2 norm of all gradients of a step."""
        return math.hypot(*(self.norm(name, step) for name in self.numbers))


def _groups(pair: Pair) -> list[Group]:
    groups = (pair.theirs.content.optimizer or {}).get("groups")
    return [group for group in groups if _is_group(group)] if isinstance(groups, list) else []


def _is_group(value: Any) -> bool:
    names = value.get("names") if isinstance(value, dict) else None
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _usable(pair: Pair, name: str, steps: Sequence[Step]) -> bool:
    """Return whether a leaf is one whole leaf of the reference, and all steps have its update."""
    leaf = pair.leaves.get(name)
    references = [step.updates.get(name) for step in steps]
    shapes = {tuple(one.shape) if one is not None else None for one in references}
    sizes = {one is not None and one.size for one in references}
    whole = pair.paired[name] == (Term(name),) and leaf is not None and leaf.trainable
    return whole and len(shapes) == 1 and None not in shapes and 0 not in sizes


def _update(step: Step, name: str) -> Reference:
    found = step.updates[name]
    if found is None:
        raise KeyError(name)
    return found


def _positions(reference: Reference) -> NDArray[np.int64] | None:
    return sample_indices(reference.size, STEP_LIMIT) if reference.sampled else None


def _weights(pair: Pair, name: str, positions: NDArray[np.int64] | None) -> Floats:
    """Return the port's weights before training, or the reference's if it has none of that shape."""
    theirs, ours = pair.theirs.start(name), pair.ours.start(name)
    array = theirs if ours is None or theirs is None or ours.shape != theirs.shape else ours
    flat = np.zeros(0) if array is None else array.reshape(-1).astype(np.float64)
    return flat if positions is None else flat[positions]


def _block(record: Record) -> tuple[Floats | None, Floats | None]:
    """Return the numbers from which the gradients are made."""
    named = {key: Reference(file="steps", key=key, shape=[], dtype="float64", norm=0.0, largest=0.0, sampled=True)
             for key in ("block", "scale")}  # fmt: skip
    try:
        arrays = [record.array(reference).astype(np.float64) for reference in named.values()]
    except Exception:  # a record without them: safetensors raises an error of its own
        return None, None
    return (arrays[0], arrays[1]) if arrays[0].size else (None, None)
