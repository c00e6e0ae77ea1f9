"""Norms of four kinds, each in a model of its own: epsilon, statistics, weight and bias, where they are planted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.unit.jax_impl.parity.causes.recorded import Program, causes

SEED = torch.Generator().manual_seed(0)
Mistake = Callable[[Any, Tensor], Tensor]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=SEED, dtype=torch.float64)


def net(layer: nn.Module, norm: nn.Module) -> nn.Sequential:
    """Return a layer and a norm with weights that are neither zero nor one."""
    model = nn.Sequential(layer, norm).double()
    for name, array in norm.state_dict().items():
        if array.is_floating_point():
            array.copy_(normal(*array.shape).abs() + 0.5 if "bias" not in name else normal(*array.shape))
    return model


IMAGES, ROWS = (4, 3, 6, 5), (20, 7)
MODELS: dict[str, tuple[Callable[[], nn.Sequential], tuple[int, ...]]] = {
    "images": (lambda: net(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), IMAGES),
    "rows": (lambda: net(nn.Linear(7, 5), nn.BatchNorm1d(5)), ROWS),
    "groups": (lambda: net(nn.Conv2d(3, 6, 1), nn.GroupNorm(2, 6)), IMAGES),
    "layers": (lambda: net(nn.Linear(7, 9), nn.LayerNorm(9, eps=1e-6)), (3, 4, 7)),
    "roots": (lambda: net(nn.Linear(7, 8), nn.RMSNorm(8, eps=1e-5)), (3, 4, 7)),
}


def batch_normed(norm: Any, x: Tensor, *, training: bool = True, **changes: Any) -> Tensor:
    settings = {"weight": norm.weight, "bias": norm.bias, "eps": norm.eps} | changes
    statistics = (None, None) if training else (norm.running_mean, norm.running_var)
    return functional.batch_norm(x, *statistics, settings["weight"], settings["bias"], training, 0.0, settings["eps"])


def over_fewer(norm: Any, x: Tensor) -> Tensor:
    """Normalise by the variance over n - 1."""
    axes = [0, *range(2, x.ndim)]
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, keepdim=True)
    weight, bias = (one.reshape(-1, *[1] * (x.ndim - 2)) for one in (norm.weight, norm.bias))
    return (x - mean) / (variance + norm.eps).sqrt() * weight + bias


def on_the_root(norm: Any, x: Tensor) -> Tensor:
    root = x.var(-1, unbiased=False, keepdim=True).sqrt()
    return (x - x.mean(-1, keepdim=True)) / (root + norm.eps) * norm.weight + norm.bias


def grouped_on_the_root(norm: Any, x: Tensor) -> Tensor:
    groups = x.unflatten(1, (2, 3))
    root = groups.var((2, 3, 4), unbiased=False, keepdim=True).sqrt()
    y = ((groups - groups.mean((2, 3, 4), keepdim=True)) / (root + norm.eps)).flatten(1, 2)
    return y * norm.weight[:, None, None] + norm.bias[:, None, None]


def centred(norm: Any, x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], norm.weight, None, norm.eps)


def not_centred(norm: Any, x: Tensor) -> Tensor:
    return functional.rms_norm(x, x.shape[-1:], norm.weight, norm.eps) + norm.bias


PLANTED: list[tuple[str, str, Mistake]] = [
    ("epsilon 0.001 instead of 1e-05", "images", lambda norm, x: batch_normed(norm, x, eps=1e-3)),
    ("epsilon 1e-06 instead of 1e-05", "rows", lambda norm, x: batch_normed(norm, x, eps=1e-6)),
    ("epsilon 1e-06 instead of 1e-05", "groups",
     lambda norm, x: functional.group_norm(x, 2, norm.weight, norm.bias, 1e-6)),
    ("epsilon 1e-06 added to the root instead of the variance", "layers", on_the_root),
    ("epsilon 1e-05 added to the root instead of the variance", "groups", grouped_on_the_root),
    ("epsilon 0.001 instead of 1e-05", "roots", lambda norm, x: functional.rms_norm(x, (8,), norm.weight, 1e-3)),
    ("the variance over n - 1 instead of n", "images", over_fewer),
    ("the variance over n - 1 instead of n", "rows", over_fewer),
    ("the running statistics instead of the batch's statistics, in training mode", "images",
     lambda norm, x: batch_normed(norm, x, training=False)),
    ("the mean is not subtracted", "layers", not_centred),
    ("the mean is subtracted", "roots", centred),
    ("weight and bias are not applied", "rows", lambda norm, x: batch_normed(norm, x, weight=None, bias=None)),
    ("weight and bias are not applied", "groups", lambda norm, x: functional.group_norm(x, 2, eps=norm.eps)),
    ("weight and bias are not applied", "roots", lambda norm, x: functional.rms_norm(x, (8,), eps=norm.eps)),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "name", "mistake"), PLANTED, ids=[f"{one[1]}: {one[0]}" for one in PLANTED])
def test_a_planted_cause_is_the_only_one_confirmed(tmp_path: Path, cause: str, name: str, mistake: Mistake) -> None:
    make, shape = MODELS[name]
    model, x = make(), normal(*shape)
    with torch.no_grad():
        mine = mistake(model[1], model[0](x))
    assert causes(tmp_path, Program(model, [x], ours={("1", "output"): mine.numpy()})) == [cause]


@pytest.mark.parametrize("name", MODELS)
def test_other_numbers_have_no_cause(tmp_path: Path, name: str) -> None:
    make, shape = MODELS[name]
    model, x = make(), normal(*shape)
    with torch.no_grad():
        right = model.train()(x)
    wrong = (right + 0.01 * torch.sin(9 * right)).numpy()
    assert causes(tmp_path / "wrong", Program(model, [x], ours={("1", "output"): wrong})) == []
    assert causes(tmp_path / "right", Program(model, [x])) == []
