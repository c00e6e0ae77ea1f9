"""The command `study`: end to end, continued, interrupted, and every foreseeable mistake."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jax_impl.storage import files, records
from jax_impl.study import budget, presets
from jax_impl.study import cells as study_cells
from jax_impl.study import grid as study
from jax_impl.study.presets.preset import Part, Preset, check
from jax_impl.trainer import estimate
from tests.unit.jax_impl.commands.conftest import Call

SMALL = ("--inits", "xavier_normal,zeros", "--width", "8", "--seeds", "2", "--epochs", "1")
TINY = (*SMALL, "--depths", "1,2")
KEPT = "finished work is kept in here: repeat the command to continue"
OUT_OF_TIME = f"interrupted: the limit of --max-seconds 1e-09 is reached; {KEPT}\n"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_a_study_prints_a_line_per_cell_and_continues_where_it_stopped(
    call: Call, tmp_path: Path, mnist_dir: Path
) -> None:
    command = [sys.executable, "-W", "error", "-m", "jax_impl", "study", *SMALL, "--depths", "2"]
    environment = os.environ | {"MNIST_DATA_DIR": str(mnist_dir), "PYTHONPATH": str(Path(__file__).parents[4])}

    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    first, *cells, advice, last = result.stdout.splitlines()
    assert re.fullmatch(r"2 of 2 cells to run, about \d+\.\d minutes", first)
    assert re.fullmatch(
        r"xavier_normal, 2 hidden layers, relu, sgd: (trains|learns slowly), \d\d\.\d\d ± \d+\.\d\d % \(.* s\)",
        cells[0],
    )
    assert re.fullmatch(r"zeros, 2 hidden layers, relu, sgd: dead, 11\.35 ± 0\.00 % \(.* s\)", cells[1])
    assert advice.startswith("2 hidden layers, relu, sgd: ")
    assert last == "written to reports/study/index.html"
    out = tmp_path / "reports" / "study"
    expected = {"cells.jsonl", "study.json", "study.md", "index.html", "figures", ".lock"}
    assert {path.name for path in out.iterdir()} == expected
    kept = (out / "cells.jsonl").read_bytes()
    code, again, err = call("study", *SMALL, "--depths", "2")
    assert (code, err) == (0, "")
    assert [line.endswith("(kept)") for line in again] == [True] * 2 + [False] * 2
    assert (out / "cells.jsonl").read_bytes() == kept


def test_an_interrupt_keeps_the_finished_cells(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = study_cells.run, []

    def interrupted(*arguments: Any, **options: Any) -> list[records.Record]:
        if seen:
            raise KeyboardInterrupt
        seen.append(True)
        return real(*arguments, **options)

    monkeypatch.setattr(study, "run", interrupted)
    code, lines, err = call("study", *TINY, "--out", "here")
    assert (code, len(lines)) == (130, 2)
    assert err == f"interrupted: {KEPT}\n"
    assert len(records.load(tmp_path / "here" / study.RECORDS)) == 1


@pytest.mark.slow
def test_an_interrupt_while_the_report_is_written_loses_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jax_impl.study import page

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    grid = ("study", "--inits", "zeros", "--depths", 1, "--width", 8, "--epochs", 0, "--seeds", 1, "--out", "here")
    with monkeypatch.context() as patch:
        patch.setattr(page, "write", interrupted)
        assert call(*grid)[::2] == (130, f"interrupted: {KEPT}\n")
    assert call(*grid)[::2] == (0, "")
    assert (tmp_path / "here" / "index.html").exists()


@pytest.mark.slow
def test_a_study_that_is_out_of_time_continues_after_its_last_epoch(call: Call, tmp_path: Path) -> None:
    grid = ("study", "--inits", "zeros", "--depths", 1, "--width", 8, "--seeds", 1, "--epochs", 2, "--out", "here")
    code, lines, err = call(*grid, "--max-seconds", "1e-9")
    assert (code, len(lines), err) == (124, 1, OUT_OF_TIME)
    code, lines, err = call(*grid)
    assert (code, err) == (0, "")
    assert "continuing after epoch 1 of 2" in lines
    assert not (tmp_path / "here" / "checkpoints").exists()


@pytest.mark.slow
def test_a_study_that_is_interrupted_within_an_epoch_ends_in_the_same_numbers(call: Call, tmp_path: Path) -> None:
    """Two cells of two runs, of ten steps each: the first is stopped twice within its epoch, the second once."""
    grid = ("study", "--inits", "zeros,xavier_normal", "--depths", 1, "--width", 8, "--seeds", 2, "--epochs", 1)
    assert call(*grid, "--out", "whole")[0] == 0
    continued = []
    for every in (4, 4, None, 8):
        segments = ("--checkpoint-every", every) if every else ()
        code, lines, err = call(*grid, "--out", "here", "--max-seconds", "1e-9", *segments)
        assert (code, err) == (124, OUT_OF_TIME)
        continued += [line for line in lines if line.startswith("continuing")]
    code, lines, err = call(*grid, "--out", "here")
    assert (code, err) == (0, "")
    continued += [line for line in lines if line.startswith("continuing")]
    assert continued == [f"continuing after epoch 0 of 1, step {step}" for step in (4, 8, 8)]
    found = []
    for folder in ("whole", "here"):
        lines = (tmp_path / folder / study.RECORDS).read_text(encoding="utf-8").splitlines()
        apart = {"seconds", "training_seconds", "made", "where", "sha256"}
        found.append([{name: value for name, value in json.loads(line).items() if name not in apart} for line in lines])
    assert found[0] == found[1]


BAD = ("nan", "0", "-1", "-inf")  # numbers that no limit can be


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--depths", "0"], 2, "depths must be an integer from 1 to 10000, got 0"),
        (["--depths", "2,three"], 2, "depths must be integers separated by commas, got 2,three"),
        (["--depths", ","], 2, "depths must be one or more integers separated by commas, got ','"),
        (["--recipes", ","], 2, "recipes must name at least one, got none"),
        (["--activations", "rleu"], 2, "unknown activation 'rleu': did you mean 'relu'?"),
        (["--inits", "xavier"], 2, "unknown init 'xavier': did you mean 'xavier_normal' or 'xavier_uniform'?"),
        (["--optimizers", "adam,sdg"], 2, "unknown optimizer 'sdg': did you mean 'sgd'?"),
        (["--recipes", "mnist"], 2, "unknown recipe 'mnist': did you mean 'mnist_nn'?"),
        (["--epochs", "-1"], 2, "epochs must be an integer from 0 to 2147483647, got -1"),
        (["--seeds", "0"], 2, "seeds must be an integer from 1 to 10000, got 0"),
        (["--first-seed", "-1"], 2, "seed must be an integer from 0"),
        (["--learning-rate", "0"], 2, "learning rate must be a number from 1e-30"),
        (["--preset", "he-2051"], 2, "unknown preset 'he-2051': did you mean 'he-2015'?"),
        (
            ["--preset", "lsuv", "--depths", "3"],
            2,
            "--preset sets its own grid and runs in one process: leave out --depths",
        ),
        (["--preset", "lsuv", "--max-hours", "1"], 2, "leave out --max-hours"),
        (["--preset", "lsuv", "--checkpoint-every", "5"], 2, "leave out --checkpoint-every"),
        (["--preset", "lsuv", "--distributed"], 2, "leave out --distributed"),
        *((["--max-hours", number], 2, f"--max-hours must be a number above 0, got {float(number)}") for number in BAD),
        *((["--max-gib", number], 2, f"--max-gib must be a number above 0, got {float(number)}") for number in BAD),
        (["--bias-init", "zero"], 2, "unknown bias init 'zero': did you mean 'zeros'?"),
        (["--optimizers", "ADAM"], 2, "unknown optimizer 'ADAM': did you mean 'adam'?"),
        (["--out", "."], 2, "--out must be a folder of its own, such as runs/x, got '.'; see python -m jax_impl study"),
        (["--checkpoint-every", "0"], 2, "--checkpoint-every must be an integer from 1 to 2147483647, got 0"),
        (["--preset", "lsuv", "--seeds", "0"], 2, "seeds must be an integer from 1 to 10000, got 0"),
        (
            ["--preset", "lsuv", "--first-seed", "4294967294"],
            2,
            "first seed must be an integer from 0 to 4294967293, got 42",
        ),
        (["--preset", "lsuv", "--first-seed", "-1"], 2, "first seed must be an integer from 0 to 4294967293, got -1"),
        (["--preset", ","], 2, "--preset must name at least one"),
        (["--depths", "30", "--seeds", "1000", "--epochs", "1000"], 2, "hours here, more than --max-hours 12"),
        (["--width", "100000", "--max-hours", "1e9", "--max-gib", "8"], 2, "more than the 8 GiB of --max-gib"),
        (["--out", "text"], 1, "text is a file: name a folder"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_gets_one_line_before_anything_starts(
    words: list[str], code: int, message: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("not a folder", encoding="utf-8")
    monkeypatch.setattr(study, "run", lambda *_, **__: pytest.fail("a cell was run"))
    monkeypatch.setattr(estimate, "measure", lambda: budget.Speed(flop=1e-11, layer=2e-5))
    found, lines, err = call("study", *words)
    assert (found, lines) == (code, [])
    assert message in err
    assert re.fullmatch(r"error: .+\n", err)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """In place of every preset one that measures at once, and whose numbers the test sets."""
    numbers = [5]
    preset = Preset(
        name="orthogonal",
        title="Orthogonal matrices",
        source="nobody",
        claim="Five is five.",
        parts={
            label: Part(part.recipe, lambda *_: {"steps": numbers, "limit": 9})
            for label, part in presets.PRESETS["orthogonal"].parts.items()
        },
        checks=lambda data: [
            check("five", data["4 layers orthogonal"]["steps"], 5, 5, published="counting"),
            check("six", [6], 6, 6, published="counting"),
        ],
        draw=lambda figure, _data, _narrow: figure.subplots(),
        caption="Nothing is drawn.",
    )
    monkeypatch.setattr(presets, "PRESETS", {"orthogonal": preset})
    yield numbers


@pytest.mark.usefixtures("made_up")
def test_a_preset_prints_a_line_per_check(call: Call, tmp_path: Path) -> None:
    code, lines, err = call("study", "--preset", "all", "--out", "here")
    assert (code, err) == (0, "")
    assert lines == [
        "orthogonal: Five is five.",
        "  pass  five: 5 (expected exactly 5)",
        "  pass  six: 6 (expected exactly 6)",
        "written to here/index.html",
    ]
    assert (tmp_path / "here" / "figures" / "orthogonal.png").exists()


def test_a_published_result_that_is_not_reproduced_fails_the_command(made_up: list[int], call: Call) -> None:
    made_up[0] = 4
    code, lines, err = call("study", "--preset", "orthogonal", "--out", "here")
    assert code == 1
    assert "  FAIL  five: 4 (expected exactly 5)" in lines
    assert err == (
        "failed: five: measured 4, expected exactly 5\n"
        "error: 1 of 2 published results were not reproduced; see here/study.md\n"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("made_up")
def test_grid_and_presets_share_a_report(call: Call, tmp_path: Path) -> None:
    grid = ("--inits", "zeros", "--depths", 1, "--width", 8, "--seeds", 1, "--epochs", 0, "--out", "here")
    assert call("study", *grid)[0] == 0
    assert call("study", "--preset", "orthogonal", "--out", "here")[0] == 0
    page = (tmp_path / "here" / "index.html").read_text(encoding="utf-8")
    assert "Orthogonal matrices" in page
    assert "All cells" in page


def test_a_folder_in_use_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with files.locked(tmp_path / "here"):
        code, lines, err = call("study", *TINY, "--out", "here")
    assert (code, lines) == (1, [])
    owner = rf"process {os.getpid()} on \S+"
    assert re.fullmatch(rf"error: here is in use by {owner}: wait for it, or name another --out\n", err)
