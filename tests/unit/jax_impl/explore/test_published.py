import json
from typing import Any

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


def test_a_missing_number_is_null() -> None:
    line = published.series("zeros", (1, 2), [[0.1, None], [0.2, 0.3]])
    assert line["points"][1] == {"x": 2, "y": None, "low": None, "high": None}
    json.dumps(line, allow_nan=False)


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


def machine(k: int, errors: list[float], likelihood: float) -> dict[str, Any]:
    epochs = [{"epoch": number, "reconstruction_error": error} for number, error in enumerate(errors, start=1)]
    return {"settings": {"k": k}, "log_likelihood": {"test": likelihood}, "epochs": epochs}


def test_the_machines_likelihoods_stand_beside_the_published_ones() -> None:
    machines = {"rbm-cd1": machine(1, [90, 70], -160.5), "rbm-persistent": machine(4, [95, 75], -100.25)}
    (result,) = published.results({"presets": {}, "machines": machines})
    recreation, likelihood = result["charts"]
    assert [[(point["x"], point["y"]) for point in line["points"]] for line in recreation["series"]] == [
        [(1, 90), (2, 70)],
        [(1, 95), (2, 75)],
    ]
    ours = [[(point["x"], point["y"]) for point in line["points"]] for line in likelihood["series"][:2]]
    assert ours == [[(0, 160.5)], [(2, 100.25)]]
    published_points = likelihood["series"][2]["points"]
    assert [(round(2 ** point["x"]), point["y"]) for point in published_points] == [(1, 125.5), (3, 105.5), (25, 86.3)]
    assert published.results({"presets": {}, "machines": {"rbm-cd1": machines["rbm-cd1"]}}) == []


@pytest.mark.skipif(not NUMBERS.exists(), reason="docs/study/numbers.json is missing")
def test_the_recorded_numbers_give_every_chart_and_each_has_its_texts() -> None:
    results = published.results(json.loads(NUMBERS.read_text(encoding="utf-8")))
    assert [result["id"] for result in results] == [*published.CHARTS, "rbm"]
    texts = page.texts_in("en")["published"]
    used = set()
    for result in results:
        assert set(texts[result["id"]]) == {chart["id"] for chart in result["charts"]}
        for chart in result["charts"]:
            assert ("level" in chart) == ("level" in texts[result["id"]][chart["id"]])
            used |= {line["name"] for line in chart["series"]}
            assert all(line["points"] for line in chart["series"])
    assert used == set(texts["names"])
