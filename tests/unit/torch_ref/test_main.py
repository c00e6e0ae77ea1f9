"""The command line of torch_ref: signals, and what they leave in the run folder."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

import torch_ref.__main__
from torch_ref import commands, data, loaders, train

EARLIER = dict.fromkeys(("config.json", "metrics.jsonl", "params.safetensors", "curve.png"), b"earlier")
TENSOR = ("--loader", "tensor", "--overwrite")
SIGNALS = {signal.SIGINT: (130, "interrupted: "), signal.SIGTERM: (143, "interrupted: SIGTERM; ")}


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["torch_ref", *words])
    code = torch_ref.__main__.main()
    return code, *capsys.readouterr()


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture
def out(tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with an earlier run, and 600 images to train on."""
    for name, content in EARLIER.items():
        (tmp_path / name).write_bytes(content)
    mnist_train, mnist_test = data.load(mnist_dir)
    mnist_train.data, mnist_train.targets = mnist_train.data[:600], mnist_train.targets[:600]
    monkeypatch.setattr(data, "load", lambda *_, **__: (mnist_train, mnist_test))
    return tmp_path


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("epochs", [0, 2])
def test_a_signal_keeps_whole_epochs_or_the_earlier_run(
    number: signal.Signals,
    epochs: int,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The signal arrives in the middle of an epoch."""
    real, handler = train.train_epoch, signal.getsignal(number)
    finished: list[dict[str, torch.Tensor]] = []

    def train_epoch(model: torch.nn.Module, optimizer: object, batches: object, device: object) -> object:
        def interrupted() -> Iterator[object]:
            for step, batch in enumerate(batches):  # type: ignore[call-overload]
                if len(finished) == epochs and step == 3:
                    os.kill(os.getpid(), number)
                yield batch

        class Batches(list):  # type: ignore[type-arg]
            __iter__ = lambda _: interrupted()  # noqa: E731
            __len__ = lambda _: len(batches)  # type: ignore[arg-type]  # noqa: E731

        result = real(model, optimizer, Batches(), device)  # type: ignore[arg-type]
        finished.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return result

    monkeypatch.setattr(train, "train_epoch", train_epoch)
    code, lines, err = call(monkeypatch, capsys, "train", "--epochs", "5", *TENSOR, "--out", str(out))
    expected_code, start = SIGNALS[number]
    assert (code, lines.count("\n"), err.count("\n")) == (expected_code, epochs, 1)
    assert signal.getsignal(number) is handler
    if epochs == 0:
        assert err == f"{start}no epoch was finished, and nothing was written\n"
        assert files(out) == EARLIER
        return
    assert err == f"{start}{out} holds the results of 2 of 5 epochs\n"
    assert set(files(out)) == set(EARLIER)
    assert b"earlier" not in files(out).values()
    assert len(files(out)["metrics.jsonl"].splitlines()) == 2
    kept = safetensors.torch.load_file(out / "params.safetensors")
    assert all(torch.equal(kept[name], tensor) for name, tensor in finished[-1].items())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_outside_of_training_ends_in_one_line(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "train", lambda *_: os.kill(os.getpid(), number))
    code, text = SIGNALS[number]
    assert call(monkeypatch, capsys, "train") == (code, "", f"{text.rstrip(' ;:')}\n")


def test_a_training_that_diverges_later_keeps_its_first_epochs(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = train.train_epoch, []

    def train_epoch(*arguments: object) -> object:
        calls.append(real(*arguments))  # type: ignore[arg-type]
        return (float("inf"), []) if len(calls) == 2 else calls[-1]

    monkeypatch.setattr(train, "train_epoch", train_epoch)
    code, _, err = call(monkeypatch, capsys, "train", "--epochs", "3", *TENSOR, "--out", str(out))
    assert code == 1
    assert err.startswith("error: the cost became inf in epoch 2: the learning rate 0.001 is probably too large")
    assert "; try --learning-rate 0.0001; " in err
    assert err.endswith(f"; {out} holds the results of 1 of 3 epochs\n")
    assert len(files(out)["metrics.jsonl"].splitlines()) == 1


def test_debug_shows_the_traceback_and_what_is_kept(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Exception, match="the cost became") as error:
        call(monkeypatch, capsys, "train", "--learning-rate", "1e30", "--out", str(out), "--debug", "--overwrite")
    assert error.value.__notes__ == ["no epoch was finished, and nothing was written"]
    assert files(out) == EARLIER


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            "this command needs torch, which is not installed: run make train-torch",
        ),
        (FileNotFoundError(2, "No usable temporary directory found in []"), "torch needs a writable temporary folder"),
    ],
)
def test_what_torch_needs_is_named(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "train", fail)
    code, lines, err = call(monkeypatch, capsys, "train")
    assert (code, lines, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: {message}")


@pytest.mark.parametrize("error", [ModuleNotFoundError("x", name="x"), FileNotFoundError(2, "x"), ValueError("x\ny")])
@pytest.mark.parametrize("writable", [True, False])
def test_a_bug_is_one_line_and_its_traceback_a_file(
    error: Exception,
    writable: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path if writable else tmp_path / "absent"))
    monkeypatch.setattr(commands, "train", fail)
    code, lines, err = call(monkeypatch, capsys, "train")
    written = list(tmp_path.iterdir())
    where = f"{written[0]} says where" if writable else "add --debug to see where"
    first = str(error).partition("\n")[0]
    line = f"error: this is a bug, {type(error).__name__}: {first}; {where}: report it with the command as an issue\n"
    assert (code, lines, err, len(written)) == (1, "", line, writable)
    if writable:
        assert "in fail" in written[0].read_text()
    with pytest.raises(type(error)):
        call(monkeypatch, capsys, "train", "--debug")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")]
)
def test_too_little_memory_is_no_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "train", fail)
    code, lines, err = call(monkeypatch, capsys, "train")
    assert (code, lines, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: the memory does not suffice ({type(error).__name__}")


def test_a_batch_that_does_not_fit_into_the_memory_is_refused(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    total = (loaders.PROCESS + 4 * (3 * 784 + 4 * 522) * 50.5) / 0.8
    monkeypatch.setattr(loaders.psutil, "virtual_memory", lambda: SimpleNamespace(total=total))
    code, _, err = call(monkeypatch, capsys, "train", "--batch-size", "51", "--out", str(out), "--overwrite")
    assert code == 2
    assert err.startswith("error: batch size must be at most 50 for this machine's memory, got 51; see ")
    assert (
        call(monkeypatch, capsys, "train", "--batch-size", "50", "--epochs", "0", "--out", str(out), "--overwrite")[0]
        == 0
    )


def test_a_late_result_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MNIST_STATUS_SECONDS")
    waits: list[float] = []
    monkeypatch.setattr(torch_ref.__main__.SPOKEN, "wait", lambda seconds: waits.append(seconds) or len(waits) > 2)
    torch_ref.__main__._tell_of_waits()
    assert capsys.readouterr().err == "preparing the data and the network: 0 s so far\n" * 2
    assert waits[0] == 10.0
