"""What the figures of the study do with lines and axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from jax_impl.figures.canvas import floats, short

# Told apart also by people who see few colours (after Okabe & Ito 2008), and by dashes where there are more.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f6a00", "#4d4d4d")
DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)))
FLOOR, CEILING = 1e-24, 1e12  # between which variances are drawn, on a logarithmic axis

Style = dict[str, Any]


def styles_of(names: Sequence[str]) -> dict[str, Style]:
    """Return the line of each name, the same in every figure."""
    unique = list(dict.fromkeys(names))
    return {
        name: {"color": COLORS[place % len(COLORS)], "ls": DASHES[place // len(COLORS) % len(DASHES)]}
        for place, name in enumerate(unique)
    }


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
    numbers = numbers[np.isfinite(numbers)]
    low = max(np.min(numbers[numbers > 0], initial=1.0), FLOOR)
    foot = low / 100 if (numbers < low).any() else low / 2
    for line in lines:
        line.set_ydata(np.maximum(floats(line.get_ydata()), foot))
    axes.relim()
    plain_log_ticks(axes)
    axes.set_ylim(foot / 2, 3 * max(min(np.max(numbers, initial=0.0), CEILING), 10 * foot))


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
