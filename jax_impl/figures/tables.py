"""The numbers of a figure as tables, read from what was drawn."""

import math
import re
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, PercentFormatter

from jax_impl.figures.numbers import floats, short

Column = dict[float, float]  # y by x


class Table(NamedTuple):
    """The numbers of one pair of axes: a row per x, a column per line or group of bars."""

    title: str
    head: list[str]
    rows: list[list[str]]


def shown_in(figure: Figure) -> list[Table]:
    """Return a table for each pair of axes that has named lines or bars.

    A label that begins with an underscore is left out of legends by Matplotlib, but names a column. A line without a
    label, such as that of a published value, is left out.
    """
    return [table for axes in figure.axes if (table := _table(axes)) is not None]


def number(value: float) -> str:
    """Format a number with four digits; 0 is 0, and NaN is a dash."""
    if math.isnan(value):
        return "–"
    return str(value) if math.isinf(value) else short(value + 0.0, 4)  # -0.0 becomes 0.0


def _table(axes: Axes) -> Table | None:
    columns = _columns(axes)
    if not columns:
        return None
    percent = isinstance(axes.yaxis.get_major_formatter(), PercentFormatter)
    names = _names_of_ticks(axes)
    xs = sorted({x for column in columns.values() for x in column})
    return Table(
        (axes.get_ylabel() or axes.get_title()) + (" (%)" if percent else ""),
        [axes.get_xlabel(), *columns],
        [
            [names.get(x, short(x, 4)), *(number(column[x]) if x in column else "" for column in columns.values())]
            for x in xs
        ],
    )


def _columns(axes: Axes) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for line in axes.get_lines():
        label = str(line.get_label())
        xs, ys = floats(line.get_xdata()), floats(line.get_ydata())
        if len(xs) and not re.fullmatch(r"_child\d+", label):
            columns.setdefault(label.removeprefix("_"), {}).update(zip(xs.tolist(), ys.tolist(), strict=True))
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            places = [float(round(bar.get_x() + bar.get_width() / 2)) for bar in bars]  # without the shift of the group
            columns[str(bars.get_label())] = dict(zip(places, floats(bars.datavalues).tolist(), strict=True))
    return columns


def _names_of_ticks(axes: Axes) -> dict[float, str]:
    """Return the labels of the values of x, if the ticks are fixed."""
    if not isinstance(axes.xaxis.get_major_locator(), FixedLocator):
        return {}
    formatter = axes.xaxis.get_major_formatter()
    return {float(x): formatter(x) for x in axes.get_xticks()}
