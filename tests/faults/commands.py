"""The commands as processes, small enough to be killed, starved and resumed a hundred times."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.zygote import Forked, Zygote

# A few epochs of sixty steps: a second or two of training, in which three checkpoints an epoch are written.
SMALL = ("--batch-size", "1000", "--checkpoint-every", "20")
REFERENCE = ("--epochs", "2", "--loader", "tensor", "--batch-size", "1000")
GRID = ("--inits", "kaiming_normal,zeros", "--depths", "1", "--width", "16", "--epochs", "3", "--seeds", "1")
MACHINE = ("--hidden", "8", "--epochs", "3", "--batch-size", "1000")
PACKAGES = ("jax_impl", "torch_ref")
ZYGOTES: dict[str, Zygote] = {}  # of the packages whose processes are forked, where they are to start soon

Process = subprocess.Popen[str] | Forked


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of what it complained about."""
        return self.err.splitlines()[-1] if self.err else ""


Results = Mapping[str, object]


def trained(out: Path) -> Results:
    """The results of a training: its metrics without the seconds, and its parameters."""
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = {f"epoch {number}": line.partition(', "seconds"')[0] for number, line in enumerate(lines, start=1)}
    return metrics | {"parameters": hashlib.sha256((out / "params.safetensors").read_bytes()).hexdigest()}


def studied(out: Path) -> Results:
    """The results of a study: its records without seconds and dates, and whether its report exists."""
    records = [json.loads(line) for line in (out / "cells.jsonl").read_text(encoding="utf-8").splitlines()]
    apart = {"seconds", "training_seconds", "made", "where", "sha256"}
    kept = {record["key"]: {name: record[name] for name in sorted(record.keys() - apart)} for record in records}
    return kept | {name: (out / name).exists() for name in ("index.html", "study.md")}


class Task(NamedTuple):
    """A command that writes a folder, and can be repeated or resumed after an interruption."""

    words: tuple[str, ...]
    resume: tuple[str, ...]  # options with which it continues, or starts again; studies just run again
    results: Callable[[Path], Results]
    begun: str = ".lock"  # appears in its folder before it trains; "." is the folder itself


TASKS = {
    "jax_impl": Task(("jax_impl", "train", "--epochs", "3", *SMALL), ("--resume",), trained),
    "torch_ref": Task(("torch_ref", "train", *REFERENCE), ("--overwrite",), trained, begun="."),
    "study": Task(("jax_impl", "study", *GRID), (), studied),
    "rbm": Task(("jax_impl", "rbm", *MACHINE), ("--resume",), trained),
}


def command(task: str, *arguments: str) -> list[str]:
    """Return a task's command line. These arguments replace those of the task: no option may be given twice."""
    words, kept = list(TASKS[task].words), []
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            kept.append(word)
        elif word in arguments:
            words.pop(0)  # its value
        else:
            kept += [word, words.pop(0)]
    return [sys.executable, "-m", *kept, *arguments]


def resumed(task: str, out: Path) -> list[str]:
    return command(task, "--out", str(out), *TASKS[task].resume)


def results(task: str, out: Path) -> Results:
    return TASKS[task].results(out)


def difference(found: Results, expected: Results) -> str:
    """Return the first result that differs, in words; nothing if none does."""
    for name in dict.fromkeys((*expected, *found)):
        if found.get(name) != expected.get(name):
            return f"another result, {name}: {found.get(name)} instead of {expected.get(name)}"[:1000]
    return ""


def start(
    words: Sequence[str], data_dir: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Process:
    """Start a process, in this one's environment and folder unless it is given others."""
    own = {"MNIST_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}
    match words:
        case [sys.executable, "-m", package, *rest] if environment is None and package in ZYGOTES:
            return ZYGOTES[package].start(rest, own)
    return subprocess.Popen(
        words,
        env=(os.environ if environment is None else environment) | own,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )


def ended(process: Process, timeout: float = 120) -> Ended:
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def run(
    words: Sequence[str], data_dir: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Ended:
    return ended(start(words, data_dir, environment, cwd))


def judged(found: Ended, *codes: int) -> str:
    """Return what is wrong with how a process ended: its exit code, or that it did not say why in one line."""
    if found.code not in codes or "Traceback" in found.err or "this is a bug" in found.err:
        return f"exit code {found.code}: {found.err[-400:]}"
    if found.code and (not found.last.startswith("error: ") or found.err.count("error: ") > 1):
        return f"said {found.err[-400:]!r}"
    return ""


def after_the_first_epoch(process: Process) -> str:
    """Wait until a training has printed its first line, and return it."""
    assert process.stdout is not None
    return next(line for line in process.stdout if line.startswith("Epoch"))


def signalled(process: Process, number: signal.Signals, seconds: float) -> Ended:
    """Send a signal so many seconds after the first epoch, and return how the process ended."""
    after_the_first_epoch(process)
    time.sleep(seconds)
    process.send_signal(number)
    return ended(process)


class Undisturbed(NamedTuple):
    """A run to compare with: its folder, and when it began to train and ended, in seconds from its start."""

    out: Path
    begun: float
    over: float


def undisturbed(task: str, work: Path, data_dir: Path) -> Undisturbed:
    out = work / f"whole-{task}"
    for _ in range(2):  # the second finds its programs compiled, as those of the cases will be
        shutil.rmtree(out, ignore_errors=True)
        started, process = time.monotonic(), start(command(task, "--out", str(out)), data_dir)
        until_begun(task, process, out)
        begun = time.monotonic() - started
        found = ended(process)
        assert found.code == 0, found.err
    return Undisturbed(out, begun, time.monotonic() - started)


def until_begun(task: str, process: Process, out: Path) -> None:
    """Wait until a process has taken its folder, a new one."""
    while process.poll() is None and not (out / TASKS[task].begun).exists():
        time.sleep(0.002)
