"""A port that is written or run in another way passes as well."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import runs
from tests.ports.harmless import Harmless, harmless

CHANGES = harmless()
FAST = {("cnn", "other order of attributes")}


def parameter(change: Harmless) -> object:
    fast = (change.model, change.name) in FAST
    return pytest.param(change, id=f"{change.model}: {change.name}", marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize("change", [parameter(change) for change in CHANGES if not change.environment])
def test_a_harmless_change_passes(change: Harmless) -> None:
    runs.verdict_after(change).require()


@pytest.mark.slow
@pytest.mark.parametrize("change", [parameter(change) for change in CHANGES if change.environment])
def test_a_harmless_setting_passes(change: Harmless, tmp_path: Path) -> None:
    for step in ("port", "prove"):
        command = [sys.executable, "-W", "ignore", "-m", "tests.ports.child", step, change.model]
        places = [runs.recorded(change.model), tmp_path / "ours"]
        environment = os.environ | change.environment
        done = subprocess.run([*command, *places], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_there_are_enough_changes() -> None:
    assert len({(change.model, change.name) for change in CHANGES}) == len(CHANGES) >= 206
