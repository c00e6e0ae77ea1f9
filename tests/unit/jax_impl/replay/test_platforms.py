"""Other platforms: torch without fused multiply-adds (ATEN_CPU_CAPABILITY=default), and MKL's stream."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from jax_impl.replay import mkl
from jax_impl.replay.generator import TorchGenerator

DRAWN = """
import json, torch
values = {}
for dtype in (torch.float32, torch.float64):
    torch.manual_seed(5)
    name = str(dtype).removeprefix("torch.")
    values[name] = {
        "uniform": torch.empty(1000, dtype=dtype).uniform_(-0.3, 0.1).double().tolist(),
        "few": torch.empty(15, dtype=dtype).normal_(0.3, 0.1).double().tolist(),
        "normal": torch.empty(1000, dtype=dtype).normal_(0.3, 0.1).double().tolist(),
        "cauchy": torch.empty(1000, dtype=dtype).cauchy_(0.3, 0.1).double().tolist(),
    }
print(json.dumps([torch.backends.cpu.get_cpu_capability(), values]))
"""


@pytest.mark.slow
def test_without_fused_multiply_adds_torch_rounds_twice() -> None:
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    printed = subprocess.run([sys.executable, "-c", DRAWN], capture_output=True, text=True, env=environment, check=True)
    capability, values = json.loads(printed.stdout)
    assert capability in {"DEFAULT", "NO AVX"}
    for dtype, theirs in values.items():
        ours, fused = TorchGenerator(5, "default"), TorchGenerator(5)
        found = ours.uniform(1000, -0.3, 0.1, dtype)
        np.testing.assert_array_equal(found, theirs["uniform"])
        assert (fused.uniform(1000, -0.3, 0.1, dtype) != found).mean() > 0.1
        np.testing.assert_array_equal(ours.normal(15, 0.3, 0.1, dtype), theirs["few"])
        normal = ours.normal(1000, 0.3, 0.1, dtype)
        if dtype == "float64":
            np.testing.assert_array_equal(normal, theirs["normal"])
        else:  # the C library's own float32 functions are off by an ulp in about 1 % of the values
            np.testing.assert_allclose(normal, theirs["normal"], rtol=0, atol=4e-8)
            assert (normal == theirs["normal"]).mean() > 0.9
        np.testing.assert_array_equal(ours.cauchy(1000, 0.3, 0.1, dtype), theirs["cauchy"])


# Drawn by Intel's library (mkl 2026.2.0), by `python -m tests.replay.mkl_check`.
INTEL = {
    (123, 0.5): "10100100001111110111111000011010",
    (2**31 + 5, 0.3): "11000000000100100001000010000100",
}


@pytest.mark.parametrize(("seed", "p"), INTEL)
def test_mkl_s_numbers_are_intel_s(seed: int, p: float) -> None:
    assert "".join(str(int(one)) for one in mkl.bernoulli(seed, 32, p)) == INTEL[seed, p]
    assert "".join(str(int(one)) for one in mkl.bernoulli(seed + 1, 32, p)) != INTEL[seed, p]
    assert (mkl.bernoulli(seed, 10_000, p)[:32] == mkl.bernoulli(seed, 32, p)).all()  # several rows


def test_mkl_s_mask_is_filled_in_the_order_of_the_axes() -> None:
    """torch lets MKL fill a contiguous tensor, and copies it to one that is not."""
    plain = TorchGenerator(0, "mkl").dropout_mask((3, 40))
    np.testing.assert_array_equal(TorchGenerator(0, "mkl").dropout_mask((3, 40), memory=(1, 0)), plain)
