"""Every result is one file with one preset, its figure follows the data, and the documented tables are its checks."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from jax_impl.study import presets
from jax_impl.study.presets import PRESETS
from jax_impl.study.presets.drawing import draw_preset
from jax_impl.study.presets.preset import Preset
from tests.unit.jax_impl.study.presets.made_up import made_up_data

FOLDER = Path(presets.__file__).parent
SHARED = {"__init__", "preset", "measures", "drawing"}
RESULTS = sorted({path.stem for path in FOLDER.glob("*.py")} - SHARED)
DOCUMENTS = Path(__file__).parents[5] / "docs" / "study"


@pytest.mark.parametrize("result", RESULTS)
def test_every_file_of_a_result_holds_one_preset(result: str) -> None:
    module = importlib.import_module(f"{presets.__name__}.{result}")
    assert [name for name, value in vars(module).items() if isinstance(value, Preset)] == ["PRESET"]
    assert module.PRESET.name.replace("-", "_") == result
    assert PRESETS[module.PRESET.name] is module.PRESET


def test_every_preset_has_a_file() -> None:
    assert sorted(name.replace("-", "_") for name in PRESETS) == RESULTS


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_chart_of_a_preset_has_its_table(name: str) -> None:
    preset, figure = PRESETS[name], Figure()
    preset.draw(figure, made_up_data(preset), False)
    tables = draw_preset(preset, made_up_data(preset)).shown().tables
    assert len(tables) == len(figure.axes) > 0
    for table in tables:
        assert sum(bool(value.at) for _, values in table.rows for value in values) > 1


def test_an_error_of_0_percent_is_drawn_as_0() -> None:
    preset = PRESETS["pretraining"]
    data = made_up_data(preset)
    data["dbn"]["test_accuracy"] = [[1.0 for _ in shares] for shares in data["dbn"]["test_accuracy"]]
    table = draw_preset(preset, data).shown().tables[0]
    assert table.title == "test error (%)"
    lowest = max(int(value.at.split()[1]) for _, row in table.rows for value in row if value.text not in ("0", ""))
    zeros = [value.at.split()[1] for _, row in table.rows for value in row if value.text == "0"]
    assert len(zeros) == len(table.rows)
    assert all(int(height) > lowest for height in zeros)  # thousandths from the top


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_s_figure_shows_the_data(name: str) -> None:
    preset = PRESETS[name]
    first, again, other = (draw_preset(preset, made_up_data(preset, seed)) for seed in (0, 0, 1))
    assert first.png().startswith(b"\x89PNG")
    shown = first.shown()
    assert shown == again.shown()
    for one, of_other in zip(shown, other.shown(), strict=True):  # both widths, and the tables
        assert one != of_other
    assert (first.key, first.title, first.caption) == (name, preset.title, preset.caption)


def test_the_presets_can_be_listed_without_matplotlib() -> None:
    program = "import sys, jax_impl.study.presets; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("name", PRESETS)
def test_the_documented_table_is_the_preset_s(name: str) -> None:
    preset = PRESETS[name]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(DOCUMENTS.glob("*.md")))
    (section,) = re.findall(rf"^## {re.escape(preset.title)} \(`{name}`\)\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert f"\n{preset.claim} Source: {preset.source}.\n" in section
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", section, re.M)]
    documented = [(check, band, published) for check, _, band, _, published in rows[2:]]
    assert documented == [(check.name, check.band, check.published) for check in preset.checks(made_up_data(preset))]
