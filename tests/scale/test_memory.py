"""No command uses more memory than it announced: the peak of a process, next to the estimate that lets it start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jax_impl.rbm.estimate import machines
from jax_impl.rbm.settings import Settings
from jax_impl.recipes import RECIPES
from jax_impl.trainer import estimate
from jax_impl.trainer.estimate import GIB, PROCESS, Memory

# Fewer temperatures need the same memory. The child tells the peak of its resident memory in KiB, as Linux counts it
# since the program began: `getrusage` counts from the fork on, when a child is as large as its parent.
PROGRAM = """
import json, re, sys
from pathlib import Path
from jax_impl.rbm import outputs
outputs.ANNEALED = 100
from jax_impl.commands.main import main
code = main()
print(json.dumps([code, int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])]))
"""
RUNS = {
    "train": (["train"], estimate.network(RECIPES["mnist_nn_xavier"])),
    "train, a large batch": (
        ["train", "mnist_nn_deep", "--batch-size", "60000", "--dtype", "float64"],
        estimate.network(RECIPES["mnist_nn_deep"].with_changes(batch_size=60_000, dtype="float64")),
    ),
    "rbm": (["rbm"], machines([500], Settings(), annealed=True)),
    "rbm, wide": (["rbm", "--hidden", "4000"], machines([4000], Settings(), annealed=True)),
    "rbm, a large batch": (
        ["rbm", "--hidden", "1000", "--batch-size", "20000"],
        machines([1000], Settings(batch_size=20_000), annealed=True),
    ),
    "rbm, many rounds": (["rbm", "--hidden", "50", "--k", "200"], machines([50], Settings(k=200), annealed=True)),
    "dbn": (["dbn", "--hidden", "1000,500"], machines([1000, 500], Settings())),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_command_uses_at_most_the_memory_that_it_announces(name: str, tmp_path: Path, mnist_dir: Path) -> None:
    words, announced = RUNS[name]
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, "--epochs", "1", "--out", str(tmp_path / "run")],
        env=os.environ | {"MNIST_DATA_DIR": str(mnist_dir), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stderr
    code, peak = json.loads(found.stdout.splitlines()[-1])
    assert code == 0, found.stderr
    used, allowed = peak * 1024 / GIB, total(announced) / GIB
    assert allowed / 3 < used < allowed, (used, allowed)


def total(memory: Memory) -> float:
    """What `estimate.shortage` compares with a CPU's memory, in bytes."""
    return memory.device + memory.host + PROCESS
