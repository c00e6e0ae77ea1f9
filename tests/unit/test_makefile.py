"""make refuses a variable that its target does not read, before anything runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Ask make what it would run."""
    program = shutil.which("make")
    assert program
    outer = {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL"}  # of the make that runs these tests
    own = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run([program, "-n", *words], cwd=ROOT, env=own, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "unread"),
    [
        ("train-jax Recipe=mnist_nn_he", "Recipe"),
        ("train-torch recipe=mnist_nn_he EPOCHS=3", "recipe"),
        ("study SEEDS=5", "SEEDS"),
        ("study EPOCHS=5", "EPOCHS"),
        ("rbm RECIPE=mnist_nn", "RECIPE"),
        ("data ARGS=--mirror", "ARGS"),
        ("RECIPE=mnist_nn", "RECIPE"),
    ],
)
def test_a_variable_that_nothing_reads_is_refused_in_one_line(words: str, unread: str) -> None:
    result = make(*words.split())
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f" does not read {unread}, only " in result.stderr
    assert 'put options into ARGS, as in make study ARGS="--seeds 5"' in result.stderr


def test_the_variables_that_a_target_reads_reach_its_command() -> None:
    result = make("train-jax", "RECIPE=mnist_nn_he", "EPOCHS=3", "SEED=1", "ARGS=--out runs/x", "PYTHON=python3")
    assert result.returncode == 0
    assert result.stdout.endswith("-m jax_impl train mnist_nn_he --epochs 3 --seed 1 --out runs/x\n")
    assert make("test", "CONSTRAINTS=/dev/null", "ARGS=-x").stdout.endswith(' -m "not slow" -x\n')
