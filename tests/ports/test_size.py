"""A ResNet-18 is proven in a minute, and a model of 100 million parameters within 16 GB."""

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
def test_a_resnet18_takes_a_minute_and_200_megabytes(tmp_path: Path) -> None:
    used = steps("resnet18", tmp_path)
    assert sum(one["seconds"] for one in used) <= 120  # 60 s on both cores; the wall clock depends on others
    assert max(megabytes(tmp_path / side) for side in ("theirs", "ours")) <= 200


@pytest.mark.slow
def test_100_million_parameters_fit_into_16_gigabytes(tmp_path: Path) -> None:
    assert max(one["bytes"] for one in steps("large", tmp_path)) <= 16 * GIGABYTE
