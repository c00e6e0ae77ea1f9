"""The model in another precision: everything converts, starts anew at each pass, and comes back."""

from typing import Any

import pytest
import torch
from torch import nn

from torch_ref.record.arrays import Recording
from torch_ref.record.noise import Noise
from torch_ref.record.program.workspace import RandomState, Workspace, settled


class Odd(nn.Module):
    """A model with state in every place where modules keep some."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = nn.RMSNorm(2)
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("steps", torch.tensor(0))
        self.mask, self.count, self.hidden = torch.eye(2), 0, None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        self.steps += 1
        self.hidden = self.linear(x) @ self.mask
        self.mean = self.mean + self.hidden.detach().mean(0)
        self.extra = "left behind"
        self.register_buffer("late", torch.ones(1))
        return self.norm(self.hidden + self.mean)


def opened(model: nn.Module, dtype: torch.dtype | None = torch.float64, *constants: Any) -> Workspace:
    workspace = Workspace(model, constants, dtype)
    workspace.reset(Recording())
    return workspace


def test_all_of_a_model_converts_and_comes_back() -> None:
    model, weight = Odd(), torch.ones(2)
    before = {name: (id(tensor), tensor.clone()) for name, tensor in model.state_dict(keep_vars=True).items()}
    attributes, buffers = set(vars(model)), set(model._buffers)
    workspace = opened(model, torch.float64, weight)
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float64}
    assert (model.mean.dtype, model.steps.dtype, model.mask.dtype) == (torch.float64, torch.int64, torch.float64)
    assert weight.dtype == torch.float64
    model(torch.ones(3, 2).double()).sum().backward()
    with torch.no_grad():
        model.linear.weight += 1
        weight += 1
    workspace.close()
    assert {name: id(tensor) for name, tensor in model.state_dict(keep_vars=True).items()} == {
        name: identity for name, (identity, _) in before.items()
    }
    assert all(before[name][1].equal(tensor) for name, tensor in model.state_dict().items())
    assert (set(vars(model)), set(model._buffers)) == (attributes, buffers)
    assert (model.count, model.hidden, model.mask.dtype, model.norm.eps) == (0, None, torch.float32, None)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert weight.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [torch.float64, None])
def test_every_reset_starts_anew(dtype: torch.dtype | None) -> None:
    model = Odd()
    workspace = opened(model, dtype)
    x = torch.ones(3, 2, dtype=dtype)
    outputs = []
    for _ in range(2):
        workspace.reset(Recording())
        outputs.append(model(x))
        outputs[-1].sum().backward()
        with torch.no_grad():
            model.linear.weight.mul_(2)
        model.linear.bias.data = torch.ones(2, dtype=dtype)
        model.linear.bias.requires_grad_(False)
    assert outputs[0].equal(outputs[1])
    workspace.reset(Recording())
    assert (model.count, model.steps.item(), model.linear.bias.requires_grad) == (0, 0, True)
    workspace.close()


def test_tied_weights_stay_tied() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model[2].weight.data = model[0].weight.data
    workspace = opened(model)
    with torch.no_grad():
        model[0].weight.fill_(5)
    assert model[1].weight is model[0].weight
    assert model[2].weight.equal(model[0].weight)
    workspace.reset(Noise(Recording(), 1, torch.device("cpu"), torch.float64))
    assert model[2].weight.equal(model[0].weight)
    workspace.close()
    assert model[2].weight.data_ptr() == model[0].weight.data_ptr()


def test_a_noisy_reset_moves_every_parameter() -> None:
    model = nn.Linear(30, 30)
    workspace = opened(model)
    before = model.weight.clone()
    workspace.reset(Noise(Recording(), 1, torch.device("cpu"), torch.float64))
    assert ((model.weight - before).abs() <= 2**-52 * before.abs()).all()
    assert (model.weight != before).double().mean() > 0.7  # a number just above a power of two may round back
    workspace.close()


@pytest.mark.parametrize(
    ("dtype", "epsilon"),
    [(torch.float32, 2**-23), (torch.bfloat16, 2**-23), (torch.float16, 2**-23), (torch.float64, 2**-52)],
)
def test_rmsnorm_keeps_the_epsilon_of_its_own_dtype(dtype: torch.dtype, epsilon: float) -> None:
    """torch computes smaller dtypes in float32, with its epsilon."""
    model = nn.RMSNorm(2, dtype=dtype)
    x = torch.tensor([1e-3, -2e-3], dtype=dtype)
    expected = model(x).double()
    workspace = opened(model)
    assert model.eps == epsilon
    # Half an ulp of the result, and the rounding of float32 before it
    assert torch.allclose(model(x.double()), expected, rtol=torch.finfo(dtype).eps, atol=0)
    workspace.close()
    assert model.eps is None


def test_modes_are_the_users_where_they_differ() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
    model[0].eval()
    workspace = opened(model)
    workspace.train(False)
    assert not any(module.training for module in model.modules())
    workspace.train(True)
    assert [module.training for module in model.modules()] == [True, False, True]
    assert workspace.frozen() == ["0"]
    workspace.close()
    model.eval()
    workspace = opened(model)
    workspace.train(True)
    assert all(module.training for module in model.modules())
    assert workspace.frozen() == []
    workspace.close()
    assert not any(module.training for module in model.modules())


def precisions() -> list[str]:
    backends = torch.backends
    owners = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
    return [owner.fp32_precision for owner in owners]


def test_torch_is_settled_only_while_recording() -> None:
    """New tensors are float64, encoders take the path whose layers are called, and products are not rounded."""
    torch.set_float32_matmul_precision("medium")
    before = precisions()
    try:
        with pytest.raises(ZeroDivisionError), torch.no_grad(), settled(torch.float64):
            assert torch.zeros(1).dtype == torch.float64
            assert not torch.backends.mha.get_fastpath_enabled()
            assert set(precisions()) == {"ieee"}
            assert torch.backends.cudnn.deterministic
            assert torch.is_grad_enabled()
            raise ZeroDivisionError
        assert torch.zeros(1).dtype == torch.float32
        assert torch.backends.mha.get_fastpath_enabled()
        assert precisions() == before != ["ieee"] * 4
        assert torch.get_float32_matmul_precision() == "medium"
        assert not torch.backends.cudnn.deterministic
    finally:
        torch.set_float32_matmul_precision("highest")
    with settled(None):
        assert torch.zeros(1).dtype == torch.float32


def test_random_states_come_back() -> None:
    state = RandomState()
    drawn = torch.rand(3)
    state.restore()
    assert torch.rand(3).equal(drawn)
