import json

import pytest

from jax_impl.explore import page, published
from tests.unit.jax_impl.explore.test_page import NUMBERS, not_all_zero


def test_the_mean_and_range_over_the_seeds() -> None:
    line = published.series("lsuv", (1, 2), [[1, 10], [3, 1000]])
    assert line["color"] == "lsuv"
    assert line["points"] == [{"x": 1, "y": 2, "low": 1, "high": 3}, {"x": 2, "y": 505, "low": 10, "high": 1000}]
    assert published.series("lsuv", (1, 2), [[0, 10], [3, 1000]], logarithmic=True)["points"] == [
        {"x": 1, "y": 0, "low": 0, "high": 3},
        {"x": 2, "y": 100, "low": 10, "high": 1000},
    ]


def test_gradients_after_the_first_epoch() -> None:
    (result,) = published.results({"presets": {"not-all-zero": not_all_zero()}})
    assert result["command"] == "python -m jax_impl study --preset not-all-zero"
    gradient, accuracy = result["charts"]
    zeros, constant = gradient["series"]
    assert [point["y"] for point in zeros["points"]] == [0, 0, 0]
    assert [point["y"] for point in constant["points"]] == [2, 3, 5]
    assert [(point["x"], point["y"]) for point in accuracy["series"][1]["points"]] == [
        (1, pytest.approx(0.15)),
        (2, pytest.approx(0.3)),
    ]


def test_steps_that_were_not_enough_are_above() -> None:
    parts = {
        f"{depth} layers {init}": {"steps": steps, "limit": 300}
        for depth, init, steps in (
            (4, "orthogonal", [40, 44]),
            (64, "orthogonal", [70, 74]),
            (4, "lecun_normal", [50, 60]),
            (64, "lecun_normal", [290, None]),
        )
    }
    ((chart,),) = [
        result["charts"] for result in published.results({"presets": {"orthogonal": {"command": "", "parts": parts}}})
    ]
    orthogonal, gaussian = chart["series"]
    assert chart["high"] == 300
    assert [(point["x"], point["y"]) for point in orthogonal["points"]] == [(2, 42), (6, 72)]
    assert [point["y"] for point in gaussian["points"]] == [55, "above"]


@pytest.mark.skipif(not NUMBERS.exists(), reason="docs/study/numbers.json is missing")
def test_the_recorded_numbers_give_every_chart_and_each_has_its_texts() -> None:
    results = published.results(json.loads(NUMBERS.read_text(encoding="utf-8")))
    assert [result["id"] for result in results] == list(published.CHARTS)
    texts = page.texts_in("en")["published"]
    used = set()
    for result in results:
        assert set(texts[result["id"]]) == {chart["id"] for chart in result["charts"]}
        for chart in result["charts"]:
            assert ("level" in chart) == ("level" in texts[result["id"]][chart["id"]])
            used |= {line["name"] for line in chart["series"]}
            assert all(line["points"] for line in chart["series"])
    assert used == set(texts["names"])
