"""docs/study/numbers.json: what it keeps of a run's folder, and that its words follow from its numbers."""

import json
from pathlib import Path

import pytest

from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.study import grid, manifest, page, presets
from jax_impl.study.presets import preset as published
from jax_impl.study.presets.drawing import draw_preset
from tests.guide import numbers
from tests.guide.tables import GRIDS, NUMBERS


def test_the_file_is_small_and_has_a_line_per_cell() -> None:
    text = numbers.PATH.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert text == numbers.text(NUMBERS) + "\n"
    assert sum(line.startswith('    {"initialiser": ') for line in text.splitlines()) == sum(map(len, GRIDS.values()))


def test_rows_and_advice_follow_from_the_numbers_by_seed() -> None:
    whole = {name: cells for name, cells in GRIDS.items() if all("by seed" in cell for cell in cells)}
    assert "study" in whole
    for name, cells in whole.items():
        rows = [numbers.row_of(cell) for cell in cells]
        assert [page.table_row(row) for row in rows] == [dict(list(cell.items())[:-1]) for cell in cells]
        assert numbers.advice_of(rows) == NUMBERS["grids"][name]["advice"]


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
    manifest.remember(
        out, cells=cells, command=f"python -m jax_impl study --data-dir={tmp_path} --depths 1 --out {out} --seeds 2"
    )
    page.write(out)
    (tmp_path / "tiny.md").write_bytes((out / "study.md").read_bytes())
    preset = presets.PRESETS["not-all-zero"]
    list(published.measure_remaining(preset, [0], small, out))
    manifest.remember(out, measured={preset.name: [0]})
    numbers.collect([out], path)
    found = numbers.load(path)
    of_grid = found["grids"]["tiny"]
    assert of_grid["command"] == "python -m jax_impl study --depths 1 --seeds 2"
    assert [cell["initialiser"] for cell in of_grid["cells"]] == ["zeros", "normal"]
    assert [len(seed) for cell in of_grid["cells"] for seed in cell["by seed"]["test_accuracy"]] == [1, 1, 1, 1]
    numbers.collect([tmp_path / "tiny.md"], path)  # the page in place of the folder
    of_page = numbers.load(path)["grids"]["tiny"]
    assert of_page["cells"] == [{k: v for k, v in cell.items() if k != "by seed"} for cell in of_grid["cells"]]
    assert [of_page[name] for name in ("advice", "measured on")] == [
        of_grid[name] for name in ("advice", "measured on")
    ]
    whole = published.measured_data(preset, [0], out)
    assert whole is not None
    assert found["presets"][preset.name]["checks"] == numbers.checks_of(preset, whole)
    assert draw_preset(preset, found["presets"][preset.name]["parts"]).shown() == draw_preset(preset, whole).shown()
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
