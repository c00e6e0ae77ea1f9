"""`TorchGenerator` and torch's own generator side by side, and what it means that they agree."""

import numpy as np
import pytest
import torch

from jax_impl.replay.generator import TorchGenerator
from tests.tiers import slow

MILLION = 10**6
SEEDS = [0, 777, 2**32 - 1, 2**32 + 5, 2**63 - 1, 2**63, 2**64 - 1, -1, -777, -(2**32), -(2**63)]
SIZES = [1, 2, 7, 15, 16, 17, 100, 1000, 9973, 60_000]
TORCH = {np.float32: torch.float32, np.float64: torch.float64}
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}

all_dtypes = pytest.mark.parametrize("dtype", ["float32", slow("float64"), slow("float16"), "bfloat16"])
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# Without fused multiply-adds, torch's blocks of float32 normal numbers call the C library's own logf, sinf and cosf.
fused = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in {"AVX2", "AVX512"}, reason="torch runs without AVX2 here"
)


def platform() -> str:
    """Return which of torch's kernels run here."""
    theirs, words = torch.Generator().manual_seed(0), TorchGenerator(0)
    torch.empty(100).bernoulli_(0.5, generator=theirs)
    words.words(1)
    if np.array_equal(words.state(), theirs.get_state().numpy()):
        return "mkl"
    return "avx2" if torch.backends.cpu.get_cpu_capability() in {"AVX2", "AVX512"} else "default"


PLATFORM = platform()


def pair(seed: int = 777) -> tuple[TorchGenerator, torch.Generator]:
    return TorchGenerator(seed, PLATFORM), torch.Generator().manual_seed(seed)


def assert_in_step(ours: TorchGenerator, theirs: torch.Generator) -> None:
    """Both have made the same number of draws and keep the same normal for later: the states agree in every byte."""
    np.testing.assert_array_equal(ours.state(), theirs.get_state().numpy())


def assert_same(actual: np.ndarray, expected: torch.Tensor) -> None:
    """All bits agree. A bfloat16 tensor is compared in float32, as the replay returns it."""
    theirs = (expected.float() if expected.dtype == torch.bfloat16 else expected).numpy()
    assert actual.dtype == theirs.dtype
    assert actual.shape == theirs.shape
    np.testing.assert_array_equal(actual, theirs)
    if actual.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(actual), np.signbit(theirs))  # of zeros, which compare as equal
