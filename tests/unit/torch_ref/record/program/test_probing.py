"""The first batch at another size: which cut is chosen, and what it leaves alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.torch_ref.record.programs import read
from torch_ref import record
from torch_ref.record.program.probing import Cut, hides_borders


def probe(folder: Path, model: nn.Module, *shape: int) -> Any:
    """Record a model on images or sequences, and return what the record has of another size."""
    batch = (torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)), torch.arange(3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    record.save(folder, model=model, loss=lambda net, b: net(b[0]).square().mean(), optimizer=optimizer,
                batches=[batch], steps=1)  # fmt: skip
    return read(folder)["probe"]


def test_a_size_is_chosen_at_which_borders_are_told_apart(tmp_path: Path) -> None:
    strided = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Conv2d(2, 2, 3, stride=2, padding=1))
    found = probe(tmp_path, strided, 1, 10, 10)  # 10 and 5: the second one hides them; at 8 and 4 neither does
    assert (found["length"], found["to"]) == (10, 8)
    assert found["sizes"] == {"0": [8, 8], "1": [4, 4]}
    assert found["batch"]["tuple"][0]["array"].shape == [3, 1, 8, 8]
    assert found["batch"]["tuple"][1]["array"].shape == [3]
    assert found["outputs"][0].shape == [3, 2, 2, 2]
    assert found["outputs"][0].noise > 0


def test_without_such_layers_it_is_one_less(tmp_path: Path) -> None:
    found = probe(tmp_path, nn.Conv1d(4, 2, 3), 4, 9)
    assert (found["length"], found["to"]) == (9, 8)


def test_a_model_of_one_size_has_none(tmp_path: Path) -> None:
    assert probe(tmp_path, nn.Sequential(nn.Flatten(), nn.Linear(25, 2)), 1, 5, 5) is None


@pytest.mark.parametrize(
    ("layer", "size", "hides"),
    [
        (nn.Conv2d(1, 1, 3, stride=2, padding=1), 5, True),
        (nn.Conv2d(1, 1, 3, stride=2, padding=1), 6, False),
        (nn.Conv2d(1, 1, 3, padding=1), 5, False),
        (nn.Conv2d(1, 1, 3, stride=2, padding="valid"), 5, False),
        (nn.MaxPool2d(2), 6, True),
        (nn.MaxPool2d(2), 7, False),
        (nn.AdaptiveAvgPool2d(2), 6, False),
    ],
)
def test_borders_are_hidden_where_same_pads_alike(layer: nn.Module, size: int, *, hides: bool) -> None:
    assert hides_borders(layer, (size, size)) is hides


def test_a_cut_leaves_the_first_axis_and_other_lengths() -> None:
    batch = {"ids": torch.zeros(7, 7, 3), "mask": np.zeros((7, 7)), "labels": torch.zeros(7), "name": "x"}
    found = Cut(7, 5).of(batch)
    assert [found[name].shape for name in ("ids", "mask", "labels")] == [(7, 5, 3), (7, 5), (7,)]
    assert isinstance(found["mask"], np.ndarray)
    assert found["name"] == "x"
