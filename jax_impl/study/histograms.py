"""The figure of a grid's pre-activations: a ridge per layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from jax_impl.figures.canvas import INK, MUTED, Picture, floats, short
from jax_impl.figures.colors import Look
from jax_impl.figures.tables import Cell, Row, Table, cells
from jax_impl.storage.records import Record
from jax_impl.study.propagation import shown_layers


def histograms(records: Mapping[str, Record], looks: Mapping[str, Look]) -> Picture:
    """Draw the pre-activations of up to five hidden layers, of the first seed."""

    def draw(figure: Figure, narrow: bool) -> None:
        columns = 2 if narrow else 4
        panels = figure.subplots(-(-len(records) // columns), columns, squeeze=False).ravel()
        for axes, (init, record) in zip(panels, records.items(), strict=False):
            axes.set_title(init, color=INK, pad=3)
            _ridges(axes, record["propagation"]["measured"], looks[init].color)
        for axes in panels[len(records) :]:
            axes.set_visible(False)

    return Picture(
        draw,
        (1070, 40 + 170 * -(-len(records) // 4)),
        (350, 40 + 150 * -(-len(records) // 2)),
        key="histograms",
        title="Pre-activations by layer",
        caption="Before training, first seed. Each ridge is a hidden layer, from the first (bottom) to the last; all "
        "share the scale of the first. A spike: the signal vanished. A flat band: it exploded.",
        alt="Histograms of the pre-activations of up to five layers: " + ", ".join(records),
        tables=lambda figure: [_moments(figure, records)],
    )


def _moments(figure: Figure, records: Mapping[str, Record]) -> Table:
    """Return the mean and the standard deviation of each hidden layer's pre-activations, of the first seed."""
    columns = [
        _column(axes, record["propagation"]["measured"])
        for axes, record in zip(figure.axes, records.values(), strict=False)
    ]
    return Table(
        "pre-activations of the first seed, mean ± standard deviation over units and images",
        ["layer", *records],
        [Row(str(layer), list(row)) for layer, row in enumerate(zip(*columns, strict=True), start=1)],
    )


def _column(axes: Axes, measured: Mapping[str, Any]) -> list[Cell]:
    """Return the mean and the standard deviation of each layer, those of the drawn layers on their ridges."""
    means, variances = (floats(measured[name])[0][:-1] for name in ("pre_mean", "pre_variance"))
    heights = np.full(len(means), np.nan)
    drawn = shown_layers(len(means))
    heights[drawn] = np.arange(len(drawn)) + 0.3
    return cells(axes, means, heights, [*map(_mean_and_deviation, means, variances)])


def _mean_and_deviation(mean: float, variance: float) -> str:
    if not np.isfinite([mean, variance]).all():
        return "–"
    return f"{short(mean)} ± {short(variance**0.5)}"


def _ridges(axes: Axes, measured: Mapping[str, Any], color: str) -> None:
    counts, edges = (floats(measured["pre_histogram"][name]) for name in ("counts", "edges"))  # (layers, bins)
    means, variances = (floats(measured[name])[0] for name in ("pre_mean", "pre_variance"))
    hidden = len(counts) - 1
    layers = shown_layers(hidden)
    limit = 4 * np.sqrt(variances[0])
    limit = limit if 0 < limit < np.inf else 1.0  # NaN too
    for level, layer in enumerate(layers):
        if variances[layer] == 0:
            axes.plot([means[layer]] * 2, [level, level + 0.9], color=color, lw=1)
        elif np.isfinite(edges[layer]).all():
            height = level + 0.9 * counts[layer] / counts[layer].max()
            axes.stairs(height, edges[layer], baseline=level, fill=True, color=color, alpha=0.35, lw=0)
            axes.stairs(height, edges[layer], baseline=level, color=color, lw=0.8)
    axes.set(xlim=(-limit, limit), ylim=(-0.05, len(layers)))
    axes.set_yticks(range(len(layers)), [f"{layer + 1}" for layer in layers])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x).replace("-", "−")))
    axes.tick_params(labelsize=7.5, pad=1)
    axes.grid(visible=False)
    if not np.isfinite(variances[:hidden]).any():
        axes.text(0, len(layers) / 2, "no values", color=MUTED, ha="center", va="center")
