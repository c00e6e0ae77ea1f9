"""docs/your-own-port.md: its programs run, and the verdicts are those that it shows."""

import re
from pathlib import Path

import jax
import pytest
import torch

from jax_impl import parity
from jax_impl.parity.summary import BLIND

GUIDE = Path(__file__).parents[2] / "docs" / "your-own-port.md"
PROGRAMS = re.findall(r"^```python\n# \w+\.py\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
SHOWN = re.findall(r"^```text\n(.*?)\n```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(program: str) -> None:
    with torch.random.fork_rng(), jax.numpy_rank_promotion("allow"):
        exec(compile(program, GUIDE.name, "exec"), {"__name__": "guide"})


MISTAKES = ("epsilon=1e-5, ", ", weight_decay=0.01", "32, 3, **inits")  # and what is left of the last one
ROUNDING = re.compile(r"\d(\.\d+)?e-1\d|(?<=p = )[\d.e-]+")  # numbers that differ from processor to processor


def told() -> list[str]:
    """Return what the command prints first."""
    verdict = parity.compare_records("theirs", "ours")
    blind = [f"  {spot}" for spot in verdict.blind_spots]
    lines = (verdict.first_line, *verdict.diagnosis.lines(), *(["", f"{BLIND}:", *blind] if blind else []))
    return [ROUNDING.sub("#", line) for line in lines]


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_the_guide_s_port_passes_and_its_mistakes_and_their_causes_are_named() -> None:
    theirs, ours = PROGRAMS
    run(theirs)
    run(ours)
    assert told() == SHOWN[0].splitlines()
    for mistake, shown in zip(MISTAKES, SHOWN[1:], strict=True):
        assert mistake in ours
        run(ours.replace(mistake, mistake.partition(", **")[0] if "**" in mistake else ""))
        assert told() == ROUNDING.sub("#", shown).splitlines()
