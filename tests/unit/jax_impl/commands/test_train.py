"""The command `train`: what it computes, writes and keeps."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy

from jax_impl import draws, recipes, train
from jax_impl.commands import train as train_command
from jax_impl.data import Mnist
from jax_impl.interop import to_torch
from jax_impl.starts.replayed import replayed
from jax_impl.trainer import devices, estimate, one_run, saving
from tests.unit.jax_impl.commands.conftest import Call

STREAMS = {"torch": replayed, "jax": draws.native}
NOTHING = "no epoch was finished, nothing was written\n"


def files(out: Path) -> set[str]:
    return {path.name for path in out.glob("[!.]*")}


def metrics(out: Path) -> list[dict[str, float]]:
    """Each epoch's metrics without the seconds."""
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def params(out: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = safetensors.numpy.load_file(out / "params.safetensors")
    return found


def checkpoints(out: Path) -> list[str]:
    return sorted(path.stem.lstrip("0") for path in (out / "checkpoints").glob("*.safetensors"))


def assert_same_results(one: Path, other: Path) -> None:
    assert metrics(one) == metrics(other)
    for name, tensor in params(one).items():
        np.testing.assert_array_equal(tensor, params(other)[name], strict=True)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("more", [{}, {"dtype": "float64", "optimizer": "sgd", "init": "kaiming_normal"}])
def test_train_computes_the_bits_of_fit(
    stream: str, more: dict[str, str], call: Call, small: Mnist, tmp_path: Path
) -> None:
    options = [word for name, value in more.items() for word in (f"--{name}", value)]
    code, lines, err = call("train", "mnist_nn_he", "--epochs", 3, "--stream", stream, *options, "--out", tmp_path)
    assert (code, err) == (0, "")
    recipe = recipes.named("mnist_nn_he").with_changes(epochs=3, **more)
    with jax.enable_x64(recipe.dtype == "float64"):
        fitted = list(train.fit(recipe, small, STREAMS[stream](recipe, len(small.train_images))))
    assert metrics(tmp_path) == [
        {"epoch": record.epoch, "cost": record.cost, "test_accuracy": record.test_accuracy} for record, _ in fitted
    ]
    expected = to_torch(fitted[-1][1].params)
    assert params(tmp_path).keys() == expected.keys()
    for name, tensor in params(tmp_path).items():
        np.testing.assert_array_equal(tensor, expected[name], strict=True)
        assert tensor.dtype == recipe.dtype
    printed = [str(record).rpartition("  (")[0] for record, _ in fitted]
    assert [line.rpartition("  (")[0] for line in lines[:3]] == printed
    assert lines[3:] == ["Learning finished", f"written to {tmp_path}"]


def test_without_epochs_the_initial_parameters_are_written(call: Call, tmp_path: Path) -> None:
    """They replace an earlier run and its checkpoint, from which nobody must continue."""
    assert call("train", "mnist_nn_zeros", "--epochs", 1, "--out", tmp_path)[0] == 0
    assert files(tmp_path) == {"config.json", "metrics.jsonl", "params.safetensors", "curve.png", "checkpoints"}
    code, _, err = call("train", "mnist_nn_zeros", "--epochs", 0, "--overwrite", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert files(tmp_path) == {"config.json", "metrics.jsonl", "params.safetensors"}
    assert metrics(tmp_path) == []
    assert not any(tensor.any() for tensor in params(tmp_path).values())


def test_jax_s_own_stream_differs_from_torch_s_and_repeats(call: Call, tmp_path: Path) -> None:
    contents = []
    for number, stream in enumerate(("jax", "jax", "torch")):
        out = tmp_path / str(number)
        assert call("train", "--stream", stream, "--epochs", 0, "--out", out)[0] == 0
        assert json.loads((out / "config.json").read_text(encoding="utf-8"))["stream"] == stream
        contents.append((out / "params.safetensors").read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.slow
def test_a_checkpoint_is_written_at_most_every_ten_seconds_and_at_the_end(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch has ten steps. The clock of the checkpoints moves by some seconds each time it is read."""
    saved: list[int] = []
    real = saving.Checkpoints.save

    def save(self: saving.Checkpoints, step: int, *content: object) -> None:
        saved.append(step)
        real(self, step, *content)  # type: ignore[arg-type]

    monkeypatch.setattr(saving.Checkpoints, "save", save)
    assert call("train", "--epochs", 5, "--out", tmp_path / "quick")[0] == 0
    assert saved == [50]
    clock = {"seconds": 0.0}

    def monotonic() -> float:
        clock["seconds"] += 4.0
        return clock["seconds"]

    monkeypatch.setattr(saving, "time", SimpleNamespace(monotonic=monotonic))
    saved.clear()
    assert call("train", "--epochs", 5, "--out", tmp_path / "slow")[0] == 0
    assert saved == [30, 50]  # 12 s after the start, and at the end
    saved.clear()
    assert call("train", "--epochs", 2, "--checkpoint-every", 4, "--out", tmp_path / "every")[0] == 0
    assert saved == [4, 8, 10, 14, 18, 20]
    assert checkpoints(tmp_path / "every") == ["18", "20"]  # the last two are kept


def test_a_run_resumed_after_an_epoch_ends_in_the_same_bits(call: Call, tmp_path: Path) -> None:
    """Two epochs by the plain path, stopped after each; the last two by the engine."""
    command = ("train", "--stream", "torch", "--epochs", 4)
    assert call(*command, "--out", tmp_path / "whole")[0] == 0
    out, resume = tmp_path / "parts", ()
    for epoch in (1, 2, 3):
        code, lines, err = call(*command, "--out", out, "--max-seconds", "1e-9", *resume)
        assert (code, len(lines), checkpoints(out)[-1]) == (124, 1, f"{epoch}0")
        held = "1 epoch and the parameters after it" if epoch == 1 else f"{epoch} epochs and the parameters after them"
        reason = "the limit of --max-seconds 1e-09 is reached"
        assert err == f"interrupted: {reason}; {out} holds {held}: repeat the command with --resume to continue\n"
        assert (out / "curve.png").exists()
        resume = ("--resume",)
    code, lines, err = call(*command, "--out", out)
    line = (
        f"error: {out} holds an unfinished run, 3 of 4 epochs: add --resume to continue it, --overwrite to replace it"
    )
    assert (code, lines, err) == (1, [], f"{line}, or name another --out\n")
    assert call(*command, "--out", out, "--resume")[::2] == (0, "")
    assert_same_results(out, tmp_path / "whole")


@pytest.mark.parametrize("stop", ["time", "signal"])
def test_many_passes_of_the_init_cell_can_be_stopped(
    stop: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take minutes before the first epoch."""
    passes: list[int] = []
    real = train_command.replayed

    def watched(*arguments: Any, watch: Any) -> Any:
        def count(done: int) -> None:
            passes.append(done)
            if stop == "signal" and done == 3:
                os.kill(os.getpid(), signal.SIGINT)
            watch(done)

        return real(*arguments, watch=count)

    monkeypatch.setattr(train_command, "replayed", watched)
    limit = ("--max-seconds", "1e-9") if stop == "time" else ()
    code, lines, err = call("train", "--init-passes", 100_000, "--out", tmp_path, *limit)
    reason = ": the limit of --max-seconds 1e-09 is reached" if stop == "time" else ""
    assert (code, lines, err) == (124 if limit else 130, [], f"interrupted{reason}\n")
    assert passes == ([1] if limit else [1, 2, 3])


def test_a_batch_that_does_not_fit_into_the_memory_is_refused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "memory", lambda: 2 * 2**30)
    code, lines, err = call("train", "mnist_nn_deep", "--batch-size", 60_000)
    assert (code, lines) == (2, [])
    assert re.fullmatch(r"error: this run would need about .* GiB .*: use at most --batch-size \d+\n", err)
    assert call("train", "--batch-size", 10**9)[2].endswith("at most the 60000 training images, got 1000000000\n")


def test_a_long_run_is_announced(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "measure", lambda: estimate.Speed(1e-9, 0.0))
    monkeypatch.setattr(one_run, "advance", lambda *_, **__: iter(()))
    code, _, err = call("train", "--epochs", 10**6, "--out", tmp_path)
    hours = 1e-9 * 6 * 100 * (784 * 256 + 256 * 256 + 256 * 10) * 600 * 1e6 / 3600
    told = f"the whole run takes about {hours:.3g} hours here: Ctrl-C saves it, and --resume continues it\n"
    assert (code, err) == (0, told)


def test_a_run_resumed_within_an_epoch_ends_in_the_same_bits(call: Call, tmp_path: Path) -> None:
    command = ("train", "--stream", "jax", "--epochs", 2)
    assert call(*command, "--out", tmp_path / "whole")[0] == 0
    out, resume = tmp_path / "parts", ()
    for every, held in ((4, "no epochs, and a checkpoint of 4 steps"), (3, "no epochs, and a checkpoint of 7 steps")):
        code, lines, err = call(*command, "--out", out, "--max-seconds", "1e-9", "--checkpoint-every", every, *resume)
        assert (code, lines) == (124, [])
        assert err.endswith(f"; {out} holds {held} of the next: repeat the command with --resume to continue\n")
        resume = ("--resume",)
    assert call(*command, "--out", out, "--resume")[::2] == (0, "")
    assert_same_results(out, tmp_path / "whole")


def test_a_finished_run_can_be_prolonged_but_not_shortened(call: Call, tmp_path: Path) -> None:
    assert call("train", "--epochs", 3, "--out", tmp_path / "whole")[0] == 0
    out = tmp_path / "parts"
    assert call("train", "--epochs", 2, "--out", out)[0] == 0
    code, lines, err = call("train", "--epochs", 1, "--out", out, "--resume")
    line = f"error: {out} has reached epoch 2: --epochs must not be less, got 1\n"
    assert (code, lines, err) == (2, [], line)
    assert call("train", "--epochs", 3, "--out", out, "--resume")[0] == 0
    assert_same_results(out, tmp_path / "whole")
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["recipe"]["epochs"] == 3


def test_resuming_with_other_settings_is_refused(call: Call, tmp_path: Path) -> None:
    assert call("train", "--epochs", 1, "--out", tmp_path)[0] == 0
    for option, words in {
        "--seed 5": "its recipe.seed is 777, not 5",
        "--dtype float64": 'its recipe.dtype is "float32", not "float64"',
        "--init kaiming_uniform": 'its recipe.init is "xavier_uniform", not "kaiming_uniform"',
        "--stream jax": 'its stream is "torch", not "jax"',
    }.items():
        code, lines, err = call("train", "--epochs", 1, *option.split(), "--out", tmp_path, "--resume")
        remedy = "use the settings it was started with, or another --out"
        assert (code, lines, err) == (2, [], f"error: {tmp_path} cannot be resumed: {words}; {remedy}\n")


def test_with_nothing_to_resume_a_run_starts(call: Call, tmp_path: Path) -> None:
    code, lines, err = call("train", "--epochs", 1, "--out", tmp_path, "--resume")
    assert (code, err) == (0, f"nothing to resume in {tmp_path}: starting\n")
    assert len(lines) == 3


def test_a_damaged_checkpoint_gives_way_to_the_one_before(call: Call, tmp_path: Path) -> None:
    """Truncated, or another kind of file: the run ends in the same bits. If all are damaged, it is refused."""
    command = ("train", "--epochs", 2)
    assert call(*command, "--out", tmp_path / "whole")[0] == 0
    out = tmp_path / "parts"
    stopped = (*command, "--out", out, "--checkpoint-every", 2, "--max-seconds", "1e-9")
    assert call(*stopped)[0] == call(*stopped, "--resume")[0] == 124
    first, second = sorted((out / "checkpoints").iterdir())
    second.write_bytes((tmp_path / "whole" / "params.safetensors").read_bytes())
    code, _, err = call(*command, "--out", out, "--resume")
    assert (code, err) == (0, f"checkpoint {second} is damaged: renamed to {second.name}.damaged\n")
    assert_same_results(out, tmp_path / "whole")
    for path in (out / "checkpoints").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    code, lines, err = call(*command, "--out", out, "--resume")
    assert (code, lines) == (1, [])
    assert err.splitlines()[-1] == (
        f"error: all checkpoints in {first.parent} are damaged: start again without --resume"
    )


def test_a_dbn_file_that_is_missing_gets_one_line(call: Call, tmp_path: Path) -> None:
    path, out = tmp_path / "absent.safetensors", tmp_path / "out"
    code, lines, err = call("train", "mnist_dbn", "--dbn", path, "--out", out)
    assert (code, lines, out.exists()) == (1, [], False)
    assert err == f"error: cannot read {path}: No such file or directory; name a params.safetensors file\n"


def test_a_run_that_diverges_writes_nothing(call: Call, tmp_path: Path) -> None:
    code, lines, err = call("train", "--learning-rate", "1e30", "--out", tmp_path)
    assert (code, lines) == (1, [])
    assert re.fullmatch(
        r"error: the cost became (nan|inf) in epoch 1, step \d+: the learning rate 1e\+30 or the initial weights are "
        rf"probably too large; try --learning-rate 0\.001; {NOTHING}",
        err,
    )
    assert files(tmp_path) == set()


def test_a_run_that_diverges_later_keeps_its_epochs_and_cannot_be_resumed(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, checked = train.check_finite, []

    def check_finite(epoch: int, *rest: object) -> None:
        checked.append(epoch)
        real(epoch, *(rest if epoch < 2 else (np.array([np.nan]), *rest[1:])))  # type: ignore[arg-type]

    monkeypatch.setattr(train, "check_finite", check_finite)
    code, lines, err = call("train", "--epochs", 3, "--out", tmp_path)
    assert (code, len(lines), checked) == (1, 1, [1, 2])
    assert err.endswith(f"; {tmp_path} holds 1 epoch and the parameters after it\n")
    assert files(tmp_path) == {"config.json", "metrics.jsonl", "params.safetensors", "curve.png"}
    assert len(metrics(tmp_path)) == 1


@pytest.mark.parametrize("epochs", [0, 2])
def test_an_interrupt_keeps_the_finished_epochs(
    epochs: int, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised by the training itself, as by the second of two handlers; without an epoch an earlier run stays."""
    real: Callable[..., Iterator[one_run.Progress]] = one_run.advance
    yielded: list[np.ndarray] = []

    def interrupted(*arguments: object, **keywords: object) -> Iterator[one_run.Progress]:
        course = real(*arguments, **keywords)
        while len(yielded) < epochs:
            progress = next(course)
            yielded.append(progress.state.params["linear2"]["kernel"][0].T.copy())
            yield progress
        raise KeyboardInterrupt

    (tmp_path / "curve.png").write_text("earlier", encoding="utf-8")
    monkeypatch.setattr(one_run, "advance", interrupted)
    code, _, err = call("train", "--out", tmp_path, "--overwrite")
    assert code == 130
    if epochs == 0:
        assert err == f"interrupted: {NOTHING}"
        assert files(tmp_path) == {"curve.png"}
        assert (tmp_path / "curve.png").read_text(encoding="utf-8") == "earlier"
        return
    held = f"{tmp_path} holds 2 epochs and the parameters after them"
    assert err == f"interrupted: {held}: repeat the command with --resume to continue\n"
    assert len(metrics(tmp_path)) == 2
    assert checkpoints(tmp_path) == ["20"]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(params(tmp_path)["linear2.weight"], yielded[-1])
