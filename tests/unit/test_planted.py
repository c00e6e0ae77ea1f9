"""The plugin that counts in how many models each cause is confirmed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import planted

SOURCE = """
def family(case):
    yield Hypothesis(
        cause="one", fix="of it", test=None)
    yield Hypothesis(cause="a family", fix="", test=None)
    return [Hypothesis(cause=text, fix=text, test=None) for text in ("a", "b")]
"""


def test_places_are_found_in_the_code(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "norms.py").write_text(SOURCE, encoding="utf-8")
    assert planted.places(tmp_path) == ["inner/norms.py:3", "inner/norms.py:6"]
    assert len(planted.places()) > 90


def test_a_cause_needs_two_models() -> None:
    found = {"a.py:1": {"mlp", "cnn"}, "b.py:2": {"mlp"}, "d.py:4": {"mlp", "cnn"}}
    assert list(planted.missing(found, ["a.py:1", "b.py:2", "c.py:3"])) == [
        "b.py:2: planted in 1 models instead of 2",
        "c.py:3: planted in 0 models instead of 2",
        "d.py:4: makes a hypothesis, but is not found in the code",
    ]


@pytest.mark.slow
def test_a_run_that_plants_too_little_fails() -> None:
    """Two tests that pass, in two processes: they confirm one cause in two models, and most causes in none."""
    tests = "tests/unit/jax_impl/parity/causes/test_norms.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.ports.planted", "-m", "slow or not slow", "-n", "2",
               "-k", "unbiased or epsilon", tests]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=planted.ROOT, check=False)
    assert done.returncode == 1, done.stdout
    assert "causes were confirmed in 2 models or more" in done.stdout
    assert "families/data.py" in done.stdout and " failed" not in done.stdout
    lines = [line for line in planted.places() if line.startswith("families/norms.py")]
    assert not any(f"{lines[0]}: " in line for line in done.stdout.splitlines())  # an epsilon, in several models
