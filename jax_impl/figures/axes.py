"""Lines, axes and legends of the study's figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from jax_impl.figures.canvas import floats, short

# Distinguishable with colour blindness (after Okabe & Ito 2008). If there are more lines, dashes distinguish them.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f6a00", "#4d4d4d")
DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)))
FLOOR, CEILING = 1e-24, 1e12  # the widest range of a logarithmic axis

Style = dict[str, Any]


def styles_of(names: Sequence[str]) -> dict[str, Style]:
    """Return a line style for each name, so that it has the same style in every figure."""
    return {
        name: {"color": COLORS[index % len(COLORS)], "ls": DASHES[index // len(COLORS) % len(DASHES)]}
        for index, name in enumerate(dict.fromkeys(names))
    }


def two_axes(figure: Figure, narrow: bool) -> tuple[Axes, Axes]:
    """Return two axes side by side, or one above the other on a narrow screen."""
    first, second = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    return first, second


def integer_ticks(axis: Axis, **options: int) -> None:
    """Put ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator(integer=True, **options))


def log_mean(rows: object) -> NDArray[np.float64]:
    """Return the geometric mean over the seeds of `rows`, (seeds, layers): 0 if a seed has 0, NaN if one has NaN."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.log(floats(rows)).mean(axis=0)))


def log_axis(axes: Axes) -> None:
    """Make the y axis logarithmic and fit it to the lines, within `FLOOR` and `CEILING`.

    Values that are 0 or below `FLOOR` are drawn at the bottom, two decades below the smallest other value.
    """
    lines = [line for line in axes.get_lines() if floats(line.get_ydata()).size]
    values = np.concatenate([floats(line.get_ydata()) for line in lines])
    values = values[np.isfinite(values)]
    low = max(np.min(values[values > 0], initial=1.0), FLOOR)
    bottom = low / 100 if (values < low).any() else low / 2
    for line in lines:
        line.set_ydata(np.maximum(floats(line.get_ydata()), bottom))
    axes.relim()
    plain_log_ticks(axes)
    axes.set_ylim(bottom / 2, 3 * max(min(np.max(values, initial=0.0), CEILING), 10 * bottom))


def plain_log_ticks(axes: Axes) -> None:
    """Make the y axis logarithmic, with at most seven ticks and short numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: short(y)))


def legend(figure: Figure, axes: Axes, narrow: bool) -> None:
    """Put the legend of `axes` above the figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=2 if narrow else 8, columnspacing=1.2, borderpad=0,
        handlelength=1.6,
    )  # fmt: skip
