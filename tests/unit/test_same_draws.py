"""docs/same-draws.md: its blocks run and print what it shows, and its table has every draw."""

import contextlib
import inspect
import io
import re
from pathlib import Path

import numpy as np
import torch

from jax_impl.replay import init
from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.mersenne import PLATFORMS, Mersenne
from tests.unit.jax_impl.replay.torch_pairs import PLATFORM, fused

GUIDE = (Path(__file__).parents[2] / "docs" / "same-draws.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_page_s_blocks_print_what_it_shows() -> None:
    printed, namespace = io.StringIO(), {"__name__": "page"}
    with contextlib.redirect_stdout(printed):
        for block in blocks("python"):
            exec(compile(block, "same-draws.md", "exec"), namespace)
    assert printed.getvalue() == "".join(blocks("text"))


@fused
def test_the_page_s_first_numbers_are_torch_s() -> None:
    theirs = torch.Generator().manual_seed(0)
    expected = [torch.rand(3, generator=theirs), torch.randn(3, generator=theirs), torch.randperm(5, generator=theirs)]
    ours = TorchGenerator(0, PLATFORM)
    for mine, tensor in zip((ours.uniform(3), ours.normal(3), ours.randperm(5)), expected, strict=True):
        np.testing.assert_array_equal(mine, tensor.numpy())


def rows(heading: str) -> str:
    """Return the first column of the first table under a heading."""
    lines = GUIDE.partition(f"\n## {heading}\n")[2].splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("|"))
    return "\n".join(line.split("|")[1] for line in lines[begin + 2 :] if line.startswith("|"))


def test_the_table_has_every_draw() -> None:
    drawn = {name for name, _ in inspect.getmembers(TorchGenerator, inspect.isfunction) if not name.startswith("_")}
    inner = {"state", "kept", "kept_each"} | {name for name in vars(Mersenne) if not name.startswith("_")}
    listed = rows("What is equal, and to what")
    assert drawn - inner
    assert not [name for name in drawn - inner if f"`{name}`" not in listed]
    for name in ("kaiming_*", "xavier_*", "sparse", "dirac", "trunc_normal", "orthogonal"):
        assert name in listed
        assert any(one.startswith(name.rstrip("*")) for one in vars(init))


def test_the_page_names_the_platforms() -> None:
    assert all(f"| `{platform}`" in GUIDE for platform in PLATFORMS)
