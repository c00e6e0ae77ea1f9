"""Trainings as processes that are killed, asked to stop and resumed; small enough to be run a hundred times."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Six epochs of sixty steps: under a second of training, in which many checkpoints are written.
SMALL = ("--batch-size", "1000", "--epochs", "6", "--checkpoint-every", "20")
PACKAGES = {"jax_impl": (), "torch_ref": ("--loader", "tensor")}


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


def command(package: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", package, "train", *PACKAGES[package], *SMALL, *arguments]


def start(words: Sequence[str], data_dir: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"MNIST_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], timeout: float = 120) -> Ended:
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out, err)


def run(words: Sequence[str], data_dir: Path) -> Ended:
    return ended(start(words, data_dir))


def after_the_first_epoch(process: subprocess.Popen[str]) -> str:
    """Wait until a training has printed its first line, and return it."""
    assert process.stdout is not None
    return next(line for line in process.stdout if line.startswith("Epoch"))


def signalled(process: subprocess.Popen[str], number: signal.Signals, seconds: float) -> Ended:
    """Send a signal so many seconds after the first epoch, and return how the process ended."""
    after_the_first_epoch(process)
    time.sleep(seconds)
    process.send_signal(number)
    return ended(process)


def results(out: Path) -> tuple[bytes, list[str]]:
    """What a run came to: its parameters, and its metrics without the seconds."""
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return (out / "params.safetensors").read_bytes(), [line.partition(', "seconds"')[0] for line in lines]
