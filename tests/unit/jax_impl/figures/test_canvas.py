"""A picture on a page: its tables, and where its numbers are."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from jax_impl.figures import canvas, tables
from jax_impl.figures.axes import draw_beside, log_axis
from jax_impl.figures.canvas import Picture

XS, YS = [1.0, 2.0, 3.0, 4.0], [1e-7, 0.0, 1e-3, 10.0]


def draw(figure: Figure, narrow: bool) -> None:
    """A red line and a blue one of the same values, beside each other; another number of panels than one."""
    axes = figure.subplots(2, 1)[1] if narrow else figure.subplots(1, 2)[1]
    for place, (color, label) in enumerate({"#ff0000": "red", "#0000ff": "blue"}.items()):
        line = axes.plot(XS, YS, "s", color=color, mew=0, ms=8, label=label)
        draw_beside(line, place, 2, len(XS))
    log_axis(axes)
    axes.set(xlabel="step", ylabel="loss")


def picture(**changes: object) -> Picture:
    plain = {"draw": draw, "wide": (900, 400), "narrow": (350, 500), "key": "k", "title": "t", "caption": "", "alt": ""}
    return Picture(**(plain | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("narrow", [False, True])
def test_a_number_is_where_its_marker_is_drawn(narrow: bool) -> None:
    size = (3.5, 5.0) if narrow else (9.0, 4.0)
    read: list[tables.Table] = []
    png = canvas.render(
        lambda figure: draw(figure, narrow), size, read=lambda figure: read.extend(tables.shown_in(figure)),
        format="png", dpi=100,
    )  # fmt: skip
    pixels = imread(io.BytesIO(png))[..., :3]
    for row in read[0].rows:
        for cell, color in zip(row.cells, ([1, 0, 0], [0, 0, 1]), strict=True):
            assert cell.place is not None
            (x, y), (height, width) = cell.place, pixels.shape[:2]
            np.testing.assert_allclose(pixels[round(y * height), round(x * width)], color, atol=0.02)


def test_a_page_gets_both_widths_and_the_places_in_both() -> None:
    shown = picture().shown()
    assert shown.wide != shown.narrow
    (table,) = shown.tables
    assert (table.title, table.head) == ("loss", ["step", "red", "blue"])
    assert [(name, *(value.text for value in values)) for name, values in table.rows] == [
        ("1", "1e-7", "1e-7"), ("2", "0", "0"), ("3", "0.001", "0.001"), ("4", "10", "10"),
    ]  # fmt: skip
    places = np.array([[[*map(int, value.at.split())] for value in values] for _, values in table.rows])
    assert places.shape == (4, 2, 4)
    assert 500 < places[..., 0].min() < places[..., 2].max() < 1000  # the right panel, or the lower one
    assert (np.diff(places[..., 0], axis=0) > 0).all()
    assert (places[..., 3] > 500).all()


def test_a_picture_without_numbers_has_no_table() -> None:
    """For example a chart of losses if no seed has one."""
    assert picture(draw=lambda figure, _: figure.subplots().plot([], [], label="a")).shown().tables == []
