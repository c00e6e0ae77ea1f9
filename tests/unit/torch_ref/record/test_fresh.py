"""Initial weights of fresh models: samples for each seed, and leaves that are copies of each other."""

import copy

import pytest
import torch
from torch import nn

from torch_ref.errors import UserError
from torch_ref.record import fresh
from torch_ref.record.arrays import Recording


def model(*, copies: bool) -> nn.Module:
    first = nn.Linear(3, 3)
    return nn.Sequential(first, copy.deepcopy(first) if copies else nn.Linear(3, 3), nn.LayerNorm(3), nn.LayerNorm(3))


def test_each_row_is_a_fresh_model() -> None:
    recording = Recording()
    found = fresh.recorded(lambda: model(copies=False), 3, model(copies=False), recording)
    torch.manual_seed(2)
    assert torch.from_numpy(found["leaves"]["1.weight"].stored[2]).equal(model(copies=False)[1].weight.data.reshape(-1))
    assert (found["seeds"], found["equal"]) == (3, [])
    assert found["leaves"]["0.weight"].shape == (3, 9)


def test_layers_that_were_copied_are_listed() -> None:
    """Constants, such as LayerNorm's ones, are no copies."""
    found = fresh.recorded(lambda: model(copies=True), 2, model(copies=True), Recording())
    assert sorted(found["equal"]) == [["0.bias", "1.bias"], ["0.weight", "1.weight"]]


def test_large_leaves_are_sampled() -> None:
    found = fresh.recorded(lambda: nn.Linear(100, 100), 2, nn.Linear(100, 100), Recording())
    torch.manual_seed(1)
    weight = nn.Linear(100, 100).weight.data.reshape(-1)
    assert found["leaves"]["weight"].shape == (2, 4096)
    assert found["leaves"]["weight"].stored[1, 7] == weight[7 * 10_000 // 4096]


def test_another_model_is_refused() -> None:
    with pytest.raises(UserError, match="fresh builds another model: bias is in one of the two only"):
        fresh.recorded(lambda: nn.Linear(2, 2, bias=False), 2, nn.Linear(2, 2), Recording())
    with pytest.raises(TypeError, match=r"fresh must return a new nn.Module, got Tensor"):
        fresh.recorded(lambda: torch.ones(1), 2, nn.Linear(2, 2), Recording())
