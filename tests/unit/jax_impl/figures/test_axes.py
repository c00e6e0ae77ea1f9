import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jax_impl.figures import axes


def new_axes() -> Axes:
    return Figure(figsize=(6, 4)).subplots()


def drawn(shown: Axes, y: float) -> float:
    """The height at which y is drawn, as a share of the axis."""
    return float(shown.transAxes.inverted().transform(shown.transData.transform((0, y)))[1])


def labels(shown: Axes) -> list[str]:
    return [shown.yaxis.get_major_formatter()(tick) for tick in shown.get_yticks()]


def test_geometric_means_keep_zeros_and_nan() -> None:
    found = axes.log_mean([[1.0, 4.0, 0.0, None], [4.0, 4.0, 1.0, 1.0]])
    np.testing.assert_allclose(found, [2, 4, 0, np.nan])


def test_zeros_have_a_band_of_their_own_and_stay_zeros() -> None:
    shown = new_axes()
    (line,) = shown.plot([1, 2, 3, 4], [1e-6, 0.0, 10.0, np.nan])
    axes.log_axis(shown)
    assert labels(shown)[0] == "0"
    assert len(labels(shown)) > 3
    np.testing.assert_array_equal(line.get_ydata(), [1e-6, 0, 10, np.nan])
    assert drawn(shown, 0.0) == pytest.approx(axes.ZERO_BAND / 2)
    assert axes.ZERO_BAND < drawn(shown, 1e-6) < drawn(shown, 1e-3) < drawn(shown, 10.0) < 1
    decades = [drawn(shown, 10.0**exponent) for exponent in range(-6, 2)]
    np.testing.assert_allclose(np.diff(decades), np.diff(decades)[0])


def test_an_axis_without_zeros_has_no_band() -> None:
    shown = new_axes()
    shown.plot([1, 2], [1e-6, 10.0])
    axes.log_axis(shown)
    assert "0" not in labels(shown)
    assert not shown.patches


def test_the_axis_has_room_for_bands() -> None:
    shown = new_axes()
    shown.plot([1, 2], [1.0, 1.0])
    shown.fill_between([1, 2], [0.0, 0.01], [50.0, 50.0])
    axes.log_axis(shown)
    assert labels(shown)[0] == "0"
    assert axes.ZERO_BAND < drawn(shown, 0.01) < drawn(shown, 50.0) < 1


@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [np.nan, np.nan], [], [1e30, 1e35], [1e-40, 1e-30], [1e-40, 1e30], [5.0]]
)
def test_values_of_any_size_can_be_drawn(values: list[float]) -> None:
    shown = new_axes()
    shown.plot(range(len(values)), values)
    axes.log_axis(shown)
    shown.figure.draw_without_rendering()
    for value in values:
        assert np.isnan(value) or -1e-9 <= drawn(shown, value) <= 1 + 1e-9


def test_lines_of_the_same_values_are_drawn_side_by_side() -> None:
    shown = new_axes()
    lines = [shown.plot([1, 2, 3], [0.5, 0.5, 0.5])[0] for _ in range(8)]
    for place, line in enumerate(lines):
        axes.draw_beside([line], place, 8, 3)
    shown.figure.draw_without_rendering()
    places = [line.get_transform().transform((2, 0.5)) for line in lines]
    assert np.diff(places, axis=0)[:, 0].min() > 2  # pixels
    assert {round(float(y), 6) for _, y in places} == {round(float(places[0][1]), 6)}
    true = shown.transData.transform([(1.5, 0.5), (2.5, 0.5)])[:, 0]
    assert true[0] < places[0][0] < places[-1][0] < true[1]
    for line in lines:
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        assert shown.bbox.x0 <= line.get_transform().transform((1, 0.5))[0]
        assert line.get_transform().transform((3, 0.5))[0] <= shown.bbox.x1


def test_markers_of_long_lines_take_turns() -> None:
    marked = []
    for place in range(8):
        start, every = axes.every_few(place, 8, 60)
        marked.append(set(range(start, 60, every)))
    assert all(marked)
    assert sum(map(len, marked)) == len(set.union(*marked))


def test_labels_are_moved_apart_in_order() -> None:
    assert axes.apart([0.5, 0.1, 0.52, 0.51], 0.05) == pytest.approx([0.5, 0.1, 0.6, 0.55])
    assert axes.apart([], 1.0) == []
