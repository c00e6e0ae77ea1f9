"""`python -m jax_impl study`: end to end, gone on with, interrupted, and every foreseeable mistake."""

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jax_impl.__main__
from jax_impl.commands import cli
from jax_impl.recipes import Recipe
from jax_impl.storage import files, records
from jax_impl.study import budget
from jax_impl.study import cells as study_cells
from jax_impl.study import grid as study
from jax_impl.study.presets import preset as evidence
from jax_impl.study.presets import registry

TINY = ("--inits", "xavier_normal,zeros", "--depths", "1,2", "--width", "8", "--seeds", "2", "--epochs", "1")


@pytest.fixture(autouse=True)
def data_there(monkeypatch: pytest.MonkeyPatch, mnist_dir: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("MNIST_DATA_DIR", str(mnist_dir))
    monkeypatch.chdir(tmp_path)


def call(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["jax_impl", "study", *arguments])
    code = jax_impl.__main__.main()
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_study_prints_a_line_a_cell_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-W", "error", "-m", "jax_impl", "study", *TINY]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    first, *cells, shallow, deep, last = result.stdout.splitlines()
    assert re.fullmatch(r"4 of 4 cells to run, about \d+\.\d minutes", first)
    assert re.fullmatch(
        r"xavier_normal, 1 hidden layer, relu, sgd: (trains|crawls), \d\d\.\d\d ± \d\.\d\d % \(.* s\)", cells[0]
    )
    assert re.fullmatch(r"zeros, 2 hidden layers, relu, sgd: dead, 11\.35 ± 0\.00 % \(.* s\)", cells[3])
    assert shallow.startswith("1 hidden layer, relu, sgd: xavier_normal: ")
    assert deep.startswith("2 hidden layers, relu, sgd: ")
    assert last == "written to reports/study/index.html"
    out = tmp_path / "reports" / "study"
    assert {path.name for path in out.iterdir()} == {
        "cells.jsonl",
        "study.json",
        "study.md",
        "index.html",
        "figures",
        ".lock",
    }
    kept = (out / "cells.jsonl").read_bytes()
    code, again, err = call(*TINY, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, err) == (0, "")
    assert [line.endswith("(kept)") for line in again.splitlines()] == [True] * 4 + [False] * 3
    assert (out / "cells.jsonl").read_bytes() == kept


def test_an_interrupt_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, seen = study_cells.run, []

    def interrupted(*arguments: Any, **options: Any) -> list[records.Record]:
        if seen:
            raise KeyboardInterrupt
        seen.append(True)
        return real(*arguments, **options)

    monkeypatch.setattr(study, "run", interrupted)
    code, out, err = call(*TINY, "--out", "here", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 130
    assert len(out.splitlines()) == 2
    assert err == "interrupted: what is finished is kept in here: the same command goes on from there\n"
    assert len(records.load(tmp_path / "here" / study.RECORDS)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--depths", "0"], 2, "depths must be an integer >= 1, got (0,)"),
        (["--depths", "2,three"], 2, "depths must be integers with commas between them, got 2,three"),
        (["--depths", ","], 2, "depths must name at least one, got none"),
        (["--recipes", ","], 2, "recipes must name at least one, got none"),
        (["--activations", "rleu"], 2, "unknown activation 'rleu': did you mean 'relu'?"),
        (["--inits", "xavier"], 2, "unknown init 'xavier': did you mean 'xavier_normal'?"),
        (["--optimizers", "adam,sdg"], 2, "unknown optimizer 'sdg': did you mean 'sgd'?"),
        (["--recipes", "mnist"], 2, "unknown recipe 'mnist': did you mean 'mnist_nn'?"),
        (["--epochs", "-1"], 2, "epochs must be an integer >= 0"),
        (["--seeds", "0"], 2, "seeds must be an integer >= 1"),
        (["--first-seed", "-1"], 2, "seed must be an integer from 0"),
        (["--learning-rate", "0"], 2, "learning rate must be a number from 1e-30"),
        (["--preset", "he-2051"], 2, "unknown preset 'he-2051': did you mean 'he-2015'?"),
        (["--preset", "lsuv", "--depths", "3"], 2, "--preset has its own grid and size: leave out --depths"),
        (["--preset", "lsuv", "--max-hours", "1"], 2, "leave out --max-hours"),
        (["--preset", "lsuv", "--seeds", "0"], 2, "seeds must be an integer >= 1, and first seed from 0 on"),
        (["--preset", "lsuv", "--first-seed", "4294967294"], 2, "all below 4294967296, got 3 and 4294967294"),
        (["--preset", "lsuv", "--first-seed", "-1"], 2, "got 3 and -1"),
        (["--preset", ","], 2, "--preset must name at least one"),
        (["--depths", "30", "--seeds", "1000", "--epochs", "1000"], 2, "hours here, more than --max-hours 12"),
        (["--width", "100000", "--max-hours", "1e9", "--max-gib", "8"], 2, "more than the 8 GiB of --max-gib"),
        (["--out", "text"], 1, "text is a file: name a folder"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_gets_one_line_before_anything_starts(
    arguments: list[str], code: int, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "text").write_text("nothing to see")
    monkeypatch.setattr(study, "run", lambda *_, **__: pytest.fail("a cell was run"))
    monkeypatch.setattr(budget, "measure", lambda: budget.Speed(flop=1e-11, layer=2e-5))
    found, out, err = call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert (found, out) == (code, "")
    assert message in err
    assert re.fullmatch(r"error: .+\n", err)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """In place of every preset one that measures at once, and whose numbers the test sets."""
    numbers = [5]
    preset = evidence.Preset(
        name="orthogonal",
        title="Orthogonal matrices",
        source="nobody",
        claim="Five is five.",
        parts={
            label: evidence.Part(part.recipe, lambda *_: {"steps": numbers, "limit": 9})
            for label, part in registry.PRESETS["orthogonal"].parts.items()
        },
        checks=lambda data: [
            evidence.check("five", data["4 layers orthogonal"]["steps"], 5, 5, published="counting"),
            evidence.check("six", [6], 6, 6, published="counting"),
        ],
    )
    monkeypatch.setattr(registry, "PRESETS", {"orthogonal": preset})
    yield numbers


@pytest.mark.usefixtures("made_up")
def test_a_preset_prints_a_line_a_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call("--preset", "all", "--out", "here", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "orthogonal: Five is five.",
        "  pass  five: 5 (expected exactly 5)",
        "  pass  six: 6 (expected exactly 6)",
        "written to here/index.html",
    ]
    assert (tmp_path / "here" / "figures" / "orthogonal.png").exists()


def test_a_result_that_does_not_come_out_fails_the_command(
    made_up: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up[0] = 4
    code, out, err = call("--preset", "orthogonal", "--out", "here", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 1
    assert "  FAIL  five: 4 (expected exactly 5)" in out
    assert err == (
        "failed: five: measured 4, expected exactly 5\n"
        "error: 1 of 2 published results did not come out; see here/study.md\n"
    )


@pytest.mark.usefixtures("made_up")
def test_grid_and_presets_share_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ["--inits", "zeros", "--depths", "1", "--width", "8", "--seeds", "1", "--epochs", "0", "--out", "here"]
    assert call(*grid, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    assert call("--preset", "orthogonal", "--out", "here", monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    page = (tmp_path / "here" / "index.html").read_text(encoding="utf-8")
    assert "Orthogonal matrices" in page
    assert "Every cell" in page


def test_help_names_every_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        call("--help", monkeypatch=monkeypatch, capsys=capsys)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    options = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(cli.Study)]
    assert [word for word in (*options, *cli.PRESETS) if word not in text] == []


def test_the_help_s_defaults_are_the_grid_s() -> None:
    hints = {name: str(annotation) for name, annotation in cli.Study.__annotations__.items()}
    for name, value in study.AXES.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert f"(default: {'eight of them' if name == 'inits' else text})" in hints[name], name
    assert len(study.AXES["inits"]) == 8
    assert {"adam": Recipe(name="base").learning_rate, "sgd": 0.01} == study.LEARNING_RATES
    assert "(default: 0.001 for adam, 0.01 for sgd)" in hints["learning_rate"]
    assert f"(default: {budget.HOURS:g})" in hints["max_hours"]
    assert (cli.Study().seeds, cli.Study().first_seed) == (study.Grid().seeds, study.Grid().first_seed)


def test_a_folder_in_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    with files.taken(tmp_path / "here"):
        code, out, err = call(*TINY, "--out", "here", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, out) == (1, "")
    owner = rf"process {os.getpid()} on \S+"
    assert re.fullmatch(rf"error: here is in use by {owner}: wait for it, or name another --out\n", err)


def test_a_study_that_is_out_of_time_goes_on_after_its_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ("--inits", "zeros", "--depths", "1", "--width", "8", "--seeds", "1", "--epochs", "2", "--out", "here")
    code, out, err = call(*grid, "--max-seconds", "1e-9", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, len(out.splitlines())) == (124, 1)
    kept = "what is finished is kept in here: the same command goes on from there"
    assert err == f"interrupted: --max-seconds 1e-09 are over; {kept}\n"
    code, out, err = call(*grid, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, err) == (0, "")
    assert "going on after epoch 1 of 2" in out.splitlines()
    assert not (tmp_path / "here" / "checkpoints").exists()
