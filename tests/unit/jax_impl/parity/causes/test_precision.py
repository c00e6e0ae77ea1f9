"""Roundings in NumPy against ml_dtypes', and ports that compute in a smaller dtype."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from jax_impl.parity.causes.compute.layers.rounding import is_exact, rounded
from tests.unit.jax_impl.parity.causes.recorded import Program, causes

SEED = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=SEED, dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:overflow")
def test_roundings_are_those_of_ml_dtypes() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000) * 10.0 ** rng.integers(-9, 5, 5000)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 70000.0, 1.00390625, 1 + 3 * 2.0**-8, 1 - 2.0**-9]
    x = np.concatenate([x, special]).astype(np.float32).astype(np.float64)  # ml_dtypes rounds by float32
    for dtype, known in (("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16), ("float32", np.float32)):
        np.testing.assert_array_equal(rounded(x, dtype), x.astype(np.float32).astype(known).astype(np.float64))
        assert is_exact(rounded(x, dtype), dtype)
    assert not is_exact(x, "bfloat16")


def test_tf32_keeps_ten_bits() -> None:
    x = np.array([1024.5, 1025.5, -1024.5, 1 + 2.0**-10, 1 + 2.0**-12])
    np.testing.assert_array_equal(rounded(x, "TF32"), [1024, 1026, -1024, 1 + 2.0**-10, 1])
    np.testing.assert_array_equal(rounded(x, "TF32", away=True), [1025, 1026, -1025, 1 + 2.0**-10, 1])
    np.testing.assert_array_equal(rounded(x, "TF32", cut=True), [1024, 1025, -1024, 1 + 2.0**-10, 1])


def model() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Conv1d(1, 4, 3)).double()


def inputs(net: nn.Sequential) -> tuple[Tensor, Tensor]:
    x = normal(6, 1, 12)
    with torch.no_grad():
        return x, net[:2](x)


def outputs(net: nn.Sequential, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """The two layers' outputs."""
    with torch.no_grad():
        return net[0](x), net[2](hidden)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_results_in_a_dtype(tmp_path: Path, dtype: str) -> None:
    net = model()
    x, _ = inputs(net)
    kind = getattr(torch, dtype)
    with torch.no_grad():
        low = functional.linear(x.to(kind), net[0].weight.to(kind), net[0].bias.to(kind))  # type: ignore[operator, union-attr]
        mine = {("0", "output"): low.double(), ("2", "input"): functional.gelu(net[0](x).to(kind)).double()}
    assert causes(tmp_path, Program(net, [x], ["1"], mine)) == [f"computed in {dtype} instead of float32"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "TF32"])
@pytest.mark.parametrize("layer", ["0", "2"])
def test_products_of_rounded_numbers(tmp_path: Path, dtype: str, layer: str) -> None:
    net, lower = model(), model()
    x, hidden = inputs(net)

    def cut(values: Tensor) -> Tensor:
        return torch.from_numpy(rounded(values.detach().numpy(), dtype))

    module = lower[int(layer)]
    module.weight.data = cut(module.weight)  # type: ignore[arg-type, union-attr]
    mine = outputs(lower, cut(x), cut(hidden))[0 if layer == "0" else 1].float().double()  # sums in float32
    found = causes(tmp_path, Program(net, [x], ["1"], {(layer, "output"): mine}))
    name = "bfloat16" if dtype == "bfloat16" else "TF32 or float16, which is the same here"
    assert found == [f"products of inputs and weights rounded to {name}"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_kernels_and_attention_scores_of_rounded_numbers(tmp_path: Path, dtype: str) -> None:
    """Another model: strided convolutions of images, one of them transposed."""
    torch.manual_seed(8)
    layers = [nn.Conv2d(3, 6, 3, stride=2), nn.ConvTranspose2d(6, 2, 2, stride=2)]
    net = nn.Sequential(*layers).double()
    kind, x = getattr(torch, dtype), normal(4, 3, 11, 9)
    with torch.no_grad():
        first = functional.conv2d(x.to(kind).double(), net[0].weight.to(kind).double(), net[0].bias, 2)  # type: ignore[operator, union-attr, arg-type]
        whole = net[0](x).to(kind).double()
    name = "bfloat16" if dtype == "bfloat16" else "TF32 or float16, which is the same here"
    found = causes(tmp_path / "products", Program(net, [x], ours={("0", "output"): first.float().double()}))
    assert found == [f"products of inputs and weights rounded to {name}"]
    found = causes(tmp_path / "results", Program(net, [x], ours={("0", "output"): whole}))
    assert found == [f"computed in {dtype} instead of float32"]


def test_other_small_errors_are_no_rounding(tmp_path: Path) -> None:
    net = model()
    x, hidden = inputs(net)
    first, second = outputs(net, x, hidden)
    noise = 1 + 2e-3 * normal(*first.shape)
    for number, mine in enumerate((first * noise, first * 1.001, rounded((first * 1.02).numpy(), "bfloat16"))):
        assert causes(tmp_path / str(number), Program(net, [x], ["1"], {("0", "output"): mine})) == []
    assert causes(tmp_path / "exact", Program(net, [x], ["1"], {("2", "output"): second})) == []
