"""What the records of a study say: a row of numbers per cell, and which initialiser trains best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np

from jax_impl.storage.records import Record
from jax_impl.study.cells import label

CHANCE = math.log(10)  # the loss of guessing among ten classes, in nats
GUESSING = 0.2  # a test accuracy below this is hardly more than guessing; always naming the largest class gives 0.1135
TARGET = 0.97  # the test accuracy of `Row.to_target`
ALIKE = 0.05  # two means differ significantly if the p-value of Welch's test is at most this


class Spread(NamedTuple):
    """A number's mean and standard deviation over the seeds that did not diverge."""

    mean: float  # NaN if all seeds diverged
    deviation: float  # with n - 1; NaN for fewer than two seeds

    def __str__(self) -> str:
        """Return mean ± deviation."""
        return f"{self.mean:.4g}" + ("" if math.isnan(self.deviation) else f" ± {self.deviation:.2g}")

    def percent(self) -> str:
        """Return mean ± deviation as a percentage."""
        if math.isnan(self.mean):
            return "–"
        deviation = "" if math.isnan(self.deviation) else f" ± {100 * self.deviation:.2f}"
        return f"{100 * self.mean:.2f}{deviation} %"


@dataclass(frozen=True, kw_only=True)
class Row:
    """The numbers of one cell. Accuracies are from 0 to 1."""

    label: str  # the initialiser, after the name of the recipe if the grid names recipes
    depth: int  # hidden layers
    activation: str
    optimizer: str
    seeds: int
    diverged: int  # seeds whose loss or parameters became NaN or infinite
    cost: Spread  # of the last epoch, in nats
    accuracy: Spread  # on the test images, after the last epoch
    accuracies: tuple[float, ...]  # of the seeds that did not diverge
    to_target: tuple[int | None, ...]  # by seed: the first epoch with a test accuracy of at least `TARGET`
    verdict: str  # trains, crawls, dead or not trained
    seconds: float

    @property
    def group(self) -> tuple[int, str, str]:
        """What the cell has in common with those that it is compared with."""
        return self.depth, self.activation, self.optimizer

    def epochs_to_target(self) -> str:
        """Return the mean number of epochs to `TARGET`, and how many seeds reached it if not all did."""
        reached = [epoch for epoch in self.to_target if epoch is not None]
        if not reached:
            return "not reached"
        mean = f"{fmean(reached):.3g}"
        return mean if len(reached) == self.seeds else f"{mean} ({len(reached)} of {self.seeds} seeds)"


class Advice(NamedTuple):
    """Which initialiser trains a kind of network best."""

    best: Row
    alike: list[Row]  # those that train and whose test accuracy does not differ significantly
    rest: list[Row]  # best first


def row(record: Record) -> Row:
    """Return the row of a cell's record."""
    recipe, diverged_in = record["recipe"], record["diverged_in"]
    trained = recipe["epochs"] > 0
    finite = [index for index, epoch in enumerate(diverged_in) if epoch is None and trained]  # indices of seeds
    accuracies = tuple(record["test_accuracy"][index][-1] for index in finite)
    last_losses = [record["loss"][index][-1] if index in finite else None for index in range(len(diverged_in))]
    return Row(
        label=label(recipe),
        depth=len(recipe["layers"]) - 2,
        activation=recipe["activation"],
        optimizer=recipe["optimizer"],
        seeds=len(record["seeds"]),
        diverged=sum(epoch is not None for epoch in diverged_in),
        cost=spread([record["cost"][index][-1] for index in finite]),
        accuracy=spread(accuracies),
        accuracies=accuracies,
        to_target=tuple(map(_first_epoch_at_target, record["test_accuracy"], diverged_in)),
        verdict=verdict(last_losses, accuracies) if trained else "not trained",
        seconds=record["seconds"],
    )


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation."""
    return Spread(fmean(values) if values else math.nan, stdev(values) if len(values) > 1 else math.nan)


def verdict(losses: Sequence[float | None], accuracies: Sequence[float]) -> str:
    """Return how training ended: "trains", "crawls" or "dead".

    A cell trains if the last loss of every seed, in nats, is below `CHANCE` / 2; None is that of a seed that diverged.
    Another cell is dead if no accuracy of the seeds that did not diverge reaches `GUESSING`.
    """
    if all(loss is not None and loss < CHANCE / 2 for loss in losses):
        return "trains"
    return "crawls" if any(accuracy >= GUESSING for accuracy in accuracies) else "dead"


def advise(rows: Sequence[Row]) -> list[Advice]:
    """Return the best cell of each group: of those that train, the one with the highest test accuracy.

    If none trains, it is the one with the fewest diverged seeds. Cells without training are left out.
    """
    advice = []
    of_group = attrgetter("group")
    trained = sorted((row for row in rows if row.verdict != "not trained"), key=of_group)
    for _, members in groupby(trained, key=of_group):
        best, *others = sorted(members, key=_rank)
        alike = [row for row in others if row.verdict == best.verdict == "trains" and _alike(best, row)]
        advice.append(Advice(best, alike, [row for row in others if row not in alike]))
    return advice


def words(advice: Advice) -> str:
    """Return the advice and its evidence in a few sentences."""
    best = advice.best
    if best.verdict != "trains":
        reached = [row for row in (best, *advice.rest) if row.accuracies]
        if not reached:
            return "None trains: every seed diverged."
        furthest = max(reached, key=lambda row: row.accuracy.mean)
        diverged = f", but {furthest.diverged} of {furthest.seeds} seeds diverged" if furthest.diverged else ""
        return f"None trains. {furthest.label} gets furthest: {furthest.accuracy.percent()}{diverged}."
    seeds = f"{best.seeds} seed{'' if best.seeds == 1 else 's'}"
    worse = [row for row in advice.rest if row.verdict == "trains"]
    sentences = [
        f"{best.label} trains best: {best.accuracy.percent()} ({seeds}).",
        _list("Not significantly different", [f"{row.label} {row.accuracy.percent()}" for row in advice.alike]),
        _list("Worse", [f"{row.label} {row.accuracy.percent()}" for row in worse]),
        _list("Failed to train", [row.label for row in advice.rest if row.verdict != "trains"]),
    ]
    return " ".join(filter(None, sentences))


def _list(heading: str, entries: Sequence[str]) -> str:
    return f"{heading}: {', '.join(entries)}." if entries else ""


def _rank(row: Row) -> tuple[bool, int, float, str]:
    return row.verdict != "trains", row.diverged, -row.accuracy.mean if row.accuracies else 0.0, row.label


def _alike(best: Row, other: Row) -> bool:
    """Return whether Welch's test finds no significant difference between the test accuracies."""
    from scipy import stats  # takes half a second to import

    if min(len(best.accuracies), len(other.accuracies)) < 2:
        return True  # a single seed cannot show a difference
    if np.ptp(best.accuracies) == np.ptp(other.accuracies) == 0:
        return best.accuracies[0] == other.accuracies[0]
    return bool(stats.ttest_ind(best.accuracies, other.accuracies, equal_var=False).pvalue > ALIKE)


def _first_epoch_at_target(accuracies: Sequence[float | None], diverged_in: int | None) -> int | None:
    """Return the first epoch, counted from 1, with a test accuracy of at least `TARGET` and before the divergence."""
    before = accuracies if diverged_in is None else accuracies[: diverged_in - 1]
    return next((epoch for epoch, share in enumerate(before, start=1) if share is not None and share >= TARGET), None)
