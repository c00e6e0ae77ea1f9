"""Two and four processes on loopback: what they find together, and what they say when one of them is gone."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file

from jax_impl.storage import records
from jax_impl.study import grid

GRID = ("--inits", "xavier_normal,zeros", "--depths", "1", "--width", "8", "--seeds", "2", "--epochs", "2")
LONGER = (*GRID, "--depths", "1,8")
TRAINING = ("train", "--epochs", "2", "--dtype", "float64", "--batch-size", "1000", "--out", "train")
# What tells when and how fast a record was made, and nothing of what was found.
CLOCK = ("made", "seconds", "training_seconds")


@pytest.fixture(autouse=True)
def data_there(mnist_dir: Path, tmp_path: Path) -> Iterator[None]:
    with standing_in(tmp_path, mnist_dir):
        yield


@contextlib.contextmanager
def standing_in(folder: Path, mnist_dir: Path) -> Iterator[None]:
    """What is started in this context works in `folder`, and finds the data."""
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("MNIST_DATA_DIR", str(mnist_dir))
        yield


def start(count: int, *arguments: str) -> list[subprocess.Popen[str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jax_impl", *arguments, "--distributed", "--coordinator", f"127.0.0.1:{port}"]
    # One thread each: four times as many as there are cores would wait for each other.
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


def ended(processes: Sequence[subprocess.Popen[str]], timeout: float = 60) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each, without the lines that Gloo prints by itself."""
    results = [process.communicate(timeout=timeout) for process in processes]
    return [
        (process.returncode, "".join(line for line in out.splitlines(True) if not line.startswith("[Gloo]")), err)
        for process, (out, err) in zip(processes, results, strict=True)
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> Iterator[Callable[[], Path]]:
    """The study and the training of one process with one device each: under way until asked for."""
    root = tmp_path_factory.mktemp("alone")
    commands = (("study", *GRID, "--out", "study"), TRAINING)
    with standing_in(root, mnist_dir):
        processes = [subprocess.Popen([sys.executable, "-m", "jax_impl", *arguments]) for arguments in commands]

    def done() -> Path:
        assert [process.wait(timeout=60) for process in processes] == [0, 0]
        return root

    yield done
    for process in processes:
        process.wait()


def results(out: Path) -> dict[str, records.Record]:
    found = records.load(out / grid.RECORDS)
    return {key: {name: value for name, value in one.items() if name not in CLOCK} for key, one in found.items()}


@pytest.mark.parametrize("count", [2, 4])
def test_a_study_of_processes_is_that_of_one(count: int, alone: Callable[[], Path]) -> None:
    """Four runs on four devices: of two processes, and of four; two epochs, for states stay where they are between."""
    lead, *others = ended(start(count, "study", *GRID, "--out", "study"))
    assert lead[0] == 0, lead[2]
    assert [(code, out) for code, out, _ in others] == [(0, "")] * (count - 1)
    assert len(re.findall(r"^\w+, 1 hidden layer", lead[1], re.MULTILINE)) == 2
    assert results(Path("study")) == results(alone() / "study")


@pytest.mark.parametrize("count", [2, 4])
def test_a_training_of_processes_is_that_of_one(count: int, alone: Callable[[], Path]) -> None:
    """In float64, each batch of 1,000 shared by four devices: of two processes, one asked to end, and of four."""
    if count == 2:
        both = start(count, *TRAINING, "--data-parallel", "--checkpoint-every", "10")
        wait_for_an_epoch(Path(), both[0])
        both[1].send_signal(signal.SIGTERM)  # which the other one hears of
        lead, other = ended(both)
        assert (lead[0], other[0]) == (143, 143), lead[2]
        assert (
            lead[2].splitlines()[-1].startswith("interrupted: SIGTERM; train holds 1 epoch and the parameters after ")
        )
        assert other[2].splitlines()[-1] == "interrupted: SIGTERM"
    lead, *others = ended(start(count, *TRAINING, "--data-parallel", *(["--resume"] if count == 2 else [])))
    assert lead[0] == 0, lead[2]
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


class Killed(NamedTuple):
    """A command of several processes, one of which was killed."""

    folder: Path
    others: list[Future[tuple[int, str, float]]]  # exit code, standard error, and the seconds from then to the end


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> Iterator[dict[int, Killed]]:
    """By the killed one: the last of a study, after its first two cells, and the first of a training, after an epoch.

    Other tests go on while the rest of the processes find that out.
    """
    cases = {
        1: (("study", *LONGER, "--out", "study"), wait_for_two_cells),
        0: (("train", "--epochs", "1000", "--data-parallel", "--out", "train"), wait_for_an_epoch),
    }
    processes: list[subprocess.Popen[str]] = []
    found = {}
    with ThreadPoolExecutor(4) as pool:
        try:
            for victim, (command, wait) in cases.items():
                folder = tmp_path_factory.mktemp(f"without-{victim}")
                with standing_in(folder, mnist_dir):
                    started = start(2, *command)
                processes += started
                wait(folder, started[0])
                assert all(process.poll() is None for process in started)
                started[victim].send_signal(signal.SIGKILL)
                others = [process for rank, process in enumerate(started) if rank != victim]
                found[victim] = Killed(folder, [pool.submit(timed_end, process) for process in others])
            yield found
        finally:
            for process in processes:
                process.kill()
                process.communicate()


def wait_for_two_cells(folder: Path, lead: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    kept = folder / "study" / grid.RECORDS
    while not kept.exists() or kept.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < deadline
        assert lead.poll() is None
        time.sleep(0.05)


def wait_for_an_epoch(folder: Path, lead: subprocess.Popen[str]) -> None:  # noqa: ARG001
    assert lead.stdout is not None
    assert any(line.startswith("Epoch") for line in lead.stdout)


def timed_end(process: subprocess.Popen[str]) -> tuple[int, str, float]:
    begun = time.monotonic()
    _, err = process.communicate()
    return process.returncode, err, time.monotonic() - begun


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> list[subprocess.Popen[str]]:
    """A study whose first process cannot write where it is to."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "taken").write_text("a file")
    with standing_in(folder, mnist_dir):
        return start(2, "study", *GRID, "--out", "taken")


@pytest.mark.usefixtures("refused")  # which is under way meanwhile
def test_a_study_goes_on_where_killed_processes_left_it(killed: dict[int, Killed]) -> None:
    shutil.copytree(killed[1].folder / "study", "study")
    assert len(results(Path("study"))) == 2
    command = [sys.executable, "-m", "jax_impl", "study", *LONGER, "--out", "study"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.count("(kept)") == 2
    assert len(results(Path("study"))) == 4


def test_an_error_of_one_process_is_told_by_the_others(refused: list[subprocess.Popen[str]]) -> None:
    lead, *others = ended(refused)
    assert lead[0] == 1
    assert lead[2].splitlines()[-1] == "error: --out taken is a file: name a folder, or a new one"
    assert [code for code, _, _ in others] == [1]
    assert "process 0 ended: --out taken is a file" in others[0][2]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_is_named(victim: int, killed: dict[int, Killed]) -> None:
    for code, err, seconds in (other.result(timeout=60) for other in killed[victim].others):
        assert code != 0
        assert re.search(rf"process {victim} of 2 (is gone|has given no sign of life)", err), err
        assert seconds < 60
