"""The figures of a grid. Every number comes from the records; only means and ranges over seeds are computed here.

Several initialisers often have the same values: the lines' points are then drawn side by side, or in turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from jax_impl.figures.axes import (
    draw_beside,
    every_few,
    integer_ticks,
    legend,
    legend_columns,
    log_axis,
    log_mean,
    say_if_empty,
    two_axes,
)
from jax_impl.figures.canvas import INK, MUTED, Picture, floats, short
from jax_impl.figures.colors import Look, looks_of
from jax_impl.storage.records import Record
from jax_impl.study.cells import label, layers_text
from jax_impl.study.histograms import histograms
from jax_impl.study.verdicts import CHANCE, NOT_TRAINED, Row, row

Cells = Mapping[str, Record]  # by label: cells that differ in the initialiser only
Looks = Mapping[str, Look]  # by label, the same in all groups
LEGEND_ROW = 17  # pixels
QUARTER = 130.0  # the width of a chart that takes a quarter of the page, in points, about
VITALS = {
    "dead": "share of dead units",
    "effective_rank": "effective rank of the activations",
    "jacobian": "mean singular value of the Jacobian",
    "kernel_gradient_norm": "norm of the kernel's gradient",
}


def pictures(cells: Sequence[Record]) -> list[Picture]:
    """Return the pictures of each group of cells that differ in the initialiser only."""
    looks = looks_of({label(record["recipe"]): record["recipe"]["init"] for record in cells})
    groups = [list(members) for _, members in groupby(sorted(cells, key=_group_of), key=_group_of)]
    named: list[Picture] = []
    for members in groups:
        by_label, first = {label(record["recipe"]): record for record in members}, row(members[0])
        drawn = [ladder(by_label, looks), vitals(by_label, looks)]
        if first.verdict != NOT_TRAINED:
            drawn.insert(0, curves(by_label, looks))
        drawn = [*(_with_room_for_legend(one, list(by_label)) for one in drawn), histograms(by_label, looks)]
        key = f"{first.depth}-{first.activation}-{first.optimizer}"
        of_group = f": {title(first)}" if len(groups) > 1 else ""
        named += [replace(one, key=f"{one.key}-{key}", title=f"{one.title}{of_group}") for one in drawn]
    return named


def title(cell: Row) -> str:
    """Return what the cells of this cell's group have in common, in words."""
    return f"{layers_text(cell.depth)}, {cell.activation}, {cell.optimizer}"


def curves(cells: Cells, looks: Looks) -> Picture:
    """Draw training loss and test accuracy by epoch."""

    def draw(figure: Figure, narrow: bool) -> None:
        loss, accuracy = two_axes(figure, narrow)
        for place, (init, record) in enumerate(cells.items()):
            epochs = record["recipe"]["epochs"]
            losses, accuracies = floats(record["loss"]), 100 * accuracies_before_divergence(record)
            points = losses.shape[1]
            line = _Line(init, looks[init], place, len(cells))
            line.mean_and_range(loss, (np.arange(points) + 0.5) / points * epochs, losses, in_turn=True)
            line.mean_and_range(accuracy, 1.0 + np.arange(epochs), accuracies)
        loss.axhline(CHANCE, color=MUTED, lw=0.8, ls=":")
        across = loss.get_yaxis_transform()  # x from 0 to 1, whatever the number of epochs
        loss.text(1.01, CHANCE, "chance,\nln 10", color=MUTED, fontsize=7.5, va="center", transform=across)
        loss.set(ylim=(0, 1.35 * CHANCE), xlabel="epoch", ylabel="training loss (nats)")
        accuracy.set(ylim=(0, 102), xlabel="epoch", ylabel="test accuracy")
        accuracy.yaxis.set_major_formatter(PercentFormatter(decimals=0))
        for axes, start in ((loss, 0.0), (accuracy, 0.5)):
            say_if_empty(axes, "no values: every seed diverged")
            integer_ticks(axes.xaxis, min_n_ticks=1)
            if not axes.dataLim.width > 0:  # at most one epoch to draw
                axes.set_xlim(start, start + epochs)
        legend(figure, accuracy, narrow)

    ends = ", ".join(f"{init} {row(record).accuracy.percent()}" for init, record in cells.items())
    return Picture(
        draw,
        (1070, 400),
        (350, 620),
        key="curves",
        title="Loss and accuracy",
        caption=f"{_over_seeds(cells)} A curve ends where its last seed diverged. A loss above the frame is worse than "
        "chance. Points of the same epoch are drawn side by side.",
        alt=f"Training loss and test accuracy by epoch. Accuracy after the last epoch: {ends}",
    )


def ladder(cells: Cells, looks: Looks) -> Picture:
    """Draw the variances of activations and of back-propagated gradients by layer, measured and predicted."""

    def draw(figure: Figure, narrow: bool) -> None:
        forward, backward = two_axes(figure, narrow)
        for axes, name in ((forward, "variance"), (backward, "gradient_variance")):
            for place, (init, record) in enumerate(cells.items()):
                look, sides = looks[init], record["propagation"]
                measured, predicted = (log_mean(sides[side][name]) for side in ("measured", "predicted"))
                layers = np.arange(1.0, len(measured) + 1)
                lines = axes.plot(layers, measured, label=f"_{init}", ls="", **look.points(_size(layers)))
                lines += axes.plot(layers, predicted, lw=1.1, label=f"_{init}, theory", **look.line)
                draw_beside(lines, place, len(cells), len(layers))
                axes.plot([], [], label=init, **look.points(4.5), ls=look.dash)
            log_axis(axes)
            axes.set(xlabel="layer (the last is the output)")
            integer_ticks(axes.xaxis, min_n_ticks=1)
        forward.set_ylabel("variance of activations")
        backward.set_ylabel("variance of gradients")
        legend(figure, forward, narrow)

    ends = ", ".join(
        f"{init} {short(log_mean(record['propagation']['measured']['variance'])[-2])}" for init, record in cells.items()
    )
    return Picture(
        draw,
        (1070, 420),
        (350, 640),
        key="ladder",
        title="Variance of activations and gradients by layer",
        caption="Before training. Markers: measured, geometric mean over the seeds. Lines: mean-field theory. A "
        "network can learn if both variances change little from layer to layer. The band at the bottom is for values "
        "that are exactly 0; values below 1e-24 or above 1e24 are drawn at the edge. Markers of the same layer are "
        "drawn side by side.",
        alt=f"Variance of activations in the last hidden layer: {ends}",
    )


def vitals(cells: Cells, looks: Looks) -> Picture:
    """Draw dead units, effective rank, Jacobian and gradient norm by layer, as means over the seeds."""

    def draw(figure: Figure, narrow: bool) -> None:
        panels = dict(zip(VITALS, figure.subplots(*((4, 1) if narrow else (1, 4))).ravel(), strict=True))
        for name, axes in panels.items():
            for place, (init, record) in enumerate(cells.items()):
                values = record["propagation"]["measured"][name]
                means = log_mean(values) if name == "kernel_gradient_norm" else floats(floats(values).mean(axis=0))
                line = _Line(init, looks[init], place, len(cells))
                line.plot(axes, np.arange(1.0, len(means) + 1), means, ms=_size(means) - 1)
            axes.set_title(VITALS[name], color=INK, fontsize=8)
            axes.set_xlabel("layer")
            integer_ticks(axes.xaxis, min_n_ticks=1)
        panels["dead"].set_ylim(-0.03, 1.03)
        panels["jacobian"].set_ylim(-0.06, 2)
        panels["jacobian"].set_title(f"{VITALS['jacobian']}, up to 2", color=INK, fontsize=8)
        log_axis(panels["kernel_gradient_norm"])
        legend(figure, panels["dead"], narrow)

    ends = ", ".join(
        f"{init} {floats(record['propagation']['measured']['dead'])[:, -2].mean():.0%}"
        for init, record in cells.items()
    )
    return Picture(
        draw,
        (1070, 300),
        (350, 900),
        key="vitals",
        title="Dead units, rank, Jacobian and gradient by layer",
        caption="Before training, means over the seeds. A unit is dead if the slope of its activation is below 5 % of "
        "the steepest slope for every image; a ReLU is dead if it is always off. With a low effective rank, different "
        "images look alike to the layer.",
        alt=f"Share of dead units in the last hidden layer: {ends}",
    )


def accuracies_before_divergence(record: Record) -> NDArray[np.float64]:
    """Return the test accuracies, (seeds, epochs), with NaN from the epoch in which a seed diverged."""
    accuracies, diverged_in = floats(record["test_accuracy"]), floats(record["diverged_in"])  # NaN if it did not
    epochs = np.arange(1, accuracies.shape[1] + 1)
    return np.where(epochs >= diverged_in[:, None], np.nan, accuracies)


@dataclass(frozen=True)
class _Line:
    """One of `count` lines in a chart, and its place among them."""

    label: str
    look: Look
    place: int
    count: int

    def plot(self, axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], ms: float = 5.0) -> None:
        """Draw a line with markers beside those of the others, in a chart that takes a quarter of the page."""
        draw_beside(self._drawn(axes, x, y, ms), self.place, self.count, max(1, len(x)), width=QUARTER)

    def mean_and_range(
        self, axes: Axes, x: NDArray[np.float64], values: NDArray[np.float64], in_turn: bool = False
    ) -> None:
        """Draw values (seeds, points), without the points at which all are NaN.

        With `in_turn` the line stays where it is and has markers where the others have none.
        """
        finite = np.isfinite(values).any(axis=0)
        x, values = x[finite], values[:, finite]
        every = every_few(self.place, self.count, len(x)) if in_turn else None
        drawn: list[Artist] = [*self._drawn(axes, x, np.nanmean(values, 0), 5.0, markevery=every)]
        if len(values) > 1:
            low, high = np.nanmin(values, 0), np.nanmax(values, 0)
            drawn.append(axes.fill_between(x, low, high, color=self.look.color, alpha=0.18, lw=0))
        if not in_turn:
            draw_beside(drawn, self.place, self.count, max(1, len(x)))

    def _drawn(
        self, axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], ms: float, **style: Any
    ) -> list[Line2D]:
        return axes.plot(x, y, lw=1.5, label=self.label, ls=self.look.dash, **self.look.points(ms), **style)


def _with_room_for_legend(picture: Picture, labels: Sequence[str]) -> Picture:
    """Return a picture that is higher by the rows of its legend after the first."""
    (wide, height), (narrow, narrow_height) = picture.wide, picture.narrow
    rows, narrow_rows = (-(-len(labels) // legend_columns(labels, on_narrow)) for on_narrow in (False, True))
    return replace(
        picture,
        wide=(wide, height + LEGEND_ROW * (rows - 1)),
        narrow=(narrow, narrow_height + LEGEND_ROW * max(0, narrow_rows - 4)),
    )


def _size(layers: NDArray[np.float64]) -> float:
    """Return the size of a marker, smaller if a chart has many layers."""
    return 5.0 if len(layers) <= 12 else 3.6


def _over_seeds(cells: Cells) -> str:
    seeds = max(len(record["seeds"]) for record in cells.values())
    return "Mean and range over the seeds." if seeds > 1 else "One seed."


def _group_of(record: Record) -> tuple[int, str, str]:
    return row(record).group
