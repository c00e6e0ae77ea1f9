"""What the records of a study say: a row of numbers per cell, and which initialiser trains best."""

import math
from collections.abc import Iterable, Sequence
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
TRAINED = 0.7  # a network with a test accuracy of at least this trains; one between the two learns slowly
TARGET = 0.97  # the test accuracy of `Row.to_target`
TRAINS, SLOW, DEAD = "trains", "learns slowly", "dead"
PARTLY, DIVERGED, NOT_STARTED, NOT_TRAINED = "partly diverged", "diverged", "not started", "not trained"
# What each verdict says, for reports. The accuracy is the mean over the seeds after the last epoch.
MEANINGS = {
    TRAINS: f"the test accuracy is at least {100 * TRAINED:.0f} %",
    SLOW: f"it is between {100 * GUESSING:.0f} % and {100 * TRAINED:.0f} %",
    DEAD: f"it is below {100 * GUESSING:.0f} %, hardly more than guessing, which gives about 11 %",
    PARTLY: "some seeds diverged: their loss or their parameters became NaN or infinite",
    DIVERGED: "all seeds diverged",
    NOT_STARTED: "the initialiser failed for every seed",
    NOT_TRAINED: "the study has no epochs",
}
ALIKE = 0.05  # two means differ significantly if the p-value of Welch's test is at most this


class Spread(NamedTuple):
    """A number's mean and standard deviation over the seeds that did not diverge."""

    mean: float  # NaN if all seeds diverged
    deviation: float  # with n - 1; NaN for fewer than two seeds

    def __str__(self) -> str:
        """Return mean ± deviation, or a dash for no number."""
        if math.isnan(self.mean):
            return "–"
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
    not_started: int  # seeds for which the initialiser failed; they also count as diverged
    verdict: str  # one of `MEANINGS`
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
    alike: list[Row]  # those with the same verdict whose test accuracy does not differ significantly
    rest: list[Row]  # best first


def row(record: Record) -> Row:
    """Return the row of a cell's record."""
    recipe, diverged_in = record["recipe"], record["diverged_in"]
    trained = recipe["epochs"] > 0
    finite = [index for index, epoch in enumerate(diverged_in) if epoch is None and trained]  # indices of seeds
    accuracies = tuple(record["test_accuracy"][index][-1] for index in finite)
    diverged = sum(epoch is not None for epoch in diverged_in)
    not_started = sum(reason is not None for reason in record.get("not_started", ()))
    return Row(
        label=label(recipe),
        depth=len(recipe["layers"]) - 2,
        activation=recipe["activation"],
        optimizer=recipe["optimizer"],
        seeds=len(record["seeds"]),
        diverged=diverged,
        not_started=not_started,
        cost=spread([record["cost"][index][-1] for index in finite]),
        accuracy=spread(accuracies),
        accuracies=accuracies,
        to_target=tuple(map(_first_epoch_at_target, record["test_accuracy"], diverged_in)),
        verdict=verdict(accuracies, diverged, not_started) if trained else NOT_TRAINED,
        seconds=record["seconds"],
    )


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation."""
    return Spread(fmean(values) if values else math.nan, stdev(values) if len(values) > 1 else math.nan)


def verdict(accuracies: Sequence[float], diverged: int, not_started: int = 0) -> str:
    """Return how training ended, as one of `MEANINGS`.

    Args:
        accuracies: The last test accuracies of the seeds that did not diverge.
        diverged: The number of the other seeds.
        not_started: How many of these could not be initialised.
    """
    if not accuracies:
        return NOT_STARTED if diverged == not_started else DIVERGED
    if diverged:
        return PARTLY
    mean = fmean(accuracies)
    if mean >= TRAINED:
        return TRAINS
    return SLOW if mean >= GUESSING else DEAD


def advise(rows: Sequence[Row]) -> list[Advice]:
    """Return the best cell of each group: of those that train, the one with the highest test accuracy.

    If none trains, it is the best of those that learn slowly, or else the one with the fewest diverged seeds. Cells
    without training are left out.
    """
    advice = []
    of_group = attrgetter("group")
    trained = sorted((row for row in rows if row.verdict != NOT_TRAINED), key=of_group)
    for _, members in groupby(trained, key=of_group):
        best, *others = sorted(members, key=_rank)
        same = [row for row in others if row.verdict == best.verdict and best.verdict in (TRAINS, SLOW)]
        alike = [row for row in same if _alike(best, row)]
        advice.append(Advice(best, alike, [row for row in others if row not in alike]))
    return advice


def words(advice: Advice) -> str:
    """Return the advice and its evidence in a few sentences."""
    best = advice.best
    if best.verdict not in (TRAINS, SLOW):
        return _words_if_none_learns([best, *advice.rest])
    seeds = f"{best.seeds} seed{'' if best.seeds == 1 else 's'}"
    reached = f"{best.accuracy.percent()} ({seeds})"
    lead = f"{best.label} trains best: {reached}."
    if best.verdict == SLOW:
        lead = f"None reaches {100 * TRAINED:.0f} %. {best.label} gets furthest: {reached}."
    others = "Lower, but not tested with one seed" if best.seeds == 1 else "Worse"
    by_verdict = {name: [row for row in advice.rest if row.verdict == name] for name in MEANINGS}
    sentences = [
        lead,
        _list("Not significantly different", map(_with_accuracy, advice.alike)),
        _list(others, map(_with_accuracy, by_verdict[best.verdict])),
        _list("Learning slowly", map(_with_accuracy, by_verdict[SLOW])) if best.verdict != SLOW else "",
        _list("Some seeds diverged", [f"{_with_accuracy(row)} without them" for row in by_verdict[PARTLY]]),
        _list("Failed to train", [row.label for row in by_verdict[DEAD]]),
        _list("Diverged", [row.label for row in by_verdict[DIVERGED]]),
        _list("Could not start", [row.label for row in by_verdict[NOT_STARTED]]),
    ]
    return " ".join(filter(None, sentences))


def _words_if_none_learns(rows: Sequence[Row]) -> str:
    """Return the advice on a group of which no cell trains or learns slowly."""
    reached = [row for row in rows if row.accuracies]
    if not reached:
        started = any(row.verdict != NOT_STARTED for row in rows)
        return f"None trains: every seed {'diverged' if started else 'failed to start'}."
    furthest = max(reached, key=lambda row: row.accuracy.mean)
    diverged = f", but {furthest.diverged} of {furthest.seeds} seeds diverged" if furthest.diverged else ""
    return f"None trains. {furthest.label} gets furthest: {furthest.accuracy.percent()}{diverged}."


def _with_accuracy(row: Row) -> str:
    return f"{row.label} {row.accuracy.percent()}"


def _list(heading: str, entries: Iterable[str]) -> str:
    text = ", ".join(entries)
    return f"{heading}: {text}." if text else ""


def _rank(row: Row) -> tuple[int, int, float, str]:
    kind = {TRAINS: 0, SLOW: 1}.get(row.verdict, 2)
    return kind, row.diverged, -row.accuracy.mean if row.accuracies else 0.0, row.label


def _alike(best: Row, other: Row) -> bool:
    """Return whether Welch's test finds no significant difference between the test accuracies."""
    from scipy import stats  # takes half a second to import

    if min(len(best.accuracies), len(other.accuracies)) < 2:
        return False  # a single seed can show neither a difference nor that there is none
    if np.ptp(best.accuracies) == np.ptp(other.accuracies) == 0:
        return best.accuracies[0] == other.accuracies[0]
    return bool(stats.ttest_ind(best.accuracies, other.accuracies, equal_var=False).pvalue > ALIKE)


def _first_epoch_at_target(accuracies: Sequence[float | None], diverged_in: int | None) -> int | None:
    """Return the first epoch, counted from 1, with a test accuracy of at least `TARGET` and before the divergence."""
    before = accuracies if diverged_in is None else accuracies[: diverged_in - 1]
    return next((epoch for epoch, share in enumerate(before, start=1) if share is not None and share >= TARGET), None)
