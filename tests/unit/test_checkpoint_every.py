"""`rbm`, `dbn` and `study` with --checkpoint-every: interrupted within an epoch, resumed to the same results."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import jax_impl.__main__
from jax_impl.data import Mnist
from jax_impl.rbm import outputs
from jax_impl.study import grid as study

Call = Callable[..., tuple[int, list[str], str]]
OVER = "interrupted: --max-seconds 1e-09 are over; "
GO_ON = ": the same command with --resume goes on from there\n"


@pytest.fixture
def call(small: Mnist, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line, called in this process: exit code, lines and complaints; 1,000 images are ten steps."""
    for what_comes_last in ("likelihood", "draw"):  # takes its time, and has tests of its own
        monkeypatch.setattr(outputs, what_comes_last, lambda *_: None)
    monkeypatch.setattr(jax_impl.__main__, "load", lambda data_dir: small)

    def door(*arguments: object) -> tuple[int, list[str], str]:
        monkeypatch.setattr(sys, "argv", ["jax_impl", *map(str, arguments)])
        code = jax_impl.__main__.main()
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return door


def results(out: Path) -> list[object]:
    """Without the seconds."""
    metrics = (out / "metrics.jsonl").read_text(encoding="utf-8")
    return [re.sub(r'"seconds": [^}]*', "", metrics), (out / "params.safetensors").read_bytes()]


@pytest.mark.parametrize("machines", [("rbm", "--hidden", 6, "--persistent"), ("dbn", "--hidden", "6,5")])
def test_machines_go_on_within_an_epoch(machines: tuple[object, ...], call: Call, tmp_path: Path) -> None:
    """Of ten steps: left after four and seven of the first epoch, after it, and after six of the second."""
    whole, out = tmp_path / "whole", tmp_path / "parts"
    command = (*machines, "--epochs", 2 if machines[0] == "rbm" else 1)
    assert call(*command, "--out", whole)[0] == 0
    out.mkdir()
    (out / "samples.png").write_text("of an earlier run", encoding="utf-8")
    one, next_of = f"{out} holds 1 epoch and the machines after it", "of the next"
    held = {
        (4,): f"{out} holds no epochs, and a checkpoint of 4 steps {next_of}",
        (3,): f"{out} holds no epochs, and a checkpoint of 7 steps {next_of}",
        (): one,
        (6,): f"{one}, and a checkpoint of 6 steps {next_of}",
    }
    resume: tuple[str, ...] = ()
    for every, words in held.items():
        cuts = ("--checkpoint-every", *every) if every else ()
        code, lines, err = call(*command, "--out", out, "--max-seconds", "1e-9", *cuts, *resume)
        assert (code, err, len(lines)) == (124, f"{OVER}{words}{GO_ON}", 0 if every else 1)
        resume = ("--resume",)
        assert not (out / "samples.png").exists()
    code, _, err = call(*command, "--out", out)
    assert (code, err.count("holds an unfinished run, 1 of 2 epochs: add --resume")) == (1, 1)
    code, _, err = call(*command, "--out", out, "--resume", "--checkpoint-every", 3)
    assert (code, err) == (0, "")
    assert results(out) == results(whole)


def test_a_study_goes_on_within_an_epoch(call: Call, tmp_path: Path) -> None:
    """Two cells of two runs: the first is left twice within its epoch, the second once."""
    grid = ("study", "--inits", "zeros,xavier_normal", "--depths", 1, "--width", 8, "--seeds", 2, "--epochs", 1)
    whole, out = tmp_path / "whole", tmp_path / "parts"
    assert call(*grid, "--out", whole)[0] == 0
    went_on = []
    for every in (4, 4, None, 8):
        cuts = ("--checkpoint-every", every) if every else ()
        code, lines, err = call(*grid, "--out", out, "--max-seconds", "1e-9", *cuts)
        kept = f"what is finished is kept in {out}: the same command goes on from there"
        assert (code, err) == (124, f"{OVER}{kept}\n")
        went_on += [line for line in lines if line.startswith("going on")]
    code, lines, err = call(*grid, "--out", out)
    assert (code, err) == (0, "")
    went_on += [line for line in lines if line.startswith("going on")]
    assert went_on == [f"going on after epoch 0 of 1, step {step}" for step in (4, 8, 8)]
    found = []
    for folder in (whole, out):
        lines = (folder / study.RECORDS).read_text(encoding="utf-8").splitlines()
        apart = {"seconds", "training_seconds", "made", "where", "sha256"}
        found.append([{name: value for name, value in json.loads(line).items() if name not in apart} for line in lines])
    assert found[0] == found[1]


@pytest.mark.parametrize("command", ["rbm", "dbn", "study"])
@pytest.mark.parametrize("number", [0, -3])
def test_a_number_below_1_is_refused(command: str, number: int, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, lines, err = call(command, "--checkpoint-every", number, "--out", out)
    assert (code, lines) == (2, [])
    assert err == f"error: --checkpoint-every must be an integer >= 1, got {number}\n"
    assert not out.exists()


def test_presets_have_no_checkpoints_within_their_parts(call: Call) -> None:
    code, lines, err = call("study", "--preset", "lsuv", "--checkpoint-every", 5)
    assert (code, lines) == (2, [])
    assert err == "error: --preset keeps whole parts alone: leave out --checkpoint-every\n"


@pytest.mark.parametrize("command", ["rbm", "dbn", "study"])
def test_the_help_names_the_option(command: str, capsys: pytest.CaptureFixture[str], call: Call) -> None:
    with pytest.raises(SystemExit) as stop:
        call(command, "--help")
    assert stop.value.code == 0
    assert "--checkpoint-every N" in capsys.readouterr().out
