"""The numbers of a figure as tables, read from what was drawn, with the place of each in the figure."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, PercentFormatter
from matplotlib.transforms import Transform

from jax_impl.figures.numbers import floats, short

Place = tuple[float, float]  # shares of the figure's width, from the left, and of its height, from the top
EDGE = 0.01  # how far outside of its axes, as a share of them, a point is still seen


class Cell(NamedTuple):
    """A number as text, and where the figure shows it; None if it does not."""

    text: str
    place: Place | None = None


class Row(NamedTuple):
    """The numbers at one x."""

    name: str
    cells: list[Cell]


class Table(NamedTuple):
    """The numbers of one pair of axes: a row per x, a column per line or group of bars."""

    title: str
    head: list[str]  # the name of x, and those of the columns
    rows: list[Row]


class Value(NamedTuple):
    """A number as text, and where the figure shows it in both widths."""

    text: str
    at: str  # x and y in the wide figure, then in the narrow one, in thousandths; empty unless both show it


class Values(NamedTuple):
    """A table of a figure, for a page."""

    title: str
    head: list[str]
    rows: list[tuple[str, list[Value]]]


class Shown(NamedTuple):
    """What a page contains of a figure: base64 SVG for a wide and a narrow screen, and the tables."""

    wide: str
    narrow: str
    tables: list[Values]


Column = dict[float, Cell]  # by x


def shown_in(figure: Figure) -> list[Table]:
    """Return a table for each pair of axes that has named lines or upright bars.

    A label that begins with an underscore is left out of legends by Matplotlib, but names a column. A line without a
    label, such as that of a published value, is left out. The places are right once the figure was drawn.
    """
    return [table for axes in figure.axes if (table := _table(axes)) is not None]


def number(value: float) -> str:
    """Format a number with four digits; 0 is 0, and NaN is a dash."""
    if math.isnan(value):
        return "–"
    return str(value) if math.isinf(value) else short(value + 0.0, 4)  # -0.0 becomes 0.0


def cells(
    axes: Axes, xs: Any, ys: Any, texts: Sequence[str] | None = None, transform: Transform | None = None
) -> list[Cell]:
    """Return a cell for each point of these axes, with its place if it is inside of them.

    `texts` stands for the numbers `ys`, and `transform` for that of the data.
    """
    points = floats([xs, ys]).T
    shown = (transform or axes.transData).transform(points)
    from_middle = np.abs(axes.transAxes.inverted().transform(shown) - 0.5)
    inside = np.all(from_middle <= 0.5 + EDGE, axis=1)  # NaN is not
    places = axes.get_figure(root=True).transFigure.inverted().transform(shown)  # type: ignore[union-attr]
    return [
        Cell(text, (float(x), 1 - float(y)) if there else None)
        for text, (x, y), there in zip(texts or [*map(number, points[:, 1])], places, inside, strict=True)
    ]


def in_both(wide: Table, narrow: Table) -> Values:
    """Return the table of a figure with the places of its numbers in both widths."""
    pairs = zip(wide.rows, narrow.rows, strict=True)
    rows = [(row.name, [*map(_value, row.cells, other.cells)]) for row, other in pairs]
    return Values(wide.title, wide.head, rows)


def _value(wide: Cell, narrow: Cell) -> Value:
    if wide.place is None or narrow.place is None:
        return Value(wide.text, "")
    return Value(wide.text, " ".join(f"{1000 * share:.0f}" for share in (*wide.place, *narrow.place)))


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
        [Row(names.get(x, short(x, 4)), [column.get(x, Cell("")) for column in columns.values()]) for x in xs],
    )


def _columns(axes: Axes) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for line in axes.get_lines():
        label = str(line.get_label())
        xs, ys = floats(line.get_xdata()), floats(line.get_ydata())
        if len(xs) and not re.fullmatch(r"_child\d+", label):
            found = cells(axes, xs, ys, transform=line.get_transform())
            columns.setdefault(label.removeprefix("_"), {}).update(zip(xs.tolist(), found, strict=True))
    for bars in axes.containers:
        if isinstance(bars, BarContainer) and bars.orientation == "vertical":
            middles = floats([bar.get_x() + bar.get_width() / 2 for bar in bars])
            groups = middles.round().tolist()  # without the shift of the bars in their group
            columns[str(bars.get_label())] = dict(
                zip(groups, cells(axes, middles, floats(bars.datavalues)), strict=True)
            )
    return columns


def _names_of_ticks(axes: Axes) -> dict[float, str]:
    """Return the labels of the values of x, if the ticks are fixed."""
    if not isinstance(axes.xaxis.get_major_locator(), FixedLocator):
        return {}
    formatter = axes.xaxis.get_major_formatter()
    return {float(x): formatter(x) for x in axes.get_xticks()}
