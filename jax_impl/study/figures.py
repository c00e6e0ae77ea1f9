"""What a study's cells measured, drawn. Only positions on paper, means and ranges over seeds are computed here."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from jax_impl.figures.axes import COLORS, Style, legend, log_axis, log_mean, styles_of
from jax_impl.figures.canvas import INK, MUTED, Picture, floats, picture, short
from jax_impl.storage.records import Record
from jax_impl.study.verdicts import CHANCE, Group, Row, label, row


def pictures(cells: Sequence[Record]) -> list[Picture]:
    """Draw curves, ladders and histograms for each group of cells that differ in the initialiser alone."""
    styles = styles_of([label(record["recipe"]) for record in cells])
    drawn: list[Picture] = []
    for _, members in groupby(sorted(cells, key=_group), key=_group):
        group = list(members)
        first, several = row(group[0]), len({_group(record) for record in cells}) > 1
        place = f"{first.depth}-{first.activation}-{first.optimizer}"
        words = title(first) if several else ""
        if first.verdict != "not trained":
            drawn.append(curves(group, styles, place, words))
        drawn += [
            ladder(group, styles, place, words),
            vitals(group, styles, place, words),
            histograms(group, place, words),
        ]
    return drawn


def title(cell: Row) -> str:
    """Say what a group of cells has in common."""
    return f"{cell.depth} hidden layer{'' if cell.depth == 1 else 's'}, {cell.activation}, {cell.optimizer}"


def curves(group: Sequence[Record], styles: dict[str, Style], place: str, words: str) -> Picture:
    """Draw loss and test accuracy by epoch: mean and range over the seeds."""

    def draw(figure: Figure, narrow: bool) -> None:
        loss, accuracy = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
        for record in group:
            init, epochs = label(record["recipe"]), record["recipe"]["epochs"]
            losses, accuracies = floats(record["loss"]), 100 * alive(record, "test_accuracy")
            points = losses.shape[1]
            _band(loss, (np.arange(points) + 0.5) / points * epochs, losses, styles[init], init)
            _band(accuracy, 1.0 + np.arange(epochs), accuracies, styles[init], init, marker="o")
        loss.axhline(CHANCE, color=MUTED, lw=0.8, ls=":")
        loss.annotate("chance, ln 10", (0, CHANCE), (2, 2), textcoords="offset points", color=MUTED, fontsize=7.5)
        loss.set(ylim=(0, 1.35 * CHANCE), xlabel="epoch", ylabel="training loss (nats)")
        accuracy.set(ylim=(0, 102), xlabel="epoch", ylabel="test accuracy")
        accuracy.yaxis.set_major_formatter(PercentFormatter(decimals=0))
        for axes in (loss, accuracy):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        legend(figure, accuracy, narrow)

    return picture(
        draw,
        (1070, 400),
        (350, 620),
        key=f"curves-{place}",
        title=_titled("Loss and accuracy", words),
        caption="Mean and range over the seeds. A curve that stops has diverged; one above the frame is worse than "
        "chance.",
        alt="Loss and test accuracy by epoch. At the end: "
        + ", ".join(f"{row(record).label} {row(record).accuracy.mean:.1%}" for record in group),
    )


def ladder(group: Sequence[Record], styles: dict[str, Style], place: str, words: str) -> Picture:
    """Draw the variance of activations and of back-propagated gradients by layer, with the theory's prediction."""

    def draw(figure: Figure, narrow: bool) -> None:
        forward, backward = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
        for axes, name in ((forward, "variance"), (backward, "gradient_variance")):
            for record in group:
                init = label(record["recipe"])
                measured, predicted = (
                    log_mean(record["propagation"][side][name]) for side in ("measured", "predicted")
                )
                layers = np.arange(1, len(measured) + 1)
                axes.plot(layers, predicted, color=styles[init]["color"], ls=styles[init]["ls"], lw=1.1)
                axes.plot(layers, measured, "o", color=styles[init]["color"], ms=3.6, mec="white", mew=0.4)
                axes.plot([], [], marker="o", ms=3.6, label=init, **styles[init])
            log_axis(axes)
            axes.set(xlabel="layer (the last is the output)")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        forward.set_ylabel("variance of activations")
        backward.set_ylabel("variance of gradients")
        legend(figure, forward, narrow)

    return picture(
        draw,
        (1070, 420),
        (350, 640),
        key=f"ladder-{place}",
        title=_titled("The signal on its way up, the gradient on its way down", words),
        caption="Dots are measured before training (geometric mean over the seeds), lines are mean-field theory. Where "
        "both stay level the network can learn. What is smaller than the axis is drawn on its floor, with 0.",
        alt="Variance of activations in the last hidden layer: "
        + ", ".join(
            f"{label(record['recipe'])} {short(log_mean(record['propagation']['measured']['variance'])[-2])}"
            for record in group
        ),
    )


VITALS = {
    "dead": "share of units with no slope",
    "effective_rank": "effective rank of the activations",
    "jacobian": "mean singular value of the Jacobian",
    "kernel_gradient_norm": "norm of the kernel's gradient",
}


def vitals(group: Sequence[Record], styles: dict[str, Style], place: str, words: str) -> Picture:
    """Draw what else was measured by layer: dead units, rank, Jacobian and gradient norm, means over the seeds."""

    def draw(figure: Figure, narrow: bool) -> None:
        panels = dict(zip(VITALS, figure.subplots(*((4, 1) if narrow else (1, 4))).ravel(), strict=True))
        for name, axes in panels.items():
            for record in group:
                values, init = record["propagation"]["measured"][name], label(record["recipe"])
                means = log_mean(values) if name == "kernel_gradient_norm" else floats(values).mean(axis=0)
                axes.plot(1.0 + np.arange(len(means)), means, lw=1.4, label=init, **styles[init])
            axes.set_title(VITALS[name], color=INK, fontsize=8)
            axes.set_xlabel("layer")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panels["dead"].set_ylim(-0.03, 1.03)
        panels["jacobian"].set_ylim(0, 2)
        panels["jacobian"].set_title(f"{VITALS['jacobian']}, up to 2", color=INK, fontsize=8)
        log_axis(panels["kernel_gradient_norm"])
        legend(figure, panels["dead"], narrow)

    return picture(
        draw,
        (1070, 300),
        (350, 900),
        key=f"vitals-{place}",
        title=_titled("What else the layers show before training", words),
        caption="No slope: below 5 % of the steepest at every image, as of a ReLU that is off. A low rank means that "
        "images look alike to the layer. Means over the seeds.",
        alt="Share of dead units in the last hidden layer: "
        + ", ".join(
            f"{label(record['recipe'])} {floats(record['propagation']['measured']['dead'])[:, -2].mean():.0%}"
            for record in group
        ),
    )


def histograms(group: Sequence[Record], place: str, words: str) -> Picture:
    """Draw the pre-activations of five layers of the first seed, the lowest layer at the bottom."""

    def draw(figure: Figure, narrow: bool) -> None:
        columns = 2 if narrow else 4
        grid = figure.subplots(-(-len(group) // columns), columns, squeeze=False).ravel()
        for axes, record in zip(grid, group, strict=False):
            _ridges(axes, record)
        for axes in grid[len(group) :]:
            axes.set_visible(False)

    rows = -(-len(group) // 4)
    return picture(
        draw,
        (1070, 40 + 170 * rows),
        (350, 40 + 150 * -(-len(group) // 2)),
        key=f"histograms-{place}",
        title=_titled("Pre-activations by layer", words),
        caption="Before training, first seed; each ridge is one layer, from the first (bottom) to the last hidden one, "
        "on the scale of the first. A needle is a signal that has died, a plain one that has blown up.",
        alt="Histograms of the pre-activations of five layers for " + ", ".join(label(r["recipe"]) for r in group),
    )


def _ridges(axes: Axes, record: Record) -> None:
    measured = record["propagation"]["measured"]
    counts, edges = (floats(measured["pre_histogram"][name]) for name in ("counts", "edges"))  # (layers, bins)
    means, variances = (floats(measured[name])[0] for name in ("pre_mean", "pre_variance"))
    hidden = len(counts) - 1
    layers = sorted({int(place) for place in np.linspace(0, hidden - 1, min(5, hidden)).round()})
    reach = 4 * np.sqrt(variances[0]) or 1.0
    for level, layer in enumerate(layers):
        if variances[layer] == 0:
            axes.plot([means[layer]] * 2, [level, level + 0.9], color=COLORS[0], lw=1)
        elif np.isfinite(edges[layer]).all():
            height = level + 0.9 * counts[layer] / counts[layer].max()
            axes.stairs(height, edges[layer], baseline=level, fill=True, color=COLORS[0], alpha=0.35, lw=0)
            axes.stairs(height, edges[layer], baseline=level, color=COLORS[0], lw=0.8)
    axes.set_title(label(record["recipe"]), color=INK, pad=3)
    axes.set(xlim=(-reach, reach), ylim=(-0.05, len(layers)))
    axes.set_yticks(range(len(layers)), [f"{layer + 1}" for layer in layers])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x).replace("-", "−")))
    axes.tick_params(labelsize=7.5, pad=1)
    axes.grid(visible=False)


def alive(record: Record, name: str) -> NDArray[np.float64]:
    """Return (seeds, epochs) with NaN from the epoch on in which a seed diverged."""
    values = floats(record[name]).copy()
    for seed, epoch in enumerate(record["diverged_in"]):
        if epoch is not None:
            values[seed, epoch - 1 :] = np.nan
    return values


def _band(
    axes: Axes, x: NDArray[np.float64], values: NDArray[np.float64], style: Style, label: str, marker: str = ""
) -> None:
    finite = np.isfinite(values).any(axis=0)
    x, values = x[finite], values[:, finite]
    axes.fill_between(x, np.nanmin(values, 0), np.nanmax(values, 0), color=style["color"], alpha=0.18, lw=0)
    axes.plot(x, np.nanmean(values, 0), marker=marker, lw=1.6, ms=3.5, label=label, **style)


def _titled(what: str, words: str) -> str:
    return f"{what}: {words}" if words else what


def _group(record: Record) -> Group:
    return row(record).group
