import math

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jax_impl.figures import tables
from jax_impl.figures.axes import draw_beside, log_axis
from jax_impl.figures.tables import Table


def texts(table: Table) -> list[list[str]]:
    return [[row.name, *(cell.text for cell in row.cells)] for row in table.rows]


def test_a_table_has_the_true_numbers_of_the_named_lines() -> None:
    figure = Figure()
    axes = figure.subplots()
    first = axes.plot([1, 2], [1e-7, 0.0], label="a")
    second = axes.plot([2, 3], [math.nan, 1 / 3], label="_b, run 2")
    for place, lines in enumerate((first, second)):
        draw_beside(lines, place, 2, 2)
    axes.axhline(0.5)
    axes.plot([], [], label="only in the legend")
    axes.set(xlabel="layer", ylabel="variance")
    log_axis(axes)
    (table,) = tables.shown_in(figure)
    assert table.title == "variance"
    assert table.head == ["layer", "a", "b, run 2"]
    assert texts(table) == [["1", "1e-7", ""], ["2", "0", "–"], ["3", "", "0.3333"]]


def test_bars_and_percentages_are_read() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.bar([-0.2, 0.8], [0.0, 12.345678], 0.3, label="zeros")
    axes.set_xticks([0, 1], ["kernel", "bias"])
    axes.yaxis.set_major_formatter(PercentFormatter())
    axes.set_ylabel("share")
    (table,) = tables.shown_in(figure)
    assert table.title == "share (%)"
    assert texts(table) == [["kernel", "0"], ["bias", "12.35"]]


def test_axes_without_names_have_no_table() -> None:
    figure = Figure()
    figure.subplots().plot([1, 2], [3, 4])
    assert tables.shown_in(figure) == []


def test_numbers_are_short_and_zero_is_0() -> None:
    assert [tables.number(value) for value in (0.0, -0.0, 86.8412, 1e-30, math.inf, math.nan)] == [
        "0", "0", "86.84", "1e-30", "inf", "–",
    ]  # fmt: skip


def test_bars_that_lie_are_not_read_as_if_they_stood() -> None:
    figure = Figure()
    figure.subplots().barh([0, 1], [2.0, 3.0], label="seconds")
    assert tables.shown_in(figure) == []


def test_a_number_that_the_axes_do_not_show_has_no_place() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3, 4], [0.0, 1.0, 7.0, math.nan], label="a")
    axes.set(xlim=(0, 5), ylim=(0, 2))
    (table,) = tables.shown_in(figure)
    (first,), (second,), (above,), (nan,) = (row.cells for row in table.rows)
    assert first.place is not None and second.place is not None
    assert first.place[0] < second.place[0]
    assert first.place[1] > second.place[1]  # from the top
    assert above == ("7", None)
    assert nan == ("–", None)
