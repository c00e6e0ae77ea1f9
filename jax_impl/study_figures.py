"""What a study's cells measured, drawn. Only positions on paper, means and ranges over seeds are computed here."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

from jax_impl.canvas import INK, MUTED, Picture, floats, picture, short
from jax_impl.findings import CHANCE, Row, row
from jax_impl.recipes import DEFAULT
from jax_impl.records import Record

# Told apart also by people who see few colours (after Okabe & Ito 2008), and by dashes where there are more.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f6a00", "#4d4d4d")
DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)))
FLOOR, CEILING = 1e-24, 1e12  # between which variances are drawn, on a logarithmic axis

Style = dict[str, Any]


def pictures(cells: Sequence[Record]) -> list[Picture]:
    """Draw curves, ladders and histograms for each group of cells that differ in the initialiser alone."""
    styles = styles_of([record["recipe"]["init"] for record in cells])
    drawn: list[Picture] = []
    for _, members in groupby(sorted(cells, key=_group), key=_group):
        group = list(members)
        first, several = row(group[0]), len({_group(record) for record in cells}) > 1
        place = f"{first.depth}-{first.activation}-{first.optimizer}-{first.recipe}"
        words = title(first) if several else ""
        if first.verdict != "not trained":
            drawn.append(curves(group, styles, place, words))
        drawn += [ladder(group, styles, place, words), histograms(group, place, words)]
    return drawn


def title(cell: Row) -> str:
    """Say what a group of cells has in common."""
    recipe = "" if cell.recipe == DEFAULT else f", {cell.recipe}"
    return f"{cell.depth} hidden layer{'' if cell.depth == 1 else 's'}, {cell.activation}, {cell.optimizer}{recipe}"


def styles_of(names: Sequence[str]) -> dict[str, Style]:
    """Return the line of each name, the same in every figure."""
    unique = list(dict.fromkeys(names))
    return {
        name: {"color": COLORS[place % len(COLORS)], "ls": DASHES[place // len(COLORS) % len(DASHES)]}
        for place, name in enumerate(unique)
    }


def curves(group: Sequence[Record], styles: dict[str, Style], place: str, words: str) -> Picture:
    """Draw loss and test accuracy by epoch: mean and range over the seeds."""

    def draw(figure: Figure, narrow: bool) -> None:
        loss, accuracy = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
        for record in group:
            init, epochs = record["recipe"]["init"], record["recipe"]["epochs"]
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
        caption="Mean and range over the seeds. A curve that leaves the frame or stops has diverged.",
        alt="Loss and test accuracy by epoch. At the end: "
        + ", ".join(f"{row(record).init} {row(record).accuracy.mean:.1%}" for record in group),
    )


def ladder(group: Sequence[Record], styles: dict[str, Style], place: str, words: str) -> Picture:
    """Draw the variance of activations and of back-propagated gradients by layer, with the theory's prediction."""

    def draw(figure: Figure, narrow: bool) -> None:
        forward, backward = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
        for axes, name in ((forward, "variance"), (backward, "gradient_variance")):
            for record in group:
                init = record["recipe"]["init"]
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
            f"{record['recipe']['init']} {short(log_mean(record['propagation']['measured']['variance'])[-2])}"
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
        alt="Histograms of the pre-activations of five layers for " + ", ".join(r["recipe"]["init"] for r in group),
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
    axes.set_title(record["recipe"]["init"], color=INK, pad=3)
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


def log_mean(rows: object) -> NDArray[np.float64]:
    """Return the geometric mean over the seeds: 0 where a seed has 0, NaN where one has no finite number."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.log(floats(rows)).mean(axis=0)))


def log_axis(axes: Axes) -> None:
    """Make the y axis logarithmic with few, plain ticks, of what lies between `FLOOR` and `CEILING`.

    What is 0 or below the axis is moved to its foot, two decades under the smallest number.
    """
    lines = [line for line in axes.get_lines() if floats(line.get_ydata()).size]
    numbers = np.concatenate([floats(line.get_ydata()) for line in lines])
    low = max(np.min(numbers[numbers > 0], initial=1.0), FLOOR)
    foot = low / 100 if (numbers < low).any() else low / 2
    for line in lines:
        line.set_ydata(np.maximum(floats(line.get_ydata()), foot))
    axes.relim()
    plain_log_ticks(axes)
    axes.set_ylim(foot / 2, 3 * max(min(np.nanmax(numbers), CEILING), 10 * foot))


def plain_log_ticks(axes: Axes) -> None:
    """Give a logarithmic y axis few ticks, in plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: short(y)))


def legend(figure: Figure, axes: Axes, narrow: bool) -> None:
    """Put the labels of `axes` above the figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=2 if narrow else 8, columnspacing=1.2, borderpad=0,
        handlelength=1.6,
    )  # fmt: skip


def _band(
    axes: Axes, x: NDArray[np.float64], values: NDArray[np.float64], style: Style, label: str, marker: str = ""
) -> None:
    finite = np.isfinite(values).any(axis=0)
    x, values = x[finite], values[:, finite]
    axes.fill_between(x, np.nanmin(values, 0), np.nanmax(values, 0), color=style["color"], alpha=0.18, lw=0)
    axes.plot(x, np.nanmean(values, 0), marker=marker, lw=1.6, ms=3.5, label=label, **style)


def _titled(what: str, words: str) -> str:
    return f"{what}: {words}" if words else what


def _group(record: Record) -> tuple[str, int, str, str]:
    return row(record).group
