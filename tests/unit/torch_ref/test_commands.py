"""The commands `train` and `evaluate` of torch_ref; tests/unit/test_commands.py compares them with jax_impl's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

import torch_ref.__main__

OPTIONS = {
    "train": "--epochs --seed --init --activation --optimizer --init-passes --batch-size --learning-rate --dtype "
    "--loader --threads --data-dir --out --overwrite --debug",
    "evaluate": "--params --activation --data-dir --debug",
}


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["torch_ref", *map(str, words)])
    code = torch_ref.__main__.main()
    return code, *capsys.readouterr()


def test_without_epochs_the_initial_parameters_are_written(
    tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "mnist_nn_zeros", "--epochs", 0, "--out", tmp_path, "--data-dir", mnist_dir)
    code, _, err = call(monkeypatch, capsys, *words)
    assert (code, err) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "metrics.jsonl", "params.safetensors"}
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == ""
    assert not any(tensor.any() for tensor in safetensors.torch.load_file(tmp_path / "params.safetensors").values())


def test_a_run_that_diverges_writes_nothing(
    tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "--learning-rate", "1e30", "--batch-size", 6000, "--loader", "tensor")
    code, out, err = call(monkeypatch, capsys, *words, "--out", tmp_path, "--data-dir", mnist_dir)
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"error: the cost became (nan|inf) in epoch 1.*learning rate 1e\+30 .*"
        r"no epoch was finished, and nothing was written\n",
        err,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["train", "--threads", "0"], ["train", "--resume"]])
def test_a_mistake_in_an_option_of_its_own_gets_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(monkeypatch, capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(
        (
            "error: threads must be an integer from 1 to 1024, got 0; see python -m torch_ref train --help",
            "error: unknown option --resume",
        )
    )


@pytest.mark.parametrize("command", [[], *[[name] for name in OPTIONS]])
def test_the_help_names_every_option(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, capsys, *command, "--help")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    wanted = ["RECIPE", "mnist_nn_deep", *OPTIONS[command[0]].split()] if command else [*OPTIONS]
    assert [word for word in wanted if word not in text] == []


@pytest.mark.slow
def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path, mnist_dir: Path) -> None:
    words = "train --epochs 2 --batch-size 6000 --loader tensor"
    train = f"{sys.executable} -m torch_ref {words} --out {tmp_path} --data-dir {mnist_dir} | true"
    result = subprocess.run(["bash", "-c", train], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("", "")
    assert (tmp_path / "params.safetensors").exists()  # the first epoch's
