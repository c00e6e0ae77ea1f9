"""Gradients of a kernel in NumPy agree with torch's, and statistics of a norm without gradients are named."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from jax_impl.parity.causes.compute.layers.convolutions import Convolution, kernel_gradient
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Call, Forward, Pass
from jax_impl.parity.rungs.gradients import gradients as rung
from tests.unit.jax_impl.parity.causes.in_memory import UNIT, causes, record

LABELS = torch.arange(6) % 5


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"stride": 2, "padding": 1},
        {"padding": 2, "dilation": 2},
        {"groups": 2, "padding": 1},
    ],
)
def test_the_gradient_of_a_kernel_is_torch_s(options: dict[str, int], transposed: bool) -> None:
    torch.manual_seed(0)
    groups, padding = options.get("groups", 1), options.get("padding", 0)
    shape = (4, 6 // groups, 3, 2) if transposed else (6, 4 // groups, 3, 2)
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 4, 9, 8, dtype=torch.float64)
    y = (functional.conv_transpose2d if transposed else functional.conv2d)(x, weight, **options)  # type: ignore[arg-type, operator]
    slope = torch.randn_like(y)
    y.backward(slope)
    both = [(options.get(name, 1),) * 2 for name in ("stride", "dilation")]
    sides = ((-padding, -padding) if transposed else (padding, padding),) * 2
    how = Convolution(stride=both[0], padding=sides, dilation=both[1], groups=groups, transposed=transposed)
    assert weight.grad is not None
    np.testing.assert_allclose(kernel_gradient(x.numpy(), slope.numpy(), (3, 2), how), weight.grad, atol=1e-12)


class Still(nn.Module):
    """A norm whose mean, variance or both are constants in backpropagation."""

    def __init__(self, norm: nn.Module, words: str) -> None:
        super().__init__()
        self.norm, self.words = norm, words

    def forward(self, x: Tensor) -> Tensor:
        axes = (x.ndim - 1,) if isinstance(self.norm, nn.LayerNorm) else (0, *range(2, x.ndim))
        shape = (1, -1, *(1,) * (x.ndim - 2)) if len(axes) > 1 or axes == (0,) else (-1,)
        mean, var = x.mean(axes, keepdim=True), x.var(axes, keepdim=True, unbiased=False)
        mean = mean.detach() if "mean" in self.words else mean
        var = var.detach() if "variance" in self.words else var
        y = (x - mean) / torch.sqrt(var + self.norm.eps)  # type: ignore[operator]
        found: Tensor = y * self.norm.weight.reshape(shape) + self.norm.bias.reshape(shape)  # type: ignore[operator, union-attr]
        return found


class Net(nn.Module):
    """Two layers, each with a norm, and a linear one. `kind` says of what the norms are, and how they are joined."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "images":
            self.a, self.b = nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.ConvTranspose2d(4, 4, 2)
            self.norm_a, self.norm_b = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        else:
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 4)
            norm = nn.BatchNorm1d if kind == "rows" else nn.LayerNorm
            self.norm_a, self.norm_b = norm(4), norm(4)
        self.drop, self.head = nn.Dropout(0.4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm_a(self.a(x)))
        y = self.b(x)
        y = self.norm_b(y) if self.kind in ("images", "rows") else self.norm_b(x + self.drop(y))
        found: Tensor = self.head(y.mean((2, 3)) if self.kind == "images" else self.pooled(y))
        return found

    def pooled(self, y: Tensor) -> Tensor:
        return y.mean(1) if self.kind == "mean" else y[:, 0] if self.kind == "first" else y


def pair(kind: str, words: str, ours: float = 1.0) -> Pair:
    """Return records of the gradients of a network and of one whose norms have constant statistics."""
    torch.manual_seed(0)
    net = Net(kind).double()
    for one in net.parameters():
        one.data.add_(torch.rand_like(one) / 2)
    weights = {name: one.detach().numpy().copy() for name, one in net.named_parameters()}
    modules = {path: (type(one).__name__, settings(one)) for path, one in net.named_modules()}
    first, second = (record(side, weights, modules) for side in ("torch", "jax"))
    calls: list[Call] = []
    orders: dict[str, int] = {}
    for path, one in net.named_modules():
        one.register_forward_pre_hook(lambda *_, path=path: orders.update({path: len(orders)}))
        one.register_forward_hook(lambda _, x, y, path=path: calls.append(Call(
            module=path, call=0, order=orders[path], inputs=[first.put("forward", x[0].detach().numpy())],
            outputs=[first.put("forward", y.detach().numpy())])))  # fmt: skip
    shape = {"images": (6, 3, 7, 7), "rows": (6, 3), "plain": (6, 3)}.get(kind, (6, 4, 3))
    x = torch.randn(shape, dtype=torch.float64)
    grads = []
    for factor in (1.0, ours):
        net.zero_grad()
        torch.manual_seed(1)
        loss = functional.cross_entropy(net(x), LABELS)
        (factor * loss).backward()
        grads.append({name.replace(".norm.", "."): one.grad.numpy().copy() for name, one in net.named_parameters()
                      if one.grad is not None})  # fmt: skip
        if len(grads) == 1:
            listed = list(calls)
            net.norm_a, net.norm_b = (Still(one, words) for one in (net.norm_a, net.norm_b))  # type: ignore[assignment]
    passes = Pass(free=listed, loss=loss.item(), loss_noise=1e-15)
    batch = {"tuple": [{"array": vars(first.put("batches", one.numpy()))} for one in (x, LABELS)]}
    noise = (
        50 * UNIT * max(float(np.linalg.norm(array)) for array in grads[0].values())
    )  # sums that cancel have it, too
    first.change(forward=Forward(train=passes), batches=[batch], gradients={
        name: first.put("steps", array, noise=noise) for name, array in grads[0].items()})  # fmt: skip
    second.change(forward=Forward(train=Pass(free=[], loss=loss.item())), gradients={
        name: second.put("steps", array) for name, array in grads[1].items()})  # fmt: skip
    return Pair(first, second, 0.01)


def settings(module: nn.Module) -> dict[str, Any]:
    plain = {name: value for name, value in vars(module).items() if isinstance(value, int | float | str | tuple)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


@pytest.mark.parametrize("kind", ["images", "rows", "plain", "mean", "first"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("mean variance", "mean and variance of norm_b are constants"),
        ("mean", "the mean of norm_b is a constant"),
        ("variance", "the variance of norm_b is a constant"),
    ],
)
def test_statistics_without_gradients_are_the_only_cause(kind: str, words: str, told: str) -> None:
    found = causes(pair(kind, words), "gradients", 9, rung)
    assert [one.cause for one in found] == [f"statistics without gradients: {told} in backpropagation"]


@pytest.mark.parametrize("kind", ["images", "rows", "mean"])
def test_norms_that_backpropagate_are_no_cause(kind: str) -> None:
    assert not rung(pair(kind, "")).failures


@pytest.mark.parametrize("kind", ["images", "mean"])
def test_another_factor_is_not_taken_for_it(kind: str) -> None:
    found = causes(pair(kind, "", 2.0), "gradients", 9, rung)
    assert [one.cause for one in found] == ["all gradients are 2 × the reference's, and the loss agrees"]
