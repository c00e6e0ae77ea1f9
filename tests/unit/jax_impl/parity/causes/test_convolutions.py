"""Convolutions in NumPy against torch's, and the mistakes that ports make with them."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from jax_impl.parity.causes.compute.layers.convolutions import Convolution, convolved
from tests.unit.jax_impl.parity.causes.recorded import Program, causes

SEED = torch.Generator().manual_seed(0)
Shape = tuple[int, ...]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=SEED, dtype=torch.float64)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolutions_are_torch_s(axes: int) -> None:
    for stride, padding, dilation, groups in product((1, 2), (0, 2), (1, 2), (1, 2)):
        x, bias = normal(2, 4, *(7, 8, 6)[:axes]), normal(6)
        weight = normal(6, 4 // groups, *(3, 2, 3)[:axes])
        how = Convolution(
            stride=(stride,) * axes, padding=((padding, padding),) * axes, dilation=(dilation,) * axes, groups=groups
        )
        expected = getattr(functional, f"conv{axes}d")(x, weight, bias, stride, padding, dilation, groups)
        np.testing.assert_allclose(convolved(x.numpy(), weight.numpy(), bias.numpy(), how), expected, 1e-12, 1e-12)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transposed_convolutions_are_torch_s(axes: int) -> None:
    for stride, padding, dilation, groups in product((1, 2), (0, 2), (1, 2), (1, 2)):
        extra = stride - 1
        x, bias, weight = normal(2, 4, *(5, 6, 4)[:axes]), normal(6), normal(4, 6 // groups, *(3, 2, 3)[:axes])
        sides = ((-padding, extra - padding),) * axes
        how = Convolution(
            stride=(stride,) * axes, padding=sides, dilation=(dilation,) * axes, groups=groups, transposed=True
        )
        function = getattr(functional, f"conv_transpose{axes}d")
        expected = function(x, weight, bias, stride, padding, extra, groups, dilation)
        np.testing.assert_allclose(convolved(x.numpy(), weight.numpy(), bias.numpy(), how), expected, 1e-12, 1e-12)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_are_torch_s(mode: str) -> None:
    layer = nn.Conv2d(4, 6, 3, padding=(1, 2), padding_mode=mode, dtype=torch.float64)
    x = normal(2, 4, 7, 8)
    how = Convolution(stride=(1, 1), padding=((1, 1), (2, 2)), dilation=(1, 1), mode=mode)
    found = convolved(x.numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy(), how)  # type: ignore[union-attr]
    np.testing.assert_allclose(found, layer(x).detach(), 1e-12, 1e-12)


def conv(*args: Any, **options: Any) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(*args, **options, dtype=torch.float64))


def transposed(*args: Any, **options: Any) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.ConvTranspose2d(*args, **options, dtype=torch.float64))


def planted(folder: Path, model: nn.Sequential, x: Tensor, output: Callable[[Any, Tensor], Tensor]) -> list[str]:
    """Return the causes found where the port's only layer returns something else."""
    with torch.no_grad():
        mine = output(model[0], x)
    assert mine.shape == model(x).shape
    return causes(folder, Program(model, [x], ours={("0", "output"): mine.numpy()}))


@pytest.mark.parametrize(("size", "kernel"), [(8, 3), (12, 4)])
def test_same_at_stride_2(tmp_path: Path, size: int, kernel: int) -> None:
    def same(layer: Any, x: Tensor) -> Tensor:
        total = kernel - 2
        x = functional.pad(x, (total // 2, total - total // 2) * 2)
        return functional.conv2d(x, layer.weight, layer.bias, 2)

    found = planted(tmp_path, conv(3, 5, kernel, stride=2, padding=1), normal(3, 3, size, size), same)
    # a kernel of 4 needs the same padding on both sides, so nothing is wrong
    assert found == ([] if kernel == 4 else ['padding "SAME", here ((0, 1), (0, 1)), instead of ((1, 1), (1, 1))'])


def test_padding_on_one_side_of_one_axis(tmp_path: Path) -> None:
    def shifted(layer: Any, x: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(x, (0, 2, 1, 1)), layer.weight, layer.bias)

    found = planted(tmp_path, conv(3, 5, 3, padding=1), normal(3, 3, 7, 9), shifted)
    assert found == ["padding ((1, 1), (0, 2)) instead of ((1, 1), (1, 1))"]


@pytest.mark.parametrize("shape", [(2, 4, 6, 6), (3, 4, 5, 8)])
def test_kernels(tmp_path: Path, shape: Shape) -> None:
    def with_kernel(change: Callable[[Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
        return lambda layer, x: functional.conv2d(x, change(layer.weight), layer.bias, 1, 1)

    model, x = conv(4, 4, 3, padding=1), normal(*shape)
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "the kernel is flipped: a convolution, not a correlation": lambda w: w.flip(2, 3),
        "the kernel is flipped along its width": lambda w: w.flip(3),
        "the kernel's inputs and outputs are exchanged": lambda w: w.swapaxes(0, 1),
        "height and width are exchanged, of the kernel or of the images": lambda w: w.swapaxes(2, 3),
        "the kernel is reshaped instead of transposed": lambda w: w.reshape(3, 3, 4, 4).permute(3, 2, 0, 1),
    }
    for number, (cause, change) in enumerate(changes.items()):
        assert planted(tmp_path / str(number), model, x, with_kernel(change)) == [cause]


def test_bias_dilation_groups_and_mode(tmp_path: Path) -> None:
    x = normal(3, 4, 9, 8)
    changes: dict[str, tuple[nn.Sequential, Callable[[Any, Tensor], Tensor]]] = {
        "the bias is left out": (
            conv(4, 6, 3), lambda layer, x: functional.conv2d(x, layer.weight)),
        "the bias is added twice": (
            conv(4, 6, 3), lambda layer, x: functional.conv2d(x, layer.weight, 2 * layer.bias)),
        "dilation (1, 1) instead of (2, 2)": (
            conv(4, 6, 3, padding=2, dilation=2),
            lambda layer, x: functional.conv2d(x, layer.weight, layer.bias, 1, 1)),
        "the output channels of the 2 groups are in another order": (
            conv(4, 6, 3, groups=2), lambda layer, x: layer(x).unflatten(1, (2, 3)).swapaxes(1, 2).flatten(1, 2)
            + (layer.bias - layer.bias.reshape(2, 3).T.reshape(-1))[:, None, None]),
        "padding filled by zeros instead of reflect": (
            conv(4, 6, 3, padding=1, padding_mode="reflect"),
            lambda layer, x: functional.conv2d(x, layer.weight, layer.bias, 1, 1)),
    }  # fmt: skip
    for number, (cause, (model, output)) in enumerate(changes.items()):
        assert planted(tmp_path / str(number), model, x, output) == [cause]


def test_a_padding_mode_of_a_signal(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv1d(2, 3, 5, padding=2, padding_mode="circular", dtype=torch.float64))
    found = planted(tmp_path, model, normal(3, 2, 11), lambda layer, x: functional.conv1d(x, layer.weight, layer.bias,
                                                                                         padding=2))  # fmt: skip
    assert found == ["padding filled by zeros instead of circular"]


@pytest.mark.parametrize(("size", "outputs"), [((4, 4), 5), ((3, 6), 2)])
def test_transposed(tmp_path: Path, size: Shape, outputs: int) -> None:
    model, x = transposed(3, outputs, 3, stride=2, padding=1, output_padding=1), normal(2, 3, *size)

    def same(layer: Any, x: Tensor) -> Tensor:
        full = functional.conv_transpose2d(x, layer.weight, layer.bias, 2)  # one more than twice as large
        return full[:, :, :-1, :-1]

    def unflipped(layer: Any, x: Tensor) -> Tensor:
        return functional.conv_transpose2d(x, layer.weight.flip(2, 3), layer.bias, 2, 1, 1)

    assert planted(tmp_path / "same", model, x, same) == [
        'padding "SAME", here ((2, 1), (2, 1)), instead of ((1, 2), (1, 2))'
    ]
    assert planted(tmp_path / "flip", model, x, unflipped) == ["the kernel is not flipped"]


def test_other_models_dilation_groups_and_bias(tmp_path: Path) -> None:
    """A convolution of sequences, one of volumes by channel, and a transposed one."""
    torch.manual_seed(7)
    sequence = nn.Sequential(nn.Conv1d(4, 6, 3, padding=3, dilation=3)).double()
    volume = nn.Sequential(nn.Conv3d(6, 12, 3, groups=3)).double()
    mistakes: dict[str, tuple[nn.Sequential, Tensor, Callable[[Any, Tensor], Tensor]]] = {
        "dilation (1,) instead of (3,)": (
            sequence, normal(2, 4, 11), lambda layer, x: functional.conv1d(x, layer.weight, layer.bias, 1, 1)),
        "the bias is left out": (
            sequence, normal(2, 4, 11), lambda layer, x: functional.conv1d(x, layer.weight, None, 1, 3, 3)),
        "the input channels of the 3 groups are in another order": (
            volume, normal(2, 6, 4, 5, 4), lambda layer, x: layer(x.unflatten(1, (3, 2)).swapaxes(1, 2).flatten(1, 2))),
        "the bias is added twice": (
            transposed(3, 5, 2, stride=2), normal(2, 3, 4, 5),
            lambda layer, x: layer(x) + layer.bias[:, None, None]),
    }  # fmt: skip
    for number, (cause, (model, x, output)) in enumerate(mistakes.items()):
        assert planted(tmp_path / str(number), model, x, output) == [cause]


def test_an_unknown_change_has_no_cause(tmp_path: Path) -> None:
    x = normal(3, 3, 8, 8)
    assert planted(tmp_path / "a", conv(3, 5, 3), x, lambda layer, x: layer(x) + 0.01 * torch.sin(9 * layer(x))) == []
    assert planted(tmp_path / "b", conv(3, 5, 3), x, lambda layer, x: layer(x)) == []
    assert planted(tmp_path / "c", conv(3, 5, 3), 0 * x, lambda layer, x: layer(x) + 1) == []
