"""Two and four processes on loopback: they compute what one process computes, and end together."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from jax_impl.storage import records
from jax_impl.study import grid

pytestmark = pytest.mark.slow

GRID = ("--inits", "xavier_normal,zeros", "--depths", "1", "--width", "8", "--seeds", "2", "--epochs", "2")
LONGER = (*GRID[:2], "--depths", "1,8", *GRID[4:])
TRAINING = ("train", "--epochs", "2", "--dtype", "float64", "--batch-size", "1000", "--out", "train")
LIMIT = 60  # seconds in which the other processes must end
# Gloo prints a line for each device in pieces, so the lines of two devices mix: one may be left with a number alone.
GLOO = r"(?:\[Gloo\] Rank |\d+| is connected to | peer ranks\. |Expected number of connected peer ranks is : )*\n"
REMEDY = "start all of them again; finished cells and checkpoints are kept"
# Fields of a record that hold times, not results.
CLOCK = ("made", "seconds", "training_seconds")


@pytest.fixture(autouse=True)
def data_there(mnist_dir: Path, tmp_path: Path) -> Iterator[None]:
    with standing_in(tmp_path, mnist_dir):
        yield


@contextlib.contextmanager
def standing_in(folder: Path, mnist_dir: Path) -> Iterator[None]:
    """Processes that are started in this context work in `folder` and find MNIST."""
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("MNIST_DATA_DIR", str(mnist_dir))
        yield


def start(count: int, *arguments: str) -> list[subprocess.Popen[str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jax_impl", *arguments, "--distributed", "--coordinator", f"127.0.0.1:{port}"]
    # One thread each, since four processes share the cores.
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "2" if count == 2 else "1", "NPROC": "1"}
    return [
        subprocess.Popen(
            [*command, "--processes", str(count), "--process-id", str(rank)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def ended(processes: Sequence[subprocess.Popen[str]], timeout: float = 180) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each, without the lines that Gloo prints by itself."""
    results = [process.communicate(timeout=timeout) for process in processes]
    return [
        (process.returncode, "".join(line for line in out.splitlines(True) if not re.fullmatch(GLOO, line)), err)
        for process, (out, err) in zip(processes, results, strict=True)
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> Iterator[Callable[[], Path]]:
    """A study and a training in one process with one device each. They run until a test calls the function."""
    root = tmp_path_factory.mktemp("alone")
    commands = (("study", *GRID, "--out", "study"), TRAINING)
    with standing_in(root, mnist_dir):
        processes = [subprocess.Popen([sys.executable, "-m", "jax_impl", *arguments]) for arguments in commands]

    def done() -> Path:
        assert [process.wait(timeout=180) for process in processes] == [0, 0]
        return root

    yield done
    for process in processes:
        process.wait()


def results(out: Path) -> dict[str, records.Record]:
    found = records.load(out / grid.RECORDS)
    return {key: {name: value for name, value in one.items() if name not in CLOCK} for key, one in found.items()}


@pytest.mark.parametrize("count", [2, 4])
def test_a_study_of_processes_is_that_of_one(count: int, alone: Callable[[], Path]) -> None:
    """Four runs on four devices, of two processes or four. Two epochs, since the state stays on the devices between."""
    lead, *others = ended(start(count, "study", *GRID, "--out", "study"))
    assert lead[0] == 0, (lead, others)
    assert [(code, out) for code, out, _ in others] == [(0, "")] * (count - 1)
    assert len(re.findall(r"^\w+, 1 hidden layer", lead[1], re.MULTILINE)) == 2
    assert results(Path("study")) == results(alone() / "study")


@pytest.mark.parametrize("count", [2, 4])
def test_a_training_of_processes_is_that_of_one(count: int, alone: Callable[[], Path]) -> None:
    """In float64, four devices share each batch of 1,000. One of two processes is asked to stop, then both resume."""
    if count == 2:
        both = start(count, *TRAINING, "--data-parallel", "--checkpoint-every", "10")
        wait_for_an_epoch(both[0])
        both[1].send_signal(signal.SIGTERM)  # the other one stops, too
        lead, other = ended(both)
        assert (lead[0], other[0]) == (143, 143), lead[2]
        assert (
            lead[2].splitlines()[-1].startswith("interrupted: SIGTERM; train holds 1 epoch and the parameters after ")
        )
        assert other[2].splitlines()[-1] == "interrupted: SIGTERM"
    lead, *others = ended(start(count, *TRAINING, "--data-parallel", *(["--resume"] if count == 2 else [])))
    assert lead[0] == 0, (lead, others)
    assert [(code, out) for code, out, _ in others] == [(0, "")] * (count - 1)
    ours, theirs = (load_file(folder / "train" / "params.safetensors") for folder in (Path(), alone()))
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=0, atol=1e-12)
    for ours, theirs in zip(*(metrics(folder) for folder in (Path(), alone())), strict=True):
        assert ours["cost"] == pytest.approx(theirs["cost"], rel=1e-12)
        assert ours["test_accuracy"] == theirs["test_accuracy"]


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "train" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    return [json.loads(line) for line in lines]


def wait_for_two_cells(lead: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    kept = Path("study") / grid.RECORDS
    while not kept.exists() or kept.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < deadline
        assert lead.poll() is None
        time.sleep(0.05)


def wait_for_an_epoch(lead: subprocess.Popen[str]) -> None:
    assert lead.stdout is not None
    assert any(line.startswith("Epoch") for line in lead.stdout)


def assert_the_other_ends(both: list[subprocess.Popen[str]], victim: int, number: signal.Signals) -> None:
    """Send a signal to one process: the other must end within `LIMIT`, and say what to do."""
    assert all(process.poll() is None for process in both)
    try:
        both[victim].send_signal(number)
        other = both[1 - victim]
        _, err = other.communicate(timeout=LIMIT)
        assert other.returncode != 0
        assert REMEDY in err
    finally:
        for process in both:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("victim", "number"),
    [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGSTOP)],  # only heartbeats tell of a stopped process
)
def test_a_training_ends_if_one_process_is_gone(victim: int, number: signal.Signals) -> None:
    both = start(2, "train", "--epochs", "1000", "--data-parallel", "--out", "train")
    wait_for_an_epoch(both[0])
    assert_the_other_ends(both, victim, number)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_study_continues_after_a_kill(victim: int) -> None:
    both = start(2, "study", *LONGER, "--out", "study")
    wait_for_two_cells(both[0])
    assert_the_other_ends(both, victim, signal.SIGKILL)
    assert len(results(Path("study"))) == 2
    command = [sys.executable, "-m", "jax_impl", "study", *LONGER, "--out", "study"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.count("(kept)") == 2
    assert len(results(Path("study"))) == 4


def test_an_error_of_one_process_ends_the_others() -> None:
    Path("taken").write_text("a file")
    lead, other = ended(start(2, "study", *GRID, "--out", "taken"))
    assert lead[0] == 1
    assert lead[2].splitlines()[-1] == "error: --out taken is a file: name a folder"
    assert other[0] != 0
    assert REMEDY in other[2]
