"""Two and four processes on loopback: what they find together, and what they say when one of them is gone."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from jax_impl import records, study

GRID = ("--inits", "xavier_normal,zeros", "--depths", "1", "--width", "8", "--seeds", "2", "--epochs", "2")
LONGER = (*GRID, "--depths", "1,8")
# What tells when and how fast a record was made, and nothing of what was found.
CLOCK = ("made", "seconds", "training_seconds")


@pytest.fixture(autouse=True)
def data_there(monkeypatch: pytest.MonkeyPatch, mnist_dir: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("MNIST_DATA_DIR", str(mnist_dir))
    monkeypatch.chdir(tmp_path)


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
def alone(tmp_path_factory: pytest.TempPathFactory, mnist_dir: Path) -> Path:
    """The study and the training of one process with one device."""
    root = tmp_path_factory.mktemp("alone")
    environment = os.environ | {"MNIST_DATA_DIR": str(mnist_dir)}
    for arguments in (
        ("study", *GRID, "--out", "study"),
        ("train", "--epochs", "1", "--dtype", "float64", "--batch-size", "1000", "--out", "train"),
    ):
        subprocess.run([sys.executable, "-m", "jax_impl", *arguments], cwd=root, env=environment, check=True)
    return root


def results(out: Path) -> dict[str, records.Record]:
    found = records.load(out / study.RECORDS)
    return {key: {name: value for name, value in one.items() if name not in CLOCK} for key, one in found.items()}


@pytest.mark.parametrize("count", [2, 4])
def test_a_study_of_processes_is_that_of_one(count: int, alone: Path) -> None:
    """Four runs on four devices: of two processes, and of four; two epochs, for states stay where they are between."""
    lead, *others = ended(start(count, "study", *GRID, "--out", "study"))
    assert lead[0] == 0, lead[2]
    assert [(code, out) for code, out, _ in others] == [(0, "")] * (count - 1)
    assert len(re.findall(r"^\w+, 1 hidden layer", lead[1], re.MULTILINE)) == 2
    assert results(Path("study")) == results(alone / "study")


@pytest.mark.parametrize("count", [2, 4])
def test_a_training_of_processes_is_that_of_one(count: int, alone: Path) -> None:
    """One epoch in float64, each batch of 1,000 shared by four devices: of two processes, and of four."""
    options = ("--epochs", "1", "--dtype", "float64", "--batch-size", "1000", "--data-parallel", "--out", "train")
    lead, *others = ended(start(count, "train", *options))
    assert lead[0] == 0, lead[2]
    assert [(code, out) for code, out, _ in others] == [(0, "")] * (count - 1)
    ours, theirs = (load_file(folder / "train" / "params.safetensors") for folder in (Path(), alone))
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=0, atol=1e-12)
    ours, theirs = (json.loads((folder / "train" / "metrics.jsonl").read_text()) for folder in (Path(), alone))
    assert ours["cost"] == pytest.approx(theirs["cost"], rel=1e-12)
    assert ours["test_accuracy"] == theirs["test_accuracy"]


@pytest.fixture
def in_the_middle() -> Iterator[list[subprocess.Popen[str]]]:
    """Three processes of a long study, after its first two cells, which train together."""
    processes = start(3, "study", *LONGER, "--out", "study")
    try:
        deadline = time.monotonic() + 60
        kept = Path("study", study.RECORDS)
        while not kept.exists() or kept.read_bytes().count(b"\n") < 2:
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in processes)
            time.sleep(0.05)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("victim", [0, 2])
def test_a_killed_process_is_named_and_the_rerun_goes_on(
    victim: int, in_the_middle: list[subprocess.Popen[str]]
) -> None:
    killed = time.monotonic()
    in_the_middle[victim].send_signal(signal.SIGKILL)
    others = [process for rank, process in enumerate(in_the_middle) if rank != victim]
    found = ended(others)
    assert time.monotonic() - killed < 60
    for code, _, err in found:
        assert code != 0
        assert re.search(rf"process {victim} of 3 (is gone|has given no sign of life)", err), err
    kept = set(results(Path("study")))
    assert len(kept) == 2
    if victim:  # once is enough
        shutil.copytree("study", "copy")
        result = subprocess.run(
            [sys.executable, "-m", "jax_impl", "study", *LONGER, "--out", "copy"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.count("(kept)") == 2
        assert len(results(Path("copy"))) == 4


def test_an_error_of_one_process_is_told_by_the_others() -> None:
    """The first cannot write where it is to; the others hear why."""
    Path("taken").write_text("a file")
    lead, *others = ended(start(2, "study", *GRID, "--out", "taken"))
    assert lead[0] == 1
    assert lead[2].splitlines()[-1] == "error: --out taken is a file: name a folder, or a new one"
    assert [code for code, _, _ in others] == [1]
    assert "process 0 ended: --out taken is a file" in others[0][2]
