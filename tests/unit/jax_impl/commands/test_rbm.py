"""The commands `rbm` and `dbn`, end to end, and every foreseeable mistake."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jax_impl.__main__
from jax_impl import interop
from jax_impl.rbm import dbn, outputs

FILES = {
    "config.json", "metrics.jsonl", "params.safetensors",
    "filters.png", "reconstructions.png", "samples.png", "curves.png",
}  # fmt: skip
QUICK = ("--epochs", "1", "--batch-size", "500")


class Door:
    """The command line, called in this process."""

    def __init__(self, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.mnist_dir, self.monkeypatch, self.capsys = mnist_dir, monkeypatch, capsys

    def __call__(self, *arguments: object) -> tuple[int, list[str], str]:
        words = [*map(str, arguments), "--data-dir", str(self.mnist_dir)]
        self.monkeypatch.setattr(sys, "argv", ["jax_impl", *words])
        code = jax_impl.__main__.main()
        out, err = self.capsys.readouterr()
        return code, out.splitlines(), err


@pytest.fixture
def door(mnist_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Door:
    monkeypatch.setattr(outputs, "ANNEALED", 200)  # enough for 16 hidden units
    return Door(mnist_dir, monkeypatch, capsys)


def test_rbm_writes_its_files(door: Door, tmp_path: Path) -> None:
    out = tmp_path / "rbm"
    code, lines, err = door("rbm", "--hidden", 16, "--persistent", "--seed", 3, *QUICK, "--out", out)
    assert (code, err) == (0, "")
    assert lines[0].startswith("RBM 1, epoch   1: pseudo-log-likelihood = -")
    assert lines[1].startswith("log-likelihood of the test images: -")
    assert lines[2:] == [f"written to {out}"]
    assert {path.name for path in out.glob("[!.]*")} == FILES | {"likelihood.json", "checkpoints"}
    (stack,) = interop.load_stack(out / "params.safetensors")
    assert stack.weight.shape == (784, 16)
    (record,) = map(json.loads, (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert f"pseudo-log-likelihood = {record['pseudo_log_likelihood']:.2f} " in lines[0]
    found = json.loads((out / "likelihood.json").read_text(encoding="utf-8"))
    # 206 nats is what the base rates of the pixels give.
    assert -206 < found["test_low"] <= found["test"] <= found["test_high"] < 0
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["hidden"] == [16]
    settings = config["settings"]
    assert (settings["k"], settings["persistent"], settings["seed"], settings["batch_size"]) == (1, True, 3, 500)
    for name in FILES:
        if name.endswith(".png"):
            assert (out / name).read_bytes().startswith(b"\x89PNG")


def test_a_network_starts_from_what_dbn_wrote(door: Door, tmp_path: Path) -> None:
    out, run = tmp_path / "dbn", tmp_path / "run"
    code, lines, err = door("dbn", "--hidden", "500,500", *QUICK, "--out", out)
    assert (code, err) == (0, "")
    assert [line[:16] for line in lines[:2]] == ["RBM 1, epoch   1", "RBM 2, epoch   1"]
    assert {path.name for path in out.glob("[!.]*")} == FILES | {"checkpoints"}
    file = out / "params.safetensors"
    assert door("train", "mnist_dbn", "--dbn", file, "--epochs", 0, "--out", run)[0] == 0
    params = interop.load(run / "params.safetensors", (784, 500, 500, 10))
    for number, rbm in enumerate(interop.load_stack(file), start=1):
        assert (params[f"linear{number}"]["kernel"] == rbm.weight).all()
    code, _, err = door("train", "mnist_nn_deep", "--init", "dbn", "--dbn", file, "--epochs", 0, "--out", run)
    assert (code, err.count("\n")) == (2, 1)
    assert "a DBN of 784-500-500 units does not fit a network of 784-512-512-512-512-10" in err
    assert "its hidden layers need --hidden 512,512,512,512" in err
    code, _, err = door("train", "--dbn", file, "--epochs", 0, "--out", run)
    assert (code, err) == (2, "error: --dbn goes with --init dbn, got --init xavier_uniform\n")
    code, _, err = door("train", "mnist_dbn", "--dbn", run / "params.safetensors", "--out", run)
    assert (code, err.count("\n")) == (1, 1)
    assert "holds no RBMs: name the params.safetensors that `rbm` or `dbn` wrote" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("rbm", "--k", 0), "k must be an integer >= 1, got 0"),
        (("rbm", "--hidden", 0), "hidden must be an integer >= 1, got 0"),
        (("rbm", "--learning-rate", "nan"), "learning rate must be a number from 1e-30 to 1e+30, got nan"),
        (("rbm", "--batch-size", 60001), "batch size must be at most the 60000 training images, got 60001"),
        (("dbn", "--hidden", "500,x"), "hidden must be integers with commas between them, got 500,x"),
        (("dbn", "--hidden", ","), "hidden must name at least one size, got none"),
        (("dbn", "--hidden", "8,0"), "hidden must be an integer >= 1, got 0"),
        (("dbn", "--momentum", 1), "momentum must be a number from 0 to below 1, got 1.0"),
    ],
)
def test_bad_input_gets_one_line_and_writes_nothing(
    door: Door, tmp_path: Path, arguments: tuple[object, ...], expected: str
) -> None:
    out = tmp_path / "out"
    assert door(*arguments, "--out", out) == (2, [], f"error: {expected}\n")
    assert not out.exists() or list(out.glob("[!.]*")) == []


def test_a_learning_rate_too_high_leaves_an_earlier_result_alone(door: Door, tmp_path: Path) -> None:
    out = tmp_path / "rbm"
    small = ("rbm", "--hidden", 4, *QUICK, "--out", out)
    assert door(*small)[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("[!.]*") if path.is_file()}
    code, lines, err = door(*small, "--learning-rate", "1e20")
    assert (code, lines) == (1, [])
    assert "RBM 1 diverged in epoch 1" in err
    assert err.endswith("try --learning-rate 0.1; nothing was written\n")
    assert {path: path.read_bytes() for path in out.rglob("[!.]*") if path.is_file()} == before


def test_without_epochs_the_initial_machines_are_written(door: Door, tmp_path: Path) -> None:
    code, lines, err = door("dbn", "--hidden", "6,5", "--epochs", 0, "--out", tmp_path)
    assert (code, lines, err) == (0, [f"written to {tmp_path}"], "")
    assert [rbm.weight.shape for rbm in interop.load_stack(tmp_path / "params.safetensors")] == [(784, 6), (6, 5)]
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == ""
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("where", ["training", "drawing"])
def test_an_interrupt_keeps_the_epochs_that_were_finished(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    real = dbn.advance_stack

    def two_epochs(*arguments: object) -> Iterator[object]:
        for seen, step in enumerate(real(*arguments)):
            if seen == 3:
                raise KeyboardInterrupt
            yield step

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    if where == "training":
        monkeypatch.setattr(dbn, "advance_stack", two_epochs)
    else:
        monkeypatch.setattr(outputs, "draw", stopped)
    code, lines, err = door("dbn", "--hidden", 4, "--epochs", 3, "--batch-size", 500, "--out", tmp_path)
    epochs = 2 if where == "training" else 3
    resume = ": the same command with --resume goes on from there"
    assert (code, len(lines)) == (130, epochs)
    assert err == f"interrupted: {tmp_path} holds {epochs} epochs and the machines after them{resume}\n"
    assert len((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == epochs
    (rbm,) = interop.load_stack(tmp_path / "params.safetensors")
    assert abs(rbm.weight).max() > 0.1  # a trained one


@pytest.mark.parametrize("more", [(), ("--persistent", "--momentum", "0.5")])
def test_machines_that_are_interrupted_after_every_epoch_end_in_the_same_bits(
    door: Door, tmp_path: Path, more: tuple[object, ...]
) -> None:
    command = ("dbn", "--hidden", "6,5", "--epochs", 2, "--batch-size", 500, *more)
    assert door(*command, "--out", tmp_path / "whole")[0] == 0
    out, resume = tmp_path / "parts", ()
    for epochs in (1, 2, 3):
        code, lines, err = door(*command, "--out", out, "--max-seconds", "1e-9", *resume)
        assert (code, len(lines)) == (124, 1)
        held = "1 epoch and the machines after it" if epochs == 1 else f"{epochs} epochs and the machines after them"
        assert f"over; {out} holds {held}: the same command with --resume" in err
        resume = ("--resume",)
    code, _, err = door(*command, "--out", out)
    assert (code, err.count("holds an unfinished run, 3 of 4 epochs: add --resume")) == (1, 1)
    assert door(*command, "--out", out, "--resume", "--momentum", "0.9")[0] == 2
    code, lines, err = door(*command, "--out", out, "--resume")
    assert (code, len(lines), err) == (0, 2, "")
    ours, theirs = ((side / "params.safetensors").read_bytes() for side in (out, tmp_path / "whole"))
    assert ours == theirs
    ours, theirs = ((side / "metrics.jsonl").read_text(encoding="utf-8") for side in (out, tmp_path / "whole"))
    assert re.sub(r'"seconds": [^}]*', "", ours) == re.sub(r'"seconds": [^}]*', "", theirs)
    assert (out / "samples.png").read_bytes() == (tmp_path / "whole" / "samples.png").read_bytes()
