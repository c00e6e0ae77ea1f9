"""The ladder: all rungs, from the settings to the accuracy."""

from dataclasses import replace
from pathlib import Path

from jax_impl.parity.blind.spots import blind_spots
from jax_impl.parity.causes.diagnosing import diagnose
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.reading import Record, read_pair
from jax_impl.parity.rungs.data import data
from jax_impl.parity.rungs.distribution import distribution
from jax_impl.parity.rungs.evaluation import accuracy, evaluation
from jax_impl.parity.rungs.forward import forward
from jax_impl.parity.rungs.gradients import gradients, loss
from jax_impl.parity.rungs.optimizer import optimizer
from jax_impl.parity.rungs.settings import confirmed, settings
from jax_impl.parity.rungs.state import state
from jax_impl.parity.rungs.structure import coverage, structure
from jax_impl.parity.rungs.trajectory import trajectory
from jax_impl.parity.rungs.weights import weights
from jax_impl.parity.trees import nodes
from jax_impl.parity.verdict import Check, Rung, Side, Verdict

MARGIN = 0.005  # difference of accuracies, from 0 to 1, that does not matter


def compare_records(theirs: str | Path, ours: str | Path, *, margin: float = MARGIN) -> Verdict:
    """Compare a port with its reference, by the records of both. docs/records.md has their format.

    Args:
        theirs: The folder of the reference's record.
        ours: The folder of the port's, which was recorded with `start=theirs`.
        margin: The largest difference of mean accuracies that does not matter.

    Raises:
        UserError: A record cannot be read, is damaged, or does not belong to the other.
    """
    return judged(Pair(*read_pair(Path(theirs), Path(ours)), margin))


def judged(pair: Pair) -> Verdict:
    """Return the verdict on two records that were read."""
    rungs = climbed(pair)
    return Verdict(
        rungs=rungs,
        tree=tuple(nodes(pair, rungs)),
        coverage=coverage(pair),
        theirs=_side(pair.theirs),
        ours=_side(pair.ours),
        diagnosis=diagnose(pair, rungs),
        blind_spots=blind_spots(pair, rungs),
    )


def climbed(pair: Pair) -> tuple[Rung, ...]:
    """Return all rungs, from the bottom to the top. Records without any call of a module and without a loss fail."""
    rungs: tuple[Rung, ...] = (
        settings(pair),
        data(pair),
        structure(pair),
        weights(pair),
        distribution(pair),
        forward(pair, "train", 6),
        forward(pair, "eval", 7),
        loss(pair),
        gradients(pair),
        optimizer(pair),
        state(pair),
        trajectory(pair),
        evaluation(pair),
        accuracy(pair),
    )
    first = confirmed(pair, rungs[0], (*rungs[5].checks, *rungs[6].checks), rungs[10].checks)
    rungs = (first, *rungs[1:])
    if any(rung.checks for rung in rungs[5:8]):
        return rungs
    finding = "no call of a module and no loss was compared"
    empty = Check(place="the records", stage="forward", what="calls", passed=False, finding=finding)
    return tuple(replace(rung, checks=(empty,)) if rung.number == 6 else rung for rung in rungs)


def _side(record: Record) -> Side:
    content = record.content
    return Side(
        folder=str(record.folder),
        versions=content.versions,
        machine=content.machine,
        precision=content.precision,
        notes=tuple(content.notes),
    )
