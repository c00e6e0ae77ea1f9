"""The figures of a grid. Every number comes from the records; only means and ranges over seeds are computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from jax_impl.figures.axes import COLORS, Style, integer_ticks, legend, log_axis, log_mean, styles_of, two_axes
from jax_impl.figures.canvas import INK, MUTED, Picture, floats, short
from jax_impl.storage.records import Record
from jax_impl.study.cells import label, layers_text
from jax_impl.study.verdicts import CHANCE, Row, row

Cells = Mapping[str, Record]  # by label: cells that differ in the initialiser only
Styles = Mapping[str, Style]  # by label, the same in all groups
VITALS = {
    "dead": "share of dead units",
    "effective_rank": "effective rank of the activations",
    "jacobian": "mean singular value of the Jacobian",
    "kernel_gradient_norm": "norm of the kernel's gradient",
}


def pictures(cells: Sequence[Record]) -> list[Picture]:
    """Return the pictures of each group of cells that differ in the initialiser only."""
    styles = styles_of([label(record["recipe"]) for record in cells])
    groups = [list(members) for _, members in groupby(sorted(cells, key=_group_of), key=_group_of)]
    named: list[Picture] = []
    for members in groups:
        by_label, first = {label(record["recipe"]): record for record in members}, row(members[0])
        drawn = [ladder(by_label, styles), vitals(by_label, styles), histograms(by_label)]
        if first.verdict != "not trained":
            drawn.insert(0, curves(by_label, styles))
        key = f"{first.depth}-{first.activation}-{first.optimizer}"
        of_group = f": {title(first)}" if len(groups) > 1 else ""
        named += [replace(one, key=f"{one.key}-{key}", title=f"{one.title}{of_group}") for one in drawn]
    return named


def title(cell: Row) -> str:
    """Return what the cells of this cell's group have in common, in words."""
    return f"{layers_text(cell.depth)}, {cell.activation}, {cell.optimizer}"


def curves(cells: Cells, styles: Styles) -> Picture:
    """Draw training loss and test accuracy by epoch."""

    def draw(figure: Figure, narrow: bool) -> None:
        loss, accuracy = two_axes(figure, narrow)
        for init, record in cells.items():
            epochs = record["recipe"]["epochs"]
            losses, accuracies = floats(record["loss"]), 100 * accuracies_before_divergence(record)
            points = losses.shape[1]
            _mean_and_range(loss, (np.arange(points) + 0.5) / points * epochs, losses, styles[init], init)
            _mean_and_range(accuracy, 1.0 + np.arange(epochs), accuracies, styles[init], init, marker="o")
        loss.axhline(CHANCE, color=MUTED, lw=0.8, ls=":")
        across = loss.get_yaxis_transform()  # x from 0 to 1, whatever the number of epochs
        loss.text(1, 1.02 * CHANCE, "chance, ln 10", color=MUTED, fontsize=7.5, ha="right", transform=across)
        loss.set(ylim=(0, 1.35 * CHANCE), xlabel="epoch", ylabel="training loss (nats)")
        accuracy.set(ylim=(0, 102), xlabel="epoch", ylabel="test accuracy")
        accuracy.yaxis.set_major_formatter(PercentFormatter(decimals=0))
        for axes in (loss, accuracy):
            integer_ticks(axes.xaxis, min_n_ticks=1)
        legend(figure, accuracy, narrow)

    ends = ", ".join(f"{init} {row(record).accuracy.mean:.1%}" for init, record in cells.items())
    return Picture(
        draw,
        (1070, 400),
        (350, 620),
        key="curves",
        title="Loss and accuracy",
        caption="Mean and range over the seeds. A curve ends where its last seed diverged. A loss above the frame is "
        "worse than chance.",
        alt=f"Training loss and test accuracy by epoch. Accuracy after the last epoch: {ends}",
    )


def ladder(cells: Cells, styles: Styles) -> Picture:
    """Draw the variances of activations and of back-propagated gradients by layer, measured and predicted."""

    def draw(figure: Figure, narrow: bool) -> None:
        forward, backward = two_axes(figure, narrow)
        for axes, name in ((forward, "variance"), (backward, "gradient_variance")):
            for init, record in cells.items():
                style, sides = styles[init], record["propagation"]
                measured, predicted = (log_mean(sides[side][name]) for side in ("measured", "predicted"))
                layers = np.arange(1, len(measured) + 1)
                axes.plot(layers, predicted, lw=1.1, **style)
                axes.plot(layers, measured, "o", color=style["color"], ms=3.6, mec="white", mew=0.4)
                axes.plot([], [], marker="o", ms=3.6, label=init, **style)
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
        caption="Before training. Dots: measured, geometric mean over the seeds. Lines: mean-field theory. A network "
        "can learn if both variances change little from layer to layer. Values that are 0 or too small for the axis "
        "are drawn at its bottom.",
        alt=f"Variance of activations in the last hidden layer: {ends}",
    )


def vitals(cells: Cells, styles: Styles) -> Picture:
    """Draw dead units, effective rank, Jacobian and gradient norm by layer, as means over the seeds."""

    def draw(figure: Figure, narrow: bool) -> None:
        panels = dict(zip(VITALS, figure.subplots(*((4, 1) if narrow else (1, 4))).ravel(), strict=True))
        for name, axes in panels.items():
            for init, record in cells.items():
                values = record["propagation"]["measured"][name]
                means = log_mean(values) if name == "kernel_gradient_norm" else floats(values).mean(axis=0)
                axes.plot(1.0 + np.arange(len(means)), means, lw=1.4, label=init, **styles[init])
            axes.set_title(VITALS[name], color=INK, fontsize=8)
            axes.set_xlabel("layer")
            integer_ticks(axes.xaxis, min_n_ticks=1)
        panels["dead"].set_ylim(-0.03, 1.03)
        panels["jacobian"].set_ylim(0, 2)
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


def histograms(cells: Cells) -> Picture:
    """Draw the pre-activations of up to five hidden layers, of the first seed."""

    def draw(figure: Figure, narrow: bool) -> None:
        columns = 2 if narrow else 4
        panels = figure.subplots(-(-len(cells) // columns), columns, squeeze=False).ravel()
        for axes, (init, record) in zip(panels, cells.items(), strict=False):
            axes.set_title(init, color=INK, pad=3)
            _ridges(axes, record["propagation"]["measured"])
        for axes in panels[len(cells) :]:
            axes.set_visible(False)

    return Picture(
        draw,
        (1070, 40 + 170 * -(-len(cells) // 4)),
        (350, 40 + 150 * -(-len(cells) // 2)),
        key="histograms",
        title="Pre-activations by layer",
        caption="Before training, first seed. Each ridge is a hidden layer, from the first (bottom) to the last; all "
        "share the scale of the first. A spike: the signal vanished. A flat band: it exploded.",
        alt="Histograms of the pre-activations of up to five layers: " + ", ".join(cells),
    )


def _ridges(axes: Axes, measured: Mapping[str, Any]) -> None:
    counts, edges = (floats(measured["pre_histogram"][name]) for name in ("counts", "edges"))  # (layers, bins)
    means, variances = (floats(measured[name])[0] for name in ("pre_mean", "pre_variance"))
    hidden = len(counts) - 1
    layers = sorted({int(layer) for layer in np.linspace(0, hidden - 1, min(5, hidden)).round()})
    limit = 4 * np.sqrt(variances[0]) or 1.0
    for level, layer in enumerate(layers):
        if variances[layer] == 0:
            axes.plot([means[layer]] * 2, [level, level + 0.9], color=COLORS[0], lw=1)
        elif np.isfinite(edges[layer]).all():
            height = level + 0.9 * counts[layer] / counts[layer].max()
            axes.stairs(height, edges[layer], baseline=level, fill=True, color=COLORS[0], alpha=0.35, lw=0)
            axes.stairs(height, edges[layer], baseline=level, color=COLORS[0], lw=0.8)
    axes.set(xlim=(-limit, limit), ylim=(-0.05, len(layers)))
    axes.set_yticks(range(len(layers)), [f"{layer + 1}" for layer in layers])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x).replace("-", "−")))
    axes.tick_params(labelsize=7.5, pad=1)
    axes.grid(visible=False)


def accuracies_before_divergence(record: Record) -> NDArray[np.float64]:
    """Return the test accuracies, (seeds, epochs), with NaN from the epoch in which a seed diverged."""
    accuracies, diverged_in = floats(record["test_accuracy"]), floats(record["diverged_in"])  # NaN if it did not
    epochs = np.arange(1, accuracies.shape[1] + 1)
    return np.where(epochs >= diverged_in[:, None], np.nan, accuracies)


def _mean_and_range(
    axes: Axes, x: NDArray[np.float64], values: NDArray[np.float64], style: Style, label: str, marker: str = ""
) -> None:
    """Draw values (seeds, points), without the points at which all are NaN."""
    finite = np.isfinite(values).any(axis=0)
    x, values = x[finite], values[:, finite]
    axes.fill_between(x, np.nanmin(values, 0), np.nanmax(values, 0), color=style["color"], alpha=0.18, lw=0)
    axes.plot(x, np.nanmean(values, 0), marker=marker, lw=1.6, ms=3.5, label=label, **style)


def _group_of(record: Record) -> tuple[int, str, str]:
    return row(record).group
