"""The commands `rbm` and `dbn`: what they write and keep, and every foreseeable mistake."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jax_impl import interop
from jax_impl.rbm import dbn, outputs
from jax_impl.rbm.files import load_stack
from jax_impl.rbm.likelihood import LogLikelihood
from jax_impl.trainer import devices
from jax_impl.trainer.progress import Progress
from tests.tiers import slow
from tests.unit.jax_impl.commands.conftest import Call

FILES = {
    "config.json", "metrics.jsonl", "params.safetensors",
    "filters.png", "reconstructions.png", "samples.png", "curves.png",
}  # fmt: skip
RESUME = ": repeat the command with --resume to continue\n"


@pytest.fixture(autouse=True)
def few_temperatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "ANNEALED", 200)  # enough for 16 hidden units


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what comes after the training. It takes its time, and has tests of its own."""
    monkeypatch.setattr(outputs, "likelihood", lambda *_: LogLikelihood(-2.0, -2.0, -3.0, -1.0, 1.0))
    monkeypatch.setattr(outputs, "draw", lambda *_: None)


def files(out: Path) -> set[str]:
    return {path.name for path in out.glob("[!.]*")}


def results(out: Path) -> tuple[str, bytes]:
    """The metrics without the seconds, and the parameters."""
    metrics = (out / "metrics.jsonl").read_text(encoding="utf-8")
    return re.sub(r'"seconds": [^}]*', "", metrics), (out / "params.safetensors").read_bytes()


def test_rbm_writes_its_files(call: Call, tmp_path: Path) -> None:
    code, lines, err = call("rbm", "--hidden", 16, "--persistent", "--seed", 3, "--epochs", 5, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert lines[0].startswith("RBM 1, epoch   1: pseudo-log-likelihood = -")
    assert lines[5].startswith("log-likelihood of the test images: -")
    assert lines[6:] == [f"written to {tmp_path}"]
    assert files(tmp_path) == FILES | {"likelihood.json", "checkpoints"}
    (rbm,) = load_stack(tmp_path / "params.safetensors")
    assert rbm.weight.shape == (784, 16)
    first, *rest = map(json.loads, (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert len(rest) == 4
    assert f"pseudo-log-likelihood = {first['pseudo_log_likelihood']:.2f} " in lines[0]
    found = json.loads((tmp_path / "likelihood.json").read_text(encoding="utf-8"))
    # The base rates of the pixels alone give 206 nats.
    assert -206 < found["test_low"] <= found["test"] <= found["test_high"] < 0
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["hidden"] == [16]
    settings = config["settings"]
    assert (settings["k"], settings["persistent"], settings["seed"], settings["batch_size"]) == (1, True, 3, 100)
    for name in FILES:
        if name.endswith(".png"):
            assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_network_starts_from_the_machines_that_dbn_wrote(call: Call, tmp_path: Path) -> None:
    out, run = tmp_path / "dbn", tmp_path / "run"
    code, lines, err = call("dbn", "--hidden", "500,500", "--epochs", 1, "--out", out)
    assert (code, err) == (0, "")
    assert [line[:16] for line in lines[:2]] == ["RBM 1, epoch   1", "RBM 2, epoch   1"]
    assert files(out) == FILES | {"checkpoints"}
    file = out / "params.safetensors"
    assert call("train", "mnist_dbn", "--dbn", file, "--epochs", 0, "--out", run)[0] == 0
    params = interop.load(run / "params.safetensors", (784, 500, 500, 10))
    for number, rbm in enumerate(load_stack(file), start=1):
        assert (params[f"linear{number}"]["kernel"] == rbm.weight).all()
    other = ("--epochs", 0, "--out", tmp_path / "other")
    code, _, err = call("train", "mnist_nn_deep", "--init", "dbn", "--dbn", file, *other)
    assert (code, err.count("\n")) == (2, 1)
    assert "a DBN of 784-500-500 units does not fit a network of 784-512-512-512-512-10" in err
    assert "its hidden layers need --hidden 512,512,512,512" in err
    code, _, err = call("train", "mnist_dbn", "--dbn", run / "params.safetensors", *other)
    assert (code, err.count("\n")) == (1, 1)
    assert "does not hold RBMs: name the params.safetensors that `rbm` or `dbn` wrote" in err


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_a_run_is_not_resumed_from_other_machines(call: Call, tmp_path: Path) -> None:
    """The content of the file counts, not its name."""
    file, run = tmp_path / "dbn" / "params.safetensors", tmp_path / "run"
    machines = ("dbn", "--hidden", "500,500", "--epochs", 0, "--out", file.parent)
    assert call(*machines)[0] == 0
    train = ("train", "mnist_dbn", "--dbn", file, "--epochs", 1, "--out", run)
    assert call(*train)[0] == 0
    assert call(*machines, "--seed", 1, "--overwrite")[0] == 0
    code, _, err = call(*train, "--resume")
    assert (code, err.startswith(f"error: {run} cannot be resumed: its dbn is ")) == (2, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("rbm", "--k", 0), "k must be an integer from 1 to 2147483647, got 0"),
        (("rbm", "--hidden", 0), "hidden must be an integer from 1 to 2147483647, got 0"),
        (("rbm", "--learning-rate", "nan"), "learning rate must be a number from 1e-30 to 1e+30, got nan"),
        (("rbm", "--batch-size", 1001), "batch size must be at most the 1000 training images, got 1001"),
        (("rbm", "--checkpoint-every", 0), "--checkpoint-every must be an integer from 1 to 2147483647, got 0"),
        (("dbn", "--checkpoint-every", -3), "--checkpoint-every must be an integer from 1 to 2147483647, got -3"),
        (("dbn", "--hidden", "500,x"), "hidden must be integers separated by commas, got 500,x"),
        (("dbn", "--hidden", ","), "hidden must be one or more integers separated by commas, got ','"),
        (("dbn", "--hidden", "8,0"), "hidden must be an integer from 1 to 2147483647, got 0"),
        (("dbn", "--momentum", 1), "momentum must be a number from 0 to below 1, got 1.0"),
    ],
)
def test_a_mistake_gets_one_line_and_writes_nothing(
    words: tuple[object, ...], expected: str, call: Call, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, lines, err = call(*words, "--out", out)
    assert (code, lines, err.count("\n")) == (2, [], 1)
    assert err.startswith(f"error: {expected}")
    assert not out.exists() or files(out) == set()


@pytest.mark.usefixtures("no_figures")
def test_a_machine_that_diverges_leaves_an_earlier_result_alone(call: Call, tmp_path: Path) -> None:
    small = ("rbm", "--hidden", 4, "--epochs", 1, "--out", tmp_path)
    assert call(*small)[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("[!.]*") if path.is_file()}
    code, lines, err = call(*small, "--learning-rate", "1e20", "--overwrite")
    assert (code, lines) == (1, [])
    assert "RBM 1 diverged in epoch 1" in err
    assert err.endswith("try --learning-rate 0.1; no epoch was finished, nothing was written\n")
    assert {path: path.read_bytes() for path in tmp_path.rglob("[!.]*") if path.is_file()} == before


@pytest.mark.slow
def test_without_epochs_the_initial_machines_are_written(call: Call, tmp_path: Path) -> None:
    code, lines, err = call("dbn", "--hidden", "6,5", "--epochs", 0, "--out", tmp_path)
    assert (code, lines, err) == (0, [f"written to {tmp_path}"], "")
    assert [rbm.weight.shape for rbm in load_stack(tmp_path / "params.safetensors")] == [(784, 6), (6, 5)]
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == ""
    assert not (tmp_path / "curves.png").exists()


def test_an_interrupt_keeps_the_finished_epochs(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dbn.advance

    def two_epochs(*arguments: object) -> Iterator[Progress]:
        for number, progress in enumerate(real(*arguments)):  # type: ignore[arg-type]
            if number == 3:  # after the untrained machine and two epochs
                raise KeyboardInterrupt
            yield progress

    monkeypatch.setattr(dbn, "advance", two_epochs)
    code, lines, err = call("dbn", "--hidden", 4, "--epochs", 3, "--out", tmp_path)
    assert (code, len(lines)) == (130, 2)
    assert err == f"interrupted: {tmp_path} holds 2 epochs and the machines after them{RESUME}"
    assert len((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    (rbm,) = load_stack(tmp_path / "params.safetensors")
    assert abs(rbm.hidden_bias).max() > 0  # of a trained one


@pytest.mark.slow
@pytest.mark.parametrize("interrupted", ["likelihood", slow("draw")])
def test_an_interrupt_after_the_training_keeps_the_machines(
    interrupted: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    rbm = ("rbm", "--hidden", 4, "--epochs", 2, "--out", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(outputs, interrupted, interrupt)
        code, _, err = call(*rbm)
    note = f"{tmp_path} holds the trained machines: repeat the command with --resume to draw the figures"
    assert (code, err) == (130, f"interrupted: {note}\n")
    before = results(tmp_path)
    code, lines, err = call(*rbm, "--resume")
    assert (code, err, len(lines)) == (0, "", 2)  # the likelihood, and where all is written
    assert results(tmp_path) == before
    assert files(tmp_path) == FILES | {"likelihood.json", "checkpoints"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_estimate_of_the_likelihood_stops_between_its_parts(
    number: signal.Signals, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes most of a minute, within which Python handles no signal until a part is finished."""
    parts: list[int] = []
    real = outputs.log_likelihood

    def signalled(*arguments: Any) -> Any:
        *others, watch = arguments

        def count(done: int) -> None:
            parts.append(done)
            if len(parts) == 2:
                os.kill(os.getpid(), number)
            watch(done)

        return real(*others, count)

    monkeypatch.setattr(outputs, "log_likelihood", signalled)
    code, _, err = call("rbm", "--hidden", 4, "--epochs", 1, "--out", tmp_path)
    note = f"{tmp_path} holds the trained machines: repeat the command with --resume to draw the figures"
    reason = "" if number == signal.SIGINT else "SIGTERM; "
    told = err.replace("Saving. Press Ctrl-C again to quit immediately.\n", "")  # another thread prints this line
    assert (code, told) == (128 + number, f"interrupted: {reason}{note}\n")
    assert parts == [50, 100]
    assert not (tmp_path / "likelihood.json").exists()


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("rbm --hidden 100000000", r"--hidden \d+"),
        ("rbm --k 100000", r"--batch-size \d+ or --k \d+"),
        ("rbm --hidden 1000000 --batch-size 60000", r"--hidden \d+"),
        ("dbn --hidden 500,1000000", r"--hidden \d+"),
    ],
)
def test_machines_that_do_not_fit_into_the_memory_are_refused(
    words: str, remedy: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "memory", lambda: 20 * 2**30)
    code, lines, err = call(*words.split(), "--out", tmp_path / "run")
    assert (code, lines) == (2, [])
    assert re.fullmatch(
        rf"error: this run would need about \S+ GiB of memory, more than .*: use at most {remedy}\n", err
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--persistent", "--momentum", "0.5")])
def test_machines_that_are_interrupted_after_every_epoch_end_in_the_same_bits(
    more: tuple[object, ...], call: Call, tmp_path: Path
) -> None:
    command = ("dbn", "--hidden", "6,5", "--epochs", 2, *more)
    assert call(*command, "--out", tmp_path / "whole")[0] == 0
    out, resume = tmp_path / "parts", ()
    for epochs in (1, 2, 3):
        code, lines, err = call(*command, "--out", out, "--max-seconds", "1e-9", *resume)
        assert (code, len(lines)) == (124, 1)
        held = "1 epoch and the machines after it" if epochs == 1 else f"{epochs} epochs and the machines after them"
        assert err == f"interrupted: the limit of --max-seconds 1e-09 is reached; {out} holds {held}{RESUME}"
        resume = ("--resume",)
    code, _, err = call(*command, "--out", out)
    assert (code, err.count("holds an unfinished run, 3 of 4 epochs: add --resume")) == (1, 1)
    code, _, err = call(*command, "--out", out, "--resume", "--weight-decay", "0.1")
    assert (code, err.count("cannot be resumed: its settings.weight_decay is ")) == (2, 1)
    code, lines, err = call(*command, "--out", out, "--resume")
    assert (code, len(lines), err) == (0, 2, "")
    assert results(out) == results(tmp_path / "whole")
    assert (out / "samples.png").read_bytes() == (tmp_path / "whole" / "samples.png").read_bytes()


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    "machines",
    [("rbm", "--hidden", 6, "--persistent"), slow(("dbn", "--hidden", "6,5"))],
)
def test_machines_that_are_interrupted_within_an_epoch_end_in_the_same_bits(
    machines: tuple[object, ...], call: Call, tmp_path: Path
) -> None:
    """An epoch has ten steps. Stopped after 4 of the first, after it, and after 6 of the second."""
    whole, out = tmp_path / "whole", tmp_path / "parts"
    command = (*machines, "--epochs", 2 if machines[0] == "rbm" else 1)
    assert call(*command, "--out", whole)[0] == 0
    out.mkdir()
    (out / "samples.png").write_text("of an earlier run", encoding="utf-8")
    one, of_next = f"{out} holds 1 epoch and the machines after it", "of the next"
    held = {
        (4,): f"{out} holds no epochs, and a checkpoint of 4 steps {of_next}",
        (): one,
        (6,): f"{one}, and a checkpoint of 6 steps {of_next}",
    }
    resume: tuple[str, ...] = ("--overwrite",)
    for every, words in held.items():
        segments = ("--checkpoint-every", *every) if every else ()
        code, lines, err = call(*command, "--out", out, "--max-seconds", "1e-9", *segments, *resume)
        assert (code, len(lines)) == (124, 0 if every else 1)
        assert err == f"interrupted: the limit of --max-seconds 1e-09 is reached; {words}{RESUME}"
        resume = ("--resume",)
        assert not (out / "samples.png").exists()
    code, _, err = call(*command, "--out", out)
    assert (code, err.count("holds an unfinished run, 1 of 2 epochs: add --resume")) == (1, 1)
    code, _, err = call(*command, "--out", out, "--resume", "--checkpoint-every", 3)
    assert (code, err) == (0, "")
    assert results(out) == results(whole)
