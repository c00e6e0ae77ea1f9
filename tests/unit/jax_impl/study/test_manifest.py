import json
from pathlib import Path

import pytest

from jax_impl.errors import UserError
from jax_impl.storage import records
from jax_impl.study import manifest
from jax_impl.study.grid import Grid

CELLS = Grid(inits=("zeros", "normal"), depths=(1,), width=8).cells()


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"cells": [1], "presets": {}}', '{"cells": [], "presets": {"lsuv": "all"}}']
)
def test_a_damaged_file_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_text(text)
    with pytest.raises(UserError, match=r"study\.json is damaged: delete it and repeat the command; the records are"):
        manifest.read(tmp_path)


def test_cells_and_presets_are_remembered(tmp_path: Path) -> None:
    manifest.remember(tmp_path, cells=CELLS)
    manifest.remember(tmp_path, measured={"lsuv": [1, 2]})
    manifest.remember(tmp_path, measured={"he-2015": range(3)})
    noted = json.loads((tmp_path / manifest.NAME).read_text(encoding="utf-8"))
    assert noted["cells"] == [cell.key for cell in CELLS]
    assert noted["presets"] == {"lsuv": [1, 2], "he-2015": [0, 1, 2]}


def test_a_new_grid_replaces_the_last_one_and_presets_add_up(tmp_path: Path) -> None:
    assert manifest.read(tmp_path) == {"cells": [], "presets": {}, "commands": {}}
    manifest.remember(tmp_path, cells=CELLS, measured={"lsuv": [1]})
    manifest.remember(tmp_path, cells=CELLS[:1])
    manifest.remember(tmp_path, measured={"lsuv": [2], "he-2015": [1]})
    assert manifest.read(tmp_path) == {
        "cells": [CELLS[0].key],
        "presets": {"lsuv": [2], "he-2015": [1]},
        "commands": {},
    }


def test_the_last_command_of_a_grid_and_of_each_preset_is_remembered(tmp_path: Path) -> None:
    manifest.remember(tmp_path, cells=CELLS, command="study --width 8")
    manifest.remember(tmp_path, measured={"lsuv": [1]}, command="study --preset lsuv")
    manifest.remember(tmp_path, cells=CELLS, command="study --width 9")
    assert manifest.read(tmp_path)["commands"] == {"grid": "study --width 9", "lsuv": "study --preset lsuv"}
    manifest.remember(tmp_path, cells=CELLS)  # an unknown command is not that of the grid before
    assert manifest.read(tmp_path)["commands"] == {"lsuv": "study --preset lsuv"}


def test_a_file_of_an_earlier_version_has_no_commands(tmp_path: Path) -> None:
    content = records.with_checksum({"cells": ["a"], "presets": {}})
    (tmp_path / manifest.NAME).write_text(json.dumps(content))
    assert manifest.read(tmp_path) == {"cells": ["a"], "presets": {}, "commands": {}}
