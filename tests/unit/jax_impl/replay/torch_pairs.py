"""`TorchGenerator` and torch's own generator side by side, and what it means that they agree."""

import numpy as np
import pytest
import torch

from jax_impl.replay.generator import TorchGenerator

MILLION = 10**6
SEEDS = [0, 777, 2**32 - 1, 2**32 + 5, 2**63 - 1, 2**63, 2**64 - 1, -1, -777, -(2**32), -(2**63)]
SIZES = [1, 2, 7, 15, 16, 17, 100, 1000, 9973, 60_000]
TORCH = {np.float32: torch.float32, np.float64: torch.float64}

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# Without fused multiply-adds torch rounds twice, and then does not agree with its own AVX2 kernels either.
fused = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in {"AVX2", "AVX512"}, reason="torch runs without AVX2 here"
)


def pair(seed: int = 777) -> tuple[TorchGenerator, torch.Generator]:
    return TorchGenerator(seed), torch.Generator().manual_seed(seed)


def assert_in_step(ours: TorchGenerator, theirs: torch.Generator) -> None:
    """Both have made the same number of draws and keep the same normal for later: the states agree in every byte."""
    np.testing.assert_array_equal(ours.state(), theirs.get_state().numpy())


def assert_same(actual: np.ndarray, expected: torch.Tensor) -> None:
    assert actual.dtype == expected.numpy().dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected.numpy())


def assert_same_normals(actual: np.ndarray, expected: torch.Tensor, mean: float, std: float) -> None:
    """Agreement up to what log, sin and cos may round differently in NumPy and in torch's vectorised copies of them.

    Largest difference measured over 10^6 draws: 6e-7 std in float32 and 6e-16 std in float64. The addition of the
    mean can then round to the other neighbour, which the spacing at the largest magnitude allows for.
    """
    assert actual.dtype == expected.numpy().dtype
    assert actual.shape == expected.shape
    scale = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 2e-15}[actual.dtype] * std
    ulp = np.spacing(actual.dtype.type(abs(mean) + 6 * std)) if mean else 0.0
    np.testing.assert_allclose(actual, expected.numpy(), rtol=0, atol=scale + ulp)
