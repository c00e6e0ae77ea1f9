"""What hooks see: every call, its own numbers, and nothing changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tests.unit.torch_ref.record.programs import Program, square

BATCHES = [torch.linspace(-1, 1, 12).reshape(4, 3)]


def calls(model: nn.Module, folder: Path, loss: Any = square, mode: str = "train") -> list[dict[str, Any]]:
    torch.manual_seed(0)
    found = Program(model, loss, BATCHES, torch.optim.SGD).save(folder / "new")
    return found["forward"][mode]["free"]


def test_an_in_place_layer_does_not_overwrite_what_was_kept(tmp_path: Path) -> None:
    """The output of the convolution is kept before the ReLU behind it writes into it."""
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(inplace=True))
    linear, relu, root = calls(model, tmp_path)
    assert linear["outputs"][0].value.min() < 0
    assert np.array_equal(linear["outputs"][0].value, relu["inputs"][0].value)
    assert np.array_equal(relu["outputs"][0].value, np.maximum(linear["outputs"][0].value, 0))
    assert np.array_equal(root["outputs"][0].value, relu["outputs"][0].value)


class Shared(nn.Module):
    """A module that is called three times and has two names, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = self.a
        self.blocks = nn.ModuleList([nn.Sequential(nn.Tanh())])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks[0](self.a(self.b(self.a(x))))


def test_repeated_and_nested_calls_are_numbered(tmp_path: Path) -> None:
    model = Shared()
    found = calls(model, tmp_path)
    assert [(call["module"], call["call"], call["order"]) for call in found] == [
        ("a", 0, 1), ("a", 1, 2), ("a", 2, 3), ("blocks.0.0", 0, 5), ("blocks.0", 0, 4), ("", 0, 0),
    ]  # fmt: skip
    record = Program(model, square, BATCHES, torch.optim.SGD).save(tmp_path / "new")
    assert {module["path"]: module["calls"] for module in record["modules"]} == {
        "": 1, "a": 3, "b": 3, "blocks": 0, "blocks.0": 1, "blocks.0.0": 1,
    }  # fmt: skip


@dataclass
class Output:
    logits: torch.Tensor
    hidden: list[torch.Tensor]
    count: int = 2


class Structured(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Bilinear(3, 3, 2)

    def forward(self, x: torch.Tensor, *, scale: dict[str, torch.Tensor]) -> Output:
        hidden = self.inner(x, x * scale["s"])
        return Output(hidden * 2, [hidden, hidden[0]])


def test_structured_inputs_and_outputs_are_listed_flat(tmp_path: Path) -> None:
    inner, root = calls(
        Structured(), tmp_path, lambda model, x: model(x, scale={"s": torch.full((3,), 0.5)}).logits.sum()
    )
    assert [array.shape for array in inner["inputs"]] == [[4, 3], [4, 3]]
    assert [array.shape for array in root["inputs"]] == [[4, 3], [3]]
    assert [array.shape for array in root["outputs"]] == [[4, 2], [4, 2], [2]]
    assert all(array.noise > 0 for array in root["outputs"])


class Careless(nn.Module):
    """A model that uses an in-place layer for what it does to its input, and drops what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.relu = nn.Linear(3, 3), nn.Sequential(nn.ReLU(inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        self.relu(x)
        return x


def test_a_module_that_overwrites_its_input_gets_no_copy(tmp_path: Path) -> None:
    """Else the noisy runs would compute another function."""
    root = calls(Careless(), tmp_path)[-1]
    assert root["outputs"][0].value.min() == 0
    assert 0 < root["outputs"][0].noise < 1e-14


class Cautious(nn.Module):
    """A model that tries one module, which fails, and takes another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Sequential(nn.Linear(4, 4)), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            return self.first(x)
        except RuntimeError:
            return self.second(x)


def test_an_exception_that_the_model_catches_is_no_call_that_returned(tmp_path: Path) -> None:
    assert [call["module"] for call in calls(Cautious(), tmp_path)] == ["second", ""]


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(self.block, x, use_reentrant=False)


def test_repetitions_in_the_backward_pass_are_no_calls(tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = Program(Checkpointed(), square, BATCHES, torch.optim.SGD).save(tmp_path / "new")
    assert len(found["forward"]["train"]["free"]) == 5
    assert len(found["forward"]["train"]["masks"]) == 1
    assert found["notes"] == []
    assert all(0 < gradient.noise < 1e-14 for gradient in found["gradients"].values())


class Attention(nn.Module):
    """Self-attention, which takes another path if query, key and value are the same object."""

    def __init__(self) -> None:
        super().__init__()
        self.same = True

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        assert q is k is v
        return q


def test_equal_inputs_stay_the_same_object_in_noisy_runs(tmp_path: Path) -> None:
    model = nn.ModuleDict({"linear": nn.Linear(3, 3), "attention": Attention()})

    def loss(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = model["linear"](x)
        return model["attention"](y, k=y, v=y).sum()

    found = calls(model, tmp_path, loss)
    assert [call["module"] for call in found] == ["linear", "attention"]  # the root itself was not called


def test_large_arrays_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch_ref.record.program.capture.FORWARD", 5)
    model = nn.Linear(3, 2)
    (call,) = calls(model, tmp_path)
    expected = functional.linear(BATCHES[0].double(), model.weight.double(), model.bias.double()).detach().reshape(-1)
    assert call["outputs"][0].sampled
    assert call["outputs"][0].value.tolist() == pytest.approx([expected[i * 8 // 5].item() for i in range(5)])
    assert call["outputs"][0].norm == pytest.approx(expected.norm().item())
