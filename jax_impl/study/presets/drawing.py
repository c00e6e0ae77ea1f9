"""What the figures of the presets share, and `draw_preset`.

This file imports Matplotlib. The presets import it inside their draw functions, so that a study does not wait for
Matplotlib before it trains.
"""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from jax_impl.figures.axes import apart, integer_ticks, legend, log_axis, log_mean, two_axes
from jax_impl.figures.canvas import INK, MUTED, Picture, floats
from jax_impl.figures.colors import INITIALISERS, MARKERS, SHADES
from jax_impl.study.cells import POINTS
from jax_impl.study.presets.preset import Data, Preset
from jax_impl.study.verdicts import CHANCE

# The presets find everything that they draw with in this file.
__all__ = [
    "INK", "MARKERS", "MUTED", "PUBLISHED", "SHADES", "apart", "color_of", "draw_preset", "epoch_axis", "fixed_ticks",
    "floats", "integer_ticks", "legend", "log_axis", "log_mean", "loss_axes", "loss_curve", "marker_of",
    "mean_and_range", "percent_axis", "published_line", "two_axes",
]  # fmt: skip

PUBLISHED: dict[str, Any] = {"color": INK, "lw": 1.0, "ls": (0, (4, 2))}  # the style of a published value


def draw_preset(preset: Preset, data: Data) -> Picture:
    """Return the figure of what was measured for a preset, with the published values drawn in."""
    return Picture(
        lambda figure, narrow: preset.draw(figure, data, narrow),
        (1070, 400),
        (350, 640),
        key=preset.name,
        title=preset.title,
        caption=preset.caption,
        alt=f"{preset.title}: "
        + "; ".join(f"{check.name}, measured {check.measured}, expected {check.band}" for check in preset.checks(data)),
    )


def color_of(init: str) -> str:
    """Return the colour of an initialiser, the same in all reports."""
    return INITIALISERS[init].color


def marker_of(init: str) -> str:
    """Return the marker of an initialiser."""
    return INITIALISERS[init].marker


def published_line(axes: Axes, y: float, label: str) -> None:
    """Draw a published value as a horizontal line, with its label to the right of the axes, away from all data."""
    axes.axhline(y, zorder=1.5, **PUBLISHED)  # below the measured lines
    position: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    axes.annotate(fill(label, 13), (1, y), (3, 0), fontsize=7.5, color=INK, **position)


def mean_and_range(axes: Axes, x: Sequence[int], rows: object, color: str, line: str = "-", **style: Any) -> None:
    """Draw the mean over the seeds as a line and the range over the seeds as a band; `rows` is (seeds, points)."""
    values = floats(rows)
    axes.plot(x, values.mean(axis=0), line, color=color, lw=1.4, **style)
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, lw=0)


def loss_curve(axes: Axes, rows: object, **style: Any) -> None:
    """Draw the mean loss over the seeds by epoch; `rows` is (seeds, `POINTS` per epoch)."""
    losses = floats(rows).mean(axis=0)
    axes.plot((np.arange(len(losses)) + 0.5) / POINTS, losses, **style)


def loss_axes(axes: Axes) -> None:
    """Label the axes of loss curves and draw the loss of chance."""
    published_line(axes, CHANCE, "chance, ln 10")
    axes.set(ylim=(0, 2.6), xlabel="epoch", ylabel="training loss (nats)")
    axes.legend(loc="center right")


def epoch_axis(axes: Axes) -> None:
    """Label the x axis with epochs, at whole numbers only."""
    axes.set_xlabel("epoch")
    integer_ticks(axes.xaxis, min_n_ticks=1)


def percent_axis(axes: Axes, label: str, decimals: int = 0) -> None:
    """Label the y axis, whose values are percentages."""
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=decimals))


def fixed_ticks(axis: Axis, ticks: Sequence[int], text: str = "{:.0f}") -> None:
    """Put ticks at the given values only, written as `text` formats them."""
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: text.format(value)))
