"""The tables of the ladder's figures that cannot be read from the lines that were drawn."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, zip_longest
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from jax_impl.figures.canvas import floats
from jax_impl.figures.tables import Cell, Row, Table, cells, number

Numbers = NDArray[np.float64]


def of_steps(axes: Axes, curves: Mapping[str, Numbers], top: float) -> Table:
    """Return the difference at each step, by dtype. What is not below `top` was drawn there."""
    columns = [
        cells(axes, np.arange(len(curve)), np.where(curve <= top, curve, top), [*map(_or_nan, curve)])
        for curve in curves.values()
    ]
    steps = [f"{step:,}" for step in range(max(map(len, columns)))]
    return Table(axes.get_ylabel(), ["training step", *curves], rows_of(steps, columns))


def of_histogram(axes: Axes, panel: Mapping[str, Any]) -> Table:
    """Return the density in each bin."""
    edges = floats(panel["edges"])
    columns = [cells(axes, (edges[:-1] + edges[1:]) / 2, panel[side]) for side in ("torch", "jax")]
    names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
    return Table(
        f"density of {panel['init']}",
        ["weight", "PyTorch", "JAX"],
        rows_of(names, columns),
    )


def of_rounds(axes: Axes, rounds: Mapping[str, Numbers]) -> Table:
    """Return the median and every round, a row per program as drawn."""
    count = max(map(len, rounds.values()))
    rows = []
    for place, (title, values) in enumerate(rounds.items()):
        seconds = [median(values), *values]
        shown = cells(axes, seconds, [place] * len(seconds), [*map(number, seconds)])
        rows.append(Row(title, shown + [Cell("")] * (count - len(values))))
    head = ["program", "median", *(f"round {number}" for number in range(1, count + 1))]
    return Table("seconds per round", head, rows)


def rows_of(names: Iterable[str], columns: Sequence[Sequence[Cell]]) -> list[Row]:
    """Return the rows of these columns, the shorter ones filled up with empty cells."""
    rows = zip_longest(*columns, fillvalue=Cell(""))
    return [Row(name, list(row)) for name, row in zip(names, rows, strict=True)]


def _or_nan(value: float) -> str:
    return "NaN" if np.isnan(value) else number(value)
