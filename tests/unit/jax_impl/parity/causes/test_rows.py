"""Modules in a row: strides that are exchanged, and one that is left out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.unit.jax_impl.parity.causes.recorded import Program, causes

SEED = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=SEED, dtype=torch.float64)


def block(first: int, second: int) -> nn.Sequential:
    torch.manual_seed(6)
    layers = [nn.Conv2d(3, 4, 3, first, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3, second, 1)]
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("strides", [(2, 1), (1, 3)])
def test_exchanged_strides(tmp_path: Path, training: bool, strides: tuple[int, int]) -> None:
    x = normal(3, 3, 12, 12)
    with torch.no_grad():
        mine = block(*strides[::-1]).train(training)(x)
    ours: dict[tuple[str, str], Any] = dict.fromkeys([("0", "output"), ("1", "input"), ("1", "output"), ("3", "input")])
    settings = {"0": {"strides": strides[1]}, "3": {"strides": [strides[0]] * 2}}
    one, two = ((stride, stride) for stride in strides)
    for size, expected in ((0.0, [f"strides {two} in 0 and {one} in 3 instead of {one} and {two}"]), (0.01, [])):
        changed = ours | {("3", "output"): mine + size * torch.sin(9 * mine)}
        program = Program(block(*strides), [x], ["2"], changed, settings=settings, training=training)
        assert causes(tmp_path / str(size), program) == expected


def test_a_module_in_front_of_a_container(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.MaxPool2d(2), nn.Sequential(nn.Conv2d(4, 2, 1))).double()
    x = normal(3, 3, 6, 8)
    with torch.no_grad():
        mine = functional.avg_pool2d(model[0](x), 2)
    found = causes(tmp_path, Program(model, [x], ["1", "2"], {("2.0", "input"): mine}))
    assert found == ["1: mean instead of maximum"]


@pytest.mark.parametrize("left_out", [nn.LayerNorm(6), nn.Linear(6, 6), nn.GroupNorm(2, 4)])
def test_a_module_left_out(tmp_path: Path, left_out: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(6, 6), left_out, nn.Linear(6, 3)).double()
    x = normal(5, 4, 6)
    with torch.no_grad():
        mine = model[0](x)
    assert causes(tmp_path, Program(model, [x], ["1"], {("2", "input"): mine})) == ["1 is not applied"]
    assert causes(tmp_path / "other", Program(model, [x], ["1"], {("2", "input"): mine + torch.sin(9 * mine)})) == []
