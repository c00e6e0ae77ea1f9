"""A ResNet-18 has records of 200 MB at most, and a model of 100 million parameters is proven within 16 GB."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MEGABYTE, GIGABYTE = 10**6, 10**9


def step(*arguments: str | Path) -> dict[str, Any]:
    """Take a step in a process of its own; return the processor seconds and the most memory that it used."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.ports.child", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def steps(model: str, folder: Path) -> list[dict[str, Any]]:
    theirs, ours = folder / "theirs", folder / "ours"
    used = [step("record", model, theirs), step("port", model, theirs, ours), step("prove", model, theirs, ours)]
    print(model, *used, *(f"{name.name} {megabytes(name)} MB" for name in (theirs, ours)))
    return used


def megabytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir()) // MEGABYTE


@pytest.mark.slow
def test_a_resnet18_takes_200_megabytes(tmp_path: Path) -> None:
    steps("resnet18", tmp_path)  # which prints its time, too: on a busy machine it is no measure of this code
    assert max(megabytes(tmp_path / side) for side in ("theirs", "ours")) <= 200


@pytest.mark.slow
def test_100_million_parameters_fit_into_16_gigabytes(tmp_path: Path) -> None:
    assert max(one["bytes"] for one in steps("large", tmp_path)) <= 16 * GIGABYTE
