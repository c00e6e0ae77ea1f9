"""docs/your-own-port.md: its programs run, and the verdicts are those that it shows."""

import re
from pathlib import Path

import jax
import pytest
import torch

from jax_impl import parity

GUIDE = Path(__file__).parents[2] / "docs" / "your-own-port.md"
PROGRAMS = re.findall(r"^```python\n# \w+\.py\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
SHOWN = re.findall(r"^```text\n(.*?)\n```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(program: str) -> None:
    with torch.random.fork_rng(), jax.numpy_rank_promotion("allow"):
        exec(compile(program, GUIDE.name, "exec"), {"__name__": "guide"})


@pytest.mark.usefixtures("folder")
def test_the_guide_s_port_passes_and_its_mistake_is_named() -> None:
    theirs, ours = PROGRAMS
    run(theirs)
    run(ours)
    assert parity.compare_records("theirs", "ours").first_line == SHOWN[0]
    assert "epsilon=1e-5, " in ours
    run(ours.replace("epsilon=1e-5, ", ""))
    assert parity.compare_records("theirs", "ours").first_line == SHOWN[1]
