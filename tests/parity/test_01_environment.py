"""Rung 1: versions, precision and threads."""

import os
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "environment"
QUESTION = "Do both sides compute in the precision that they claim?"

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
NAMES = ("jax", "jaxlib", "flax", "optax", "torch", "torchvision", "numpy", "tensorflow-datasets")

# Relative L2 of float32 products of 256 terms against float64. Measured on a CPU: 1.2e-7 (JAX) and 1.1e-7 (torch).
# TF32 has 10 bits of mantissa and gives 3e-4, bfloat16 2e-3.
PRODUCT_TOLERANCE = 1e-6


def pinned(name: str) -> str:
    match = re.search(rf"^{name.replace('-', '[-_]')}==(\S+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.M)
    assert match, f"constraints.txt does not pin {name}"
    return match[1]


def versions() -> str:
    """The packages that differ from the pinned versions, in words."""
    installed = {name: version(name).partition("+")[0] for name in NAMES}
    differing = [
        f"{name} {number}, pinned {pinned(name)}" for name, number in installed.items() if number != pinned(name)
    ]
    return "; ".join(differing) or "all versions as pinned"


def measure(size: Size) -> Measured:  # noqa: ARG001
    comparisons: list[compare.Comparison] = []
    # 1 + 2^-40 is a float64 number that float32 cannot hold.
    fine = {"linear1.weight": np.array([[1 + 2.0**-40]]), "linear1.bias": np.zeros(1)}
    rng = np.random.default_rng(0)
    wide = {"linear1.weight": rng.standard_normal((200, 256)), "linear1.bias": np.zeros(200)}
    inputs = rng.standard_normal((256, 256))
    product = inputs @ wide["linear1.weight"].T
    single = {name: tensor.astype(np.float32) for name, tensor in wide.items()}
    for side in (jax_side, torch_side):
        name = side.__name__.rpartition(".")[2]
        (kept,) = side.layers(fine, np.ones((1, 1)))
        comparisons.append(compare.exact(kept, fine["linear1.weight"], name=f"{name}: float64 is float64"))
        (found,) = side.layers(single, inputs.astype(np.float32))
        comparisons.append(
            compare.relative_l2(found, product, tolerance=PRODUCT_TOLERANCE, name=f"{name}: full float32 products")
        )
    threads = np.array(torch.get_num_threads() <= (os.cpu_count() or 1))
    comparisons.append(compare.exact(threads, np.array(True), name="torch: no more threads than cores"))
    return Measured(
        comparisons=comparisons,
        note=f"{versions()}; {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads",
    )


def test_rung() -> None:
    measure(QUICK).require()
