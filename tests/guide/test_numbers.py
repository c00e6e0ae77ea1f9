"""docs/study/numbers.json: what it keeps of a run's folder, and that its words follow from its numbers."""

import json
from pathlib import Path

import pytest

from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.study import grid, manifest, presets
from jax_impl.study.presets import preset as published
from jax_impl.study.presets.drawing import draw_preset
from tests.guide import numbers
from tests.guide.tables import GRIDS, NUMBERS


def test_the_file_is_small_and_has_a_line_per_cell() -> None:
    text = numbers.PATH.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert text == numbers.text(NUMBERS) + "\n"
    cells = [cell for one in NUMBERS["grids"].values() for cell in one["cells"]]
    assert sum(line.startswith('    {"init": ') for line in text.splitlines()) == len(cells) > 100


@pytest.mark.parametrize("name", GRIDS)
def test_verdicts_and_accuracies_follow_from_the_numbers(name: str) -> None:
    said = [(cell["verdict"], cell["accuracy"]) for cell in NUMBERS["grids"][name]["cells"]]
    assert said == [(row.verdict, row.accuracy.percent()) for row in GRIDS[name]]


@pytest.mark.parametrize("name", presets.PRESETS)
def test_checks_follow_from_the_numbers_and_the_figure_can_be_drawn(name: str) -> None:
    recorded, preset = NUMBERS["presets"][name], presets.PRESETS[name]
    assert recorded["checks"] == numbers.checks_of(preset, recorded["parts"])
    assert all(check["passed"] for check in recorded["checks"])
    assert draw_preset(preset, recorded["parts"]).png().startswith(b"\x89PNG")


def test_a_study_s_folder_is_collected(tmp_path: Path, small: Mnist) -> None:
    out, path = tmp_path / "tiny", tmp_path / "numbers.json"
    cells = grid.Grid(inits=("zeros", "normal"), depths=(1,), width=8, epochs=1, seeds=2).cells()
    list(grid.run_remaining(cells, small, out))
    manifest.remember(out, cells=cells, command=f"python -m jax_impl study --depths 1 --out {out} --seeds 2")
    preset = presets.PRESETS["not-all-zero"]
    list(published.measure_remaining(preset, [0], small, out))
    manifest.remember(out, measured={preset.name: [0]})
    numbers.collect([out], path)
    found = numbers.load(path)
    of_grid = found["grids"]["tiny"]
    assert of_grid["command"] == "python -m jax_impl study --depths 1 --seeds 2"
    assert [(cell["init"], cell["depth"], cell["width"], len(cell["cost"])) for cell in of_grid["cells"]] == [
        ("zeros", 1, 8, 2),
        ("normal", 1, 8, 2),
    ]
    whole = published.measured_data(preset, [0], out)
    assert whole is not None
    assert found["presets"][preset.name]["checks"] == numbers.checks_of(preset, whole)
    assert draw_preset(preset, found["presets"][preset.name]["parts"]).tables() == draw_preset(preset, whole).tables()
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_a_machine_s_folder_is_added(tmp_path: Path) -> None:
    out, path = tmp_path / "cd", tmp_path / "numbers.json"
    out.mkdir()
    path.write_text('{"grids": {"a": {}}, "presets": {}, "machines": {}}', encoding="utf-8")
    (out / "config.json").write_text('{"settings": {"k": 1}}', encoding="utf-8")
    (out / "likelihood.json").write_text('{"test": -1.5}', encoding="utf-8")
    epoch = {"epoch": 1, "pseudo_log_likelihood": -91.02637100219727, "reconstruction_error": 92.5, "seconds": 1.7}
    (out / "metrics.jsonl").write_text(json.dumps(epoch) + "\n", encoding="utf-8")
    numbers.collect([out], path)
    monitors = {"epoch": 1, "pseudo_log_likelihood": -91.0264, "reconstruction_error": 92.5}
    machine = {"settings": {"k": 1}, "log_likelihood": {"test": -1.5}, "epochs": [monitors]}
    assert numbers.load(path) == {"grids": {"a": {}}, "presets": {}, "machines": {"cd": machine}}


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name the folder of a run"):
        numbers.collect([tmp_path], tmp_path / "numbers.json")
    manifest.remember(tmp_path)
    with pytest.raises(UserError, match="run the study to its end"):
        numbers.collect([tmp_path], tmp_path / "numbers.json")
