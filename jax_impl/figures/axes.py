"""Lines, axes and legends of the reports' figures. The drawn data stay true: scales and offsets only move the ink."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from jax_impl.figures.colors import BAND, MUTED
from jax_impl.figures.numbers import floats, short

FLOOR, CEILING = 1e-24, 1e24  # the widest range of a logarithmic axis
ZERO_BAND = 0.09  # the height of the band for zeros, as a share of the axis
STEP = 5.5  # points of a typographer between the markers of two lines at the same x, if there is room
WIDTH = 320.0  # of a chart that takes half of the page, in points, about


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


def draw_beside(artists: Iterable[Artist], place: int, count: int, points: int, width: float = WIDTH) -> None:
    """Draw a line and its band, one of `count` lines of `points` points, beside the others.

    Each line has its place, so that lines of the same values do not hide each other. All lines together take at most
    half of the distance between two points. `width` is that of the chart, in points.
    """
    step = min(STEP, width / points / 2 / count)
    shift = (place - (count - 1) / 2) * step / 72  # inches
    for artist in artists:  # the limits of the axes were set before, from the true data
        figure = artist.get_figure(root=True)
        if figure is not None and artist.axes is not None:
            artist.set_transform(artist.get_transform() + ScaledTranslation(shift, 0, figure.dpi_scale_trans))
            artist.axes.set_xmargin(0.03 + 0.5 * count * step / width)


def every_few(place: int, count: int, points: int, shown: int = 5) -> tuple[int, int]:
    """Return Matplotlib's `markevery` for one of `count` lines of many points: each line shows other points."""
    every = max(1, points // shown)
    return place * every // count, every


def log_axis(axes: Axes) -> None:
    """Make the y axis logarithmic and fit it to lines, bands and bars, within `FLOOR` and `CEILING`.

    Values that are exactly 0 are drawn in a band of their own at the bottom, whose tick is 0. Positive values that are
    too small or too large for the axis are drawn at its edges.
    """
    values = _values(axes)
    positive = values[values > 0]
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (0.1, 1.0)
    if max(low, FLOOR) < min(high, CEILING):
        low, high = max(low, FLOOR), min(high, CEILING)
    high = max(high, 10 * low)
    edges = low / 1.6, 1.6 * high
    bottom, top = (math.log10(edge) for edge in edges)
    zero = bottom - ZERO_BAND / 2 / (1 - ZERO_BAND) * (top - bottom)  # where 0 is drawn, in decades

    def forward(y: object) -> NDArray[np.float64]:
        values = floats(y)
        exponents = np.log10(np.clip(values, *edges))
        return np.asarray(np.where(values > 0, exponents, zero + values))  # NaN stays NaN

    def inverse(t: object) -> NDArray[np.float64]:
        decades = floats(t)
        return np.asarray(np.where(decades >= bottom, 10.0 ** np.maximum(decades, bottom), decades - zero))

    axes.set_yscale("function", functions=(forward, inverse))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: short(y)))
    if (values == 0).any():
        axes.yaxis.set_major_locator(FixedLocator([0, *_log_ticks(low, high)]))
        axes.set_ylim(zero - bottom, edges[1])  # a negative limit: the band reaches as far below 0 as above it
        axes.add_patch(Rectangle((0, 0), 1, ZERO_BAND, transform=axes.transAxes, color=BAND, lw=0, zorder=0))
    else:
        axes.yaxis.set_major_locator(FixedLocator(_log_ticks(low, high)))
        axes.set_ylim(*edges)


def _values(axes: Axes) -> NDArray[np.float64]:
    """Return the finite numbers that the lines, bands and bars of `axes` show, without lines across the whole axes."""
    lines = [
        floats(line.get_ydata()) for line in axes.get_lines() if line.get_transform() != axes.get_yaxis_transform()
    ]
    bars = [floats(bars.datavalues) for bars in axes.containers if isinstance(bars, BarContainer)]
    bands = [
        floats(path.vertices)[:, 1]
        for band in axes.collections
        if isinstance(band, FillBetweenPolyCollection)
        for path in band.get_paths()
    ]
    values = np.concatenate([np.zeros(0), *lines, *bars, *bands])
    return np.asarray(values[np.isfinite(values)])


def _log_ticks(low: float, high: float) -> list[float]:
    """Return up to seven ticks: powers of ten, or also twice and five times them if the range is short."""
    wide = high / low >= 1e3
    ticks = floats(LogLocator(subs=(1,) if wide else (1, 2, 5), numticks=7).tick_values(low, high))
    return [float(tick) for tick in ticks if low / 1.6 <= tick <= 1.6 * high]


def apart(heights: Sequence[float], least: float) -> list[float]:
    """Return the heights of labels, in their order, moved so that two are at least `least` apart."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = list(heights)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + least)
    return moved


def say_if_empty(axes: Axes, words: str) -> None:
    """Write these words into axes whose lines have no numbers."""
    if not _values(axes).size:
        axes.text(0.5, 0.5, words, color=MUTED, ha="center", va="center", transform=axes.transAxes)


def legend(figure: Figure, axes: Axes, narrow: bool) -> None:
    """Put the legend of `axes` above the figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=legend_columns(labels, narrow), columnspacing=1.2, borderpad=0,
        handlelength=2.2,
    )  # fmt: skip


def legend_columns(labels: Sequence[str], narrow: bool) -> int:
    """Return how many columns of these labels fit above a figure."""
    width = 44 + 6 * max(map(len, labels), default=0)  # pixels of a label with its line
    return max(1, min(8, int((350 if narrow else 1070) / width)))
