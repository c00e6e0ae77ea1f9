"""Linear layers and embeddings: the mistakes that ports make with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from jax_impl.parity.causes.families.modules.embeddings import lookups
from tests.unit.jax_impl.parity.causes.recorded import Program, causes

SEED = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=SEED, dtype=torch.float64)


def planted(folder: Path, model: nn.Module, x: Tensor, path: str, output: Tensor) -> list[str]:
    return causes(folder, Program(model, [x], ours={(path, "output"): output.detach().numpy()}))


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (6, 4)])
def test_linear(tmp_path: Path, inputs: int, outputs: int) -> None:
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(inputs, outputs)).double()
    x, weight, bias = normal(5, 3, inputs), model[0].weight, model[0].bias
    assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
    mistakes = {
        "the weight is reshaped instead of transposed": x @ weight.reshape(inputs, outputs) + bias,
        "the bias is left out": x @ weight.T,
        "the bias is added twice": x @ weight.T + 2 * bias,
    }
    if inputs == outputs:  # then a reshaped weight is one that was not transposed
        del mistakes["the weight is reshaped instead of transposed"]
    for number, (cause, output) in enumerate(mistakes.items()):
        assert planted(tmp_path / str(number), model, x, "0", output) == [cause]
    assert planted(tmp_path / "other", model, x, "0", x @ weight.T + bias + 0.01 * torch.sin(9 * (x @ weight.T))) == []


def test_a_square_weight_that_was_not_transposed(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 6)).double()
    x = normal(5, 6)
    output = x @ model[0].weight + model[0].bias  # type: ignore[operator]
    assert planted(tmp_path, model, x, "0", output) == ["the weight is transposed"]


@pytest.mark.parametrize("size", [(3, 4), (5, 5)])
def test_flattened_features(tmp_path: Path, size: tuple[int, int]) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Linear(3 * size[0] * size[1], 4)).double()
    x = normal(4, 2, *size)
    linear: Any = model[2]
    with torch.no_grad():
        last = model[0](x).permute(0, 2, 3, 1).flatten(1)
        mine = linear(last)
    found = causes(tmp_path, Program(model, [x], ["1"], {("2", "output"): mine}))
    assert found == [f"features of shape {(3, *size)} flattened with channels last, for a weight with channels first"]


def test_weights_of_another_module(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5)).double()
    x = normal(7, 5)
    with torch.no_grad():
        mine = model[0](model[0](x))
    assert planted(tmp_path, model, x, "1", mine) == ["the weights of 0 instead of its own"]


def test_kernels_of_another_module(tmp_path: Path) -> None:
    """Two branches of images: the second one takes the first one's kernel and bias, or a third one's, of its shape."""
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)).double()
    x = normal(2, 4, 7, 6)
    for other in (2, 0):
        with torch.no_grad():
            hidden = model[:3](x)
            mine = functional.conv2d(hidden, model[other].weight, model[other].bias)  # type: ignore[arg-type]
        cause = f"the weights of {other} instead of its own"
        assert planted(tmp_path / str(other), model, x, "3", mine) == [cause]


@pytest.mark.parametrize("padding", [None, 2])
def test_embedding(tmp_path: Path, padding: int | None) -> None:
    torch.manual_seed(5)
    model = nn.Sequential(nn.Embedding(9, 4, padding_idx=padding)).double()
    table: Any = model[0].weight
    table.data = normal(9, 4)  # a row of zeros would hide mistakes
    x = torch.tensor([[3, 0, 7, 2, 5], [1, 1, 2, 6, 4]])
    absent = 0 if padding is None else padding
    mistakes: dict[str, Callable[[Tensor], Tensor]] = {
        "multiplied by sqrt(4)": lambda x: 2 * table[x],
        "divided by sqrt(4)": lambda x: table[x] / 2,
        "the row of index +1": lambda x: table[x + 1],
        "the row of index -1": lambda x: table[(x - 1).clamp(min=0)],
        f"zeros for index {absent}": lambda x: table[x] * (x != absent)[..., None],
    }
    for number, (cause, output) in enumerate(mistakes.items()):
        assert planted(tmp_path / str(number), model, x, "0", output(x)) == [cause]
    assert planted(tmp_path / "other", model, x, "0", 1.5 * table[x]) == []


def test_a_row_that_is_zero_is_no_blind_spot() -> None:
    """As torch pads: no input could tell zeros from it."""
    weight = np.random.default_rng(0).standard_normal((5, 3))
    weight[2] = 0
    causes = [cause for cause, *_ in lookups(weight, 2)]
    assert "zeros for index 0" in causes
    assert "zeros for index 2" not in causes


def test_a_square_table(tmp_path: Path) -> None:
    """Characters behind a linear layer's name, with as many features as characters."""
    model = nn.Sequential(nn.Embedding(6, 6), nn.Linear(6, 2)).double()
    table: Any = model[0].weight
    x = torch.tensor([[3, 0, 5], [1, 2, 4], [4, 4, 0]])
    mistakes = {
        "the table is transposed": table.T[x],
        "row 0 for all indices": table[0 * x],
        "multiplied by sqrt(6)": 6**0.5 * table[x],
    }
    for number, (cause, output) in enumerate(mistakes.items()):
        assert planted(tmp_path / str(number), model, x, "0", output) == [cause]


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 4, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table(torch.arange(x.shape[1]).expand(x.shape[:2]))


@pytest.mark.parametrize("shape", [(3, 6, 4), (2, 9, 4)])
def test_positions(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    positions = torch.arange(shape[1]).expand(shape[:2])
    for step, words in ((1, "numbers 1 higher"), (2, "numbers 2 higher"), (None, "zeros")):
        mine = 0 * positions if step is None else positions + step
        program = Program(Positions(), [normal(*shape)], ours={("table", "input"): mine})
        found = causes(tmp_path / words, program)
        assert found == [f"table receives {words} instead of the reference's indices"]
    program = Program(Positions(), [normal(*shape)], ours={("table", "input"): positions * 2})
    assert causes(tmp_path / "other", program) == []


@pytest.mark.parametrize("sizes", [(4, 3), (5, 1)])
def test_a_bilinear_layer(tmp_path: Path, sizes: tuple[int, int]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = nn.Bilinear(sizes[0], *sizes, dtype=torch.float64)

        def forward(self, x: Tensor) -> Tensor:
            return self.both(x, x.tanh())

    net, x = Net(), normal(6, sizes[0])
    with torch.no_grad():
        mistakes = {
            "the two inputs are exchanged": net.both(x.tanh(), x),
            "the bias is left out": net(x) - net.both.bias,
        }
    for number, (cause, output) in enumerate(mistakes.items()):
        assert planted(tmp_path / str(number), net, x, "both", output) == [cause]
