"""What the records of a study say: a row of numbers a cell, and which initialiser to take."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy as np

from jax_impl.storage.records import Record
from jax_impl.study.cells import NAME

CHANCE = math.log(10)  # nats: the loss of guessing ten classes alike
GUESSING = 0.2  # test accuracy; the largest class alone gives 0.1135
TARGET = 0.97  # test accuracy to which epochs are counted
ALIKE = 0.05  # two means of a Welch test with a larger p-value are not told apart


Group = tuple[int, str, str]  # depth, activation, optimizer


class Spread(NamedTuple):
    """Of one number over seeds; a seed that diverged has none and is not in it."""

    mean: float  # NaN where no seed is left
    deviation: float  # standard deviation, n - 1; NaN for fewer than two

    def __str__(self) -> str:
        """Return mean ± deviation."""
        return f"{self.mean:.4g}" + ("" if math.isnan(self.deviation) else f" ± {self.deviation:.2g}")

    def percent(self) -> str:
        """Return a share in per cent with its deviation."""
        if math.isnan(self.mean):
            return "–"
        deviation = "" if math.isnan(self.deviation) else f" ± {100 * self.deviation:.2f}"
        return f"{100 * self.mean:.2f}{deviation} %"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell in numbers; accuracies from 0 to 1."""

    label: str  # of what differs between the cells of a group: the initialiser, and the recipe where one was named
    init: str
    depth: int  # hidden layers
    activation: str
    optimizer: str
    seeds: int
    diverged: int  # seeds whose loss or parameters stopped being numbers, or never were
    cost: Spread  # of the last epoch, in nats
    accuracy: Spread  # on the test images, after it
    accuracies: tuple[float, ...]  # of the seeds that did not diverge
    to_target: tuple[int | None, ...]  # by seed: the first epoch with a test accuracy of `TARGET`
    verdict: str  # trains, crawls, dead or not trained
    seconds: float

    @property
    def group(self) -> Group:
        """Which rows it is to be compared with."""
        return self.depth, self.activation, self.optimizer

    def epochs_to_target(self) -> str:
        """Return when the seeds reached `TARGET`, and how many did not."""
        reached = [epoch for epoch in self.to_target if epoch is not None]
        if not reached:
            return "not reached"
        mean = f"{fmean(reached):.3g}"
        return mean if len(reached) == self.seeds else f"{mean} ({len(reached)} of {self.seeds} seeds)"


class Advice(NamedTuple):
    """Which initialiser to take for a network, and why."""

    group: Group
    best: Row
    alike: list[Row]  # that train and are not told apart from it
    rest: list[Row]  # best first


def row(record: Record) -> Row:
    """Return a cell's row."""
    recipe = record["recipe"]
    kept = [place for place, epoch in enumerate(record["diverged_in"]) if epoch is None]
    trained = recipe["epochs"] > 0
    accuracies = tuple(record["test_accuracy"][place][-1] for place in kept if trained)
    ends = [
        losses[-1] if epoch is None else None
        for losses, epoch in zip(record["loss"], record["diverged_in"], strict=True)
        if trained
    ]
    return Row(
        label=label(recipe),
        init=recipe["init"],
        depth=len(recipe["layers"]) - 2,
        activation=recipe["activation"],
        optimizer=recipe["optimizer"],
        seeds=len(record["seeds"]),
        diverged=len(record["seeds"]) - len(kept),
        cost=spread([record["cost"][place][-1] for place in kept if trained]),
        accuracy=spread(accuracies),
        accuracies=accuracies,
        to_target=tuple(
            _first_epoch(accuracies, diverged)
            for accuracies, diverged in zip(record["test_accuracy"], record["diverged_in"], strict=True)
        ),
        verdict=verdict(ends, accuracies) if trained else "not trained",
        seconds=record["seconds"],
    )


def label(recipe: Mapping[str, Any]) -> str:
    """Return what a cell of this recipe is called among those of its group."""
    return str(recipe["init"]) if recipe["name"] == NAME else f"{recipe['name']}, {recipe['init']}"


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation."""
    return Spread(fmean(values) if values else math.nan, stdev(values) if len(values) > 1 else math.nan)


def verdict(losses: Sequence[float | None], accuracies: Sequence[float]) -> str:
    """Say how a cell stands at the end of training.

    Args:
        losses: Of every seed, None where it diverged: a cell trains if all are below half of chance's ln 10.
        accuracies: Of the seeds that did not diverge: a cell is dead if none reaches `GUESSING`, and crawls between.
    """
    if all(loss is not None and loss < CHANCE / 2 for loss in losses):
        return "trains"
    return "crawls" if any(accuracy >= GUESSING for accuracy in accuracies) else "dead"


def advise(rows: Sequence[Row]) -> list[Advice]:
    """Return for each group of rows which did best: those that train, by diverged seeds, then by test accuracy.

    Cells that were not trained give none.
    """
    advice = []
    trained = sorted((row for row in rows if row.verdict != "not trained"), key=lambda row: row.group)
    for group, members in groupby(trained, key=lambda row: row.group):
        best, *others = sorted(members, key=_rank)
        alike = [row for row in others if row.verdict == best.verdict == "trains" and _alike(best, row)]
        advice.append(Advice(group, best, alike, [row for row in others if row not in alike]))
    return advice


def words(advice: Advice) -> str:
    """Say the advice and its evidence in a sentence or two."""
    best = advice.best
    if best.verdict != "trains":
        reached = [row for row in (best, *advice.rest) if row.accuracies]
        none = f"None of {1 + len(advice.rest)} trains"
        if not reached:
            return f"{none}: every seed diverged."
        furthest = max(reached, key=lambda row: row.accuracy.mean)
        lost = f", and {furthest.diverged} of {furthest.seeds} seeds diverged" if furthest.diverged else ""
        return f"{none}; {furthest.label} gets furthest, to {_accuracy(furthest)}{lost}."
    text = f"{best.label}: {_accuracy(best)} over {best.seeds} seed{'' if best.seeds == 1 else 's'}"
    if advice.alike:
        text += "; not told apart from it: " + ", ".join(f"{row.label} {_accuracy(row)}" for row in advice.alike)
    slow = [f"{row.label} {_accuracy(row)}" for row in advice.rest if row.verdict == "trains"]
    lost = ", ".join(row.label for row in advice.rest if row.verdict != "trains")
    if slow:
        text += "; behind: " + ", ".join(slow)
    if lost:
        text += f"; not training: {lost}"
    return text + "."


def _accuracy(row: Row) -> str:
    mean, deviation = row.accuracy
    return f"{mean:.2%}" if math.isnan(deviation) else f"{100 * mean:.2f} ± {100 * deviation:.2f} %"


def _rank(row: Row) -> tuple[bool, int, float, str]:
    return row.verdict != "trains", row.diverged, -row.accuracy.mean if row.accuracies else 0.0, row.label


def _alike(best: Row, other: Row) -> bool:
    from scipy import stats  # half a second to import, and only needed here

    if min(len(best.accuracies), len(other.accuracies)) < 2:
        return True  # one seed tells nothing apart
    if np.ptp(best.accuracies) == np.ptp(other.accuracies) == 0:
        return best.accuracies[0] == other.accuracies[0]
    return bool(stats.ttest_ind(best.accuracies, other.accuracies, equal_var=False).pvalue > ALIKE)


def _first_epoch(accuracies: Sequence[float | None], diverged_in: int | None) -> int | None:
    for epoch, accuracy in enumerate(accuracies, start=1):
        if epoch == diverged_in:
            return None
        if accuracy is not None and accuracy >= TARGET:
            return epoch
    return None
