"""The figures of the report, and their numbers in tables."""

import base64
import math
import re
import warnings
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.parity import figures
from tests.parity.accuracies import accuracies
from tests.unit.parity_report.made_up import Text, written


def test_figures_are_drawn_twice_with_words(whole: tuple[str, Text, str]) -> None:
    html, text, _ = whole
    images = [attributes for tag, attributes in text.elements if tag == "img"]
    assert len(images) == html.count("<source ") == 5
    assert all(len(attributes["alt"]) > 40 for attributes in images)
    assert html.count("<figcaption>") == 5


@pytest.mark.parametrize("number", [None, 7, 13])
def test_figures_without_numbers_are_left_out(tmp_path: Path, drawn: dict[str, Any], number: int | None) -> None:
    for one in drawn["rungs"]:
        if number is None or one["number"] == number:
            one["data"] = {}
    html, text, _ = written(drawn, tmp_path)
    assert html.count("<figure") == {None: 0, 7: 4, 13: 3}[number]
    assert "15 of 15 rungs pass" in str(text)


def test_figures_bear_what_a_broken_port_measures(tmp_path: Path, drawn: dict[str, Any]) -> None:
    nan = [[math.nan, math.nan], [math.inf, 0.1]]
    drawn["rungs"][11]["data"] = {"float32": [0.0, 0.0], "float64": [math.nan, math.inf, 1e300]}
    drawn["rungs"][12]["data"] |= {"jax": {"cost": nan, "accuracy": nan}, "interval": [-math.inf, math.inf]}
    drawn["rungs"][12]["data"]["difference"] = math.inf
    del drawn["rungs"][12]["data"]["torch"], drawn["rungs"][12]["data"]["notebook"]
    drawn["rungs"][6]["data"]["histograms"][0]["jax"] = [math.nan, math.nan]
    with warnings.catch_warnings(action="error"):
        html, _, _ = written(drawn, tmp_path)
    assert html.count("<figure") == 5


def tables_of(html: str) -> dict[str, list[list[str]]]:
    """The cells of the tables of values by their captions."""
    return {
        unescape(caption): [
            [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row)]
            for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
        ]
        for caption, table in re.findall(r"<caption>(.*?)</caption>(.*?)</table>", html, re.DOTALL)
    }


def test_every_figure_has_its_numbers_in_tables(whole: tuple[str, Text, str]) -> None:
    html, _, _ = whole
    assert html.count('<details class="values">') == html.count("<figure") == 5
    found = tables_of(html)
    assert found["|loss JAX − loss PyTorch|"] == [
        ["training step", "float32", "float64"], ["0", "0", "0"], ["1", "1e-6", "0"], ["2", "0.001", "1e-16"],
    ]  # fmt: skip
    assert found["training cost (nats)"] == [
        ["epoch", "PyTorch, 2 seeds", "JAX, 2 seeds", "printed in the notebook"],
        ["1", "0.25", "0.25", "0.24"],
        ["2", "0.1", "0.1", ""],
    ]
    assert found["test accuracy (%)"] == [
        ["run", "PyTorch", "JAX"], ["mean", "97.000", "97.000"], ["1", "97.500", "97.500"], ["2", "96.500", "96.500"],
    ]  # fmt: skip
    assert found["JAX − PyTorch (percentage points)"][1:] == [
        ["difference", "+0.100"], ["interval, from", "-0.200"], ["interval, to", "+0.300"],
        ["margin, from", "-1.000"], ["margin, to", "+1.000"],
    ]  # fmt: skip
    assert found["density of zeros_"] == [
        ["weight", "PyTorch", "JAX"], ["-1 to 0", "0.5", "0.4"], ["0 to 1", "0.5", "0.6"],
    ]  # fmt: skip
    assert found["seconds per round"] == [
        ["program", "median", "round 1", "round 2"], ["JAX", "1.05", "1", "1.1"], ["PyTorch", "2.25", "2", "2.5"],
    ]  # fmt: skip


def test_a_difference_of_0_is_drawn_as_0(drawn: dict[str, Any]) -> None:
    """In a band of its own below every other number, whatever the smallest of them is."""
    curves = {"float32": [0.0, 1e-6, 1e-3], "float64": [0.0, 3e-26, 1e-16]}
    figure = figures.divergence({**drawn["rungs"][11]["data"], **curves})
    assert figure is not None
    (table,) = figure.shown().tables
    heights = {value.text: int(value.at.split()[1]) for _, row in table.rows for value in row}
    assert list(heights) == ["0", "1e-6", "3e-26", "0.001", "1e-16"]
    assert max(heights, key=lambda text: heights[text]) == "0"  # thousandths from the top
    zeros = {value.at.split()[1] for _, row in table.rows for value in row if value.text == "0"}
    assert len(zeros) == 1
    svg = base64.b64decode(figure.shown().wide).decode()
    assert "exactly" not in svg
    assert re.search(r"<text[^>]*>0</text>", svg)


def test_what_is_off_the_scale_is_named_in_the_table(tmp_path: Path, drawn: dict[str, Any]) -> None:
    drawn["rungs"][11]["data"] = {"float64": [0.0, math.nan, math.inf, 1e300]}
    found = tables_of(written(drawn, tmp_path)[0])
    assert found["|loss JAX − loss PyTorch|"][1:] == [["0", "0"], ["1", "NaN"], ["2", "inf"], ["3", "1e300"]]


def test_means_stand_in_one_row_although_one_side_has_fewer_runs() -> None:
    data = {"torch": {"accuracy": [[0.97], [0.96], [0.98]]}, "jax": {"accuracy": [[0.95], [0.97]]}, "margin": 0.01}
    picture = accuracies(data)
    assert picture is not None
    runs, gap = picture.shown().tables
    assert [[name, *(cell.text for cell in cells)] for name, cells in runs.rows] == [
        ["mean", "97.000", "96.000"], ["1", "97.000", "95.000"], ["2", "96.000", "97.000"], ["3", "98.000", ""],
    ]  # fmt: skip
    assert [name for name, _ in gap.rows] == ["margin, from", "margin, to"]  # no difference was measured
