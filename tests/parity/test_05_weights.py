"""Rung 5: weights through the file that both sides read, from one side to the other and back."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size
from tests.parity.records import judged

TITLE = "weights"
QUESTION = "Are weights unchanged after going from one side to the other and back?"

LAYERS = (784, 64, 64, 64, 10)  # with two square kernels, whose shape does not show a missing transpose


def random_tensors(dtype: str) -> jax_side.Tensors:
    rng = np.random.default_rng(5)
    tensors = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(LAYERS), start=1):
        tensors[f"linear{number}.weight"] = rng.standard_normal((fan_out, fan_in)).astype(dtype)
        tensors[f"linear{number}.bias"] = rng.standard_normal(fan_out).astype(dtype)
    return tensors


def measure(size: Size) -> Measured:
    comparisons = []
    for dtype in ("float32", "float64"):
        tensors = random_tensors(dtype)
        with jax_side.x64(dtype):
            kernels = {name: np.asarray(layer["kernel"]) for name, layer in jax_side.params_of(tensors).items()}
        transposed = {name: tensors[f"{name}.weight"].T for name in kernels}
        comparisons.append(compare.exact(kernels, transposed, name=f"kernels are transposed weights, {dtype}"))
        with tempfile.TemporaryDirectory() as folder:
            there, back = Path(folder) / "there.safetensors", Path(folder) / "back.safetensors"
            for first, second in ((jax_side, torch_side), (torch_side, jax_side)):
                first.write(there, tensors)
                second.write(back, second.read(there, LAYERS))
                way = " to ".join(side.__name__.rpartition(".")[2] for side in (first, second, first))
                comparisons.append(compare.exact(first.read(back, LAYERS), tensors, name=f"{way}, {dtype}"))
    return Measured(comparisons=comparisons + judged(size.recipes, size.dtypes, 4))


def test_rung() -> None:
    measure(QUICK).require()
