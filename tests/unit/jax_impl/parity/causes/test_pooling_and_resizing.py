"""Pooling and resizing in NumPy against torch's and JAX's, and the mistakes that ports make with them."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from jax_impl.parity.causes.compute.layers.pooling import Pooling, adaptively_pooled, number_of_windows, pooled
from jax_impl.parity.causes.compute.layers.resizing import Resizing, resized
from tests.unit.jax_impl.parity.causes.recorded import Program, causes

SEED = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=SEED, dtype=torch.float64)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_pooling_is_torch_s(axes: int) -> None:
    x = normal(2, 3, *(7, 8, 6)[:axes])
    for kernel, stride, padding, ceil in product((2, 3), (1, 2, 3), (0, 1), (False, True)):
        size = tuple(number_of_windows(length, kernel, stride, padding, 1, ceil=ceil) for length in x.shape[2:])
        all_axes = {"kernel": kernel, "stride": stride, "before": padding, "after": padding, "dilation": 1}
        how: Any = {name: (number,) * axes for name, number in all_axes.items()} | {"size": size}
        expected = getattr(functional, f"max_pool{axes}d")(x, kernel, stride, padding, 1, ceil)
        np.testing.assert_allclose(pooled(x.numpy(), Pooling(kind="max", **how)), expected)
        for counted in (True, False):
            expected = getattr(functional, f"avg_pool{axes}d")(x, kernel, stride, padding, ceil, counted)
            found = pooled(x.numpy(), Pooling(kind="mean", counted=counted, **how))
            np.testing.assert_allclose(found, expected, 1e-12, 1e-12)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 5)])
def test_adaptive_pooling_is_torch_s(size: tuple[int, int]) -> None:
    x = normal(2, 3, 7, 8)
    for kind, function in (("mean", functional.adaptive_avg_pool2d), ("max", functional.adaptive_max_pool2d)):
        np.testing.assert_allclose(adaptively_pooled(x.numpy(), size, kind), function(x, size), 1e-12, 1e-12)


@pytest.mark.parametrize("size", [(4, 5), (14, 11), (7, 16)])
def test_resizing_is_torch_s_and_jax_s(size: tuple[int, int]) -> None:
    x = normal(2, 3, 7, 8)
    ways = {"nearest": Resizing(kernel="nearest", places="origin"), "nearest-exact": Resizing(kernel="nearest"),
            "area": Resizing(kernel="area")}  # fmt: skip
    for mode, way in ways.items():
        np.testing.assert_allclose(resized(x.numpy(), size, way), functional.interpolate(x, size, mode=mode))
    for mode, kernel in (("bilinear", "linear"), ("bicubic", "cubic")):
        for places in ("half-pixel", "corners"):
            expected = functional.interpolate(x, size, mode=mode, align_corners=places == "corners")
            found = resized(x.numpy(), size, Resizing(kernel=kernel, places=places))
            np.testing.assert_allclose(found, expected, 1e-12, 1e-12)
    for kernel, antialias in product(("nearest", "linear", "cubic", "lanczos3", "lanczos5"), (False, True)):
        method = Resizing(kernel=kernel, antialias=antialias, sharpness=-0.5, clamped=False)
        with jax.enable_x64(True):
            same = jax.image.resize(x.numpy(), (2, 3, *size), kernel, antialias=antialias)
        np.testing.assert_allclose(resized(x.numpy(), size, method), same, atol=1e-6)  # JAX's epsilon is float32's


def test_resizing_by_a_scale_factor_is_torch_s() -> None:
    x = normal(2, 3, 7, 8)
    expected = functional.interpolate(x, scale_factor=1.7, mode="bilinear")
    found = resized(x.numpy(), expected.shape[2:], Resizing(kernel="linear"), (1.7, 1.7))
    np.testing.assert_allclose(found, expected, 1e-12, 1e-12)


class Between(nn.Module):
    """A function or a module between two convolutions of one pixel, of which the port has no counterpart."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first = nn.Conv2d(3, 4, 1, dtype=torch.float64)
        nn.init.constant_(self.first.bias, -1.0)  # type: ignore[arg-type]
        self.function = function
        self.second = nn.Conv2d(4, 2, 1, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.function(self.first(x)))


def planted(
    folder: Path, function: Callable[[Tensor], Tensor], mine: Callable[[Tensor], Tensor], size: Sequence[int]
) -> list[str]:
    """Return the causes found where the port hands something else to the second convolution."""
    model, x = Between(function), normal(3, 3, *size)
    with torch.no_grad():
        handed = mine(model.first(x))
        assert handed.shape == function(model.first(x)).shape
    unseen = [path for path, _ in model.named_modules() if path.startswith("function")]
    return causes(folder, Program(model, [x], functions=unseen, ours={("second", "input"): handed.numpy()}))


Case = tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
POOLING: list[Case] = [
    ("function: mean instead of maximum", nn.MaxPool2d(2), lambda x: functional.avg_pool2d(x, 2)),
    ("mean instead of maximum", lambda x: functional.max_pool2d(x, 2), lambda x: functional.avg_pool2d(x, 2)),
    (
        "mean instead of maximum",
        lambda x: functional.max_pool2d(torch.relu(x), 2),
        lambda x: functional.avg_pool2d(torch.relu(x), 2),
    ),
    ("function: maximum instead of mean", nn.AvgPool2d(3, 2, 1), lambda x: functional.max_pool2d(x, 3, 2, 1)),
    (
        'function: padding "SAME", here ((0, 1), (0, 1)), instead of ((1, 1), (1, 1))',
        nn.MaxPool2d(3, 2, 1),
        lambda x: functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2),
    ),
    (
        "function: padded by zeros instead of -inf",
        nn.MaxPool2d(3, 2, 1),
        lambda x: functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, 2),
    ),
    (
        "function: the mean leaves out the padding, where torch's counts it",
        nn.AvgPool2d(3, 2, 1),
        lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    ("function: windows of (2, 2) instead of (3, 3)", nn.MaxPool2d(3, 2), lambda x: functional.max_pool2d(x, 2, 2)),
    ("function: maximum instead of mean", nn.AdaptiveAvgPool2d(1), lambda x: x.amax((2, 3), keepdim=True)),
    ("maximum instead of mean", lambda x: x.mean((2, 3), keepdim=True), lambda x: x.amax((2, 3), keepdim=True)),
    (
        "function.1: mean instead of maximum",
        nn.Sequential(nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(1), nn.Unflatten(1, (4, 3, -1))),
        lambda x: functional.avg_pool2d(x.tanh(), 2),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", POOLING, ids=[f"{number}: {one[0]}" for number, one in enumerate(POOLING)])
def test_pooling(tmp_path: Path, case: Case) -> None:
    cause, function, mine = case
    size = (6, 8)
    if "windows" in cause:  # the same number of windows
        size = (7, 9)
        assert planted(tmp_path, function, mine, size) == [cause]
    else:
        assert planted(tmp_path, function, mine, size) == [cause]
        assert planted(tmp_path / "exactly", function, function, size) == []


def interpolated(*size: int, **options: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: functional.interpolate(x, size, **options)


def jax_resized(*size: int, method: str, antialias: bool = True) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        with jax.enable_x64(True):
            found = jax.image.resize(x.detach().numpy(), (*x.shape[:2], *size), method, antialias=antialias)
            return torch.from_numpy(np.array(found, np.float64))

    return function


LINEAR = "linear with antialias instead of linear"
CUBIC = "cubic with a = -0.5 (JAX's) instead of cubic with a = -0.75 (torch's)"
NEAREST = (
    "nearest, from each pixel's centre (JAX's nearest, torch's nearest-exact) instead of "
    "nearest, from each pixel's corner (torch's nearest)"
)
CORNERS = "linear instead of linear with align_corners"
RESIZING: list[Case] = [
    (f"function: resized by {LINEAR}", nn.Upsample((4, 5), mode="bilinear"), jax_resized(4, 5, method="linear")),
    (f"resized by {LINEAR}", interpolated(4, 5, mode="bilinear"), jax_resized(4, 5, method="linear")),
    (f"function: resized by {CUBIC}", nn.Upsample((11, 13), mode="bicubic"), jax_resized(11, 13, method="cubic")),
    (f"function: resized by {NEAREST}", nn.Upsample((4, 5)), jax_resized(4, 5, method="nearest")),
    (f"function: resized by {CORNERS}", nn.Upsample((11, 13), mode="bilinear", align_corners=True),
     interpolated(11, 13, mode="bilinear")),
    (f"function: resized by {CORNERS}", nn.UpsamplingBilinear2d((9, 15)), interpolated(9, 15, mode="bilinear")),
    ("function: height and width of the images are exchanged", nn.Upsample((4, 5), mode="bilinear"),
     lambda x: functional.interpolate(x.swapaxes(2, 3), (4, 5), mode="bilinear")),
    ("function: places by the ratio of sizes instead of scale_factor (1.7, 1.7)",
     nn.Upsample(scale_factor=1.7, mode="bilinear"), interpolated(11, 13, mode="bilinear")),
]  # fmt: skip


@pytest.mark.parametrize("case", RESIZING, ids=[f"{number}: {one[0]}" for number, one in enumerate(RESIZING)])
def test_resizing(tmp_path: Path, case: Case) -> None:
    cause, function, mine = case
    assert planted(tmp_path, function, mine, (7, 8)) == [cause]
    assert (
        planted(tmp_path / "scaled", function, lambda x: function(x) + 0.01 * torch.sin(9 * function(x)), (7, 8)) == []
    )


@pytest.mark.parametrize(
    ("cause", "layer", "shape", "mine"),
    [
        ("height and width of the images are exchanged", nn.Upsample((9, 11), mode="bicubic"), (2, 3, 7, 6),
         lambda x: functional.interpolate(x.swapaxes(2, 3), (9, 11), mode="bicubic")),
        ("places by the ratio of sizes instead of scale_factor (2.3,)", nn.Upsample(scale_factor=2.3, mode="linear"),
         (2, 3, 9), interpolated(20, mode="linear")),
    ],
)  # fmt: skip
def test_a_model_that_only_resizes(
    tmp_path: Path, cause: str, layer: nn.Module, shape: tuple[int, ...], mine: Callable[[Tensor], Tensor]
) -> None:
    x = normal(*shape)
    assert causes(tmp_path, Program(nn.Sequential(layer), [x], ours={("0", "output"): mine(x).numpy()})) == [cause]
