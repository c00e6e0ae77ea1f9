import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from jax_impl.study.presets import preset

CALLS: list[str] = []


def measure(recipe: Recipe, seeds: preset.Seeds, _mnist: Mnist) -> dict[str, Any]:
    CALLS.append(recipe.init)
    return {"numbers": [len(recipe.init) + seed for seed in seeds]}


PRESET = preset.Preset(
    name="made-up",
    title="Made up",
    source="nobody",
    claim="Longer names give larger numbers.",
    parts={init: preset.Part(Recipe(name="made-up", init=init), measure) for init in ("ones", "zeros")},
    checks=lambda data: [preset.check("zeros", data["zeros"]["numbers"], 5, 7, published="counting")],
    draw=lambda figure, data, narrow: None,
    caption="Nothing is drawn.",
)


@pytest.mark.parametrize(
    ("values", "low", "high", "passed"),
    [
        ([1, 2], 1, 2, True),
        ([0.99, 2], 1, 2, False),
        ([1, 2.01], 1, 2, False),
        ([0], 0, 0, True),
        ([1e-300], 0, 0, False),
        ([1, None], 0, 2, False),
        ([math.nan], -math.inf, math.inf, False),
        ([], 0, 1, False),
        ([math.inf], 0, math.inf, True),
    ],
)
def test_every_number_must_lie_in_the_band(values: list[float | None], low: float, high: float, passed: bool) -> None:
    assert preset.check("x", values, low, high, published="").passed is passed


def test_a_check_says_what_it_measured_and_expected() -> None:
    check = preset.check("x", [0.123456, 2], 0.1, published="")
    assert (check.measured, check.band) == ("0.1235 to 2", "at least 0.1")
    assert preset.check("x", [1, None], high=3, published="").measured == "not a number"
    assert preset.check("x", [], high=3, published="")[:4] == ("x", (), -math.inf, 3)
    assert preset.check("x", [], high=3, published="").measured == "nothing"
    assert preset.check("x", [0], 0, 0, published="").band == "exactly 0"
    assert preset.check("x", [0], high=3, published="").band == "at most 3"
    assert preset.check("x", [0], 1, 3, published="").band == "1 to 3"


def test_parts_are_measured_once_and_kept(small: Mnist, tmp_path: Path) -> None:
    CALLS.clear()
    first = next(preset.measure_remaining(PRESET, [1, 2], small, tmp_path))
    assert (first[0], first[2], CALLS) == ("ones", False, ["ones"])
    assert preset.measured_data(PRESET, [1, 2], tmp_path) is None
    again = list(preset.measure_remaining(PRESET, [1, 2], small, tmp_path))
    assert [(label, known) for label, _, known in again] == [("ones", True), ("zeros", False)]
    assert CALLS == ["ones", "zeros"]
    data = preset.measured_data(PRESET, [1, 2], tmp_path)
    assert data == {"ones": {"numbers": [5, 6]}, "zeros": {"numbers": [6, 7]}}
    assert PRESET.checks(data)[0].passed
    assert preset.measured_data(PRESET, [1, 3], tmp_path) is None


def test_another_setting_is_another_part() -> None:
    other = dataclasses.replace(PRESET, parts={"ones": PRESET.parts["ones"]._replace(recipe=Recipe(name="made-up"))})
    keys = {
        preset.record_key(PRESET, "ones", [1]),
        preset.record_key(PRESET, "zeros", [1]),
        preset.record_key(PRESET, "ones", [2]),
    }
    assert len(keys | {preset.record_key(other, "ones", [1])}) == 4
    assert preset.record_key(PRESET, "ones", range(1, 2)) in keys
