"""Rung 10: the gradient of every parameter."""

import numpy as np

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "gradients"
QUESTION = "Does the same batch give the same gradient of every parameter?"

TOLERANCES = {"float32": 1e-5, "float64": 1e-12}  # relative L2; measured 3e-7 and 6e-16


def measure(size: Size) -> Measured:
    images, labels, *_ = jax_side.load_part(size.images)
    comparisons = []
    for recipe in size.recipes:
        for dtype, tolerance in TOLERANCES.items():
            tensors = {name: tensor.astype(dtype) for name, tensor in torch_side.initial(recipe).items()}
            inputs = (images / np.float64(255)).astype(dtype)
            ours, theirs = (side.gradients(tensors, inputs, labels) for side in (jax_side, torch_side))
            comparisons.append(compare.relative_l2(ours, theirs, tolerance=tolerance, name=f"{recipe}, {dtype}"))
    comparisons += zeros(images, labels)
    return Measured(comparisons=comparisons)


def zeros(images: np.ndarray, labels: np.ndarray) -> list[compare.Comparison]:
    """With all weights and biases 0, every gradient is exactly 0 but the output bias's ("Not all 0's")."""
    tensors = torch_side.initial("mnist_nn_zeros")
    found = []
    for side in (jax_side, torch_side):
        gradients = side.gradients(tensors, (images / np.float64(255)).astype(np.float32), labels)
        moved = {name: np.array(bool(np.any(gradient))) for name, gradient in gradients.items()}
        expected = {name: np.array(name == "linear3.bias") for name in tensors}
        name = f"mnist_nn_zeros: only the output bias moves, {side.__name__.rpartition('.')[2]}"
        found.append(compare.exact(moved, expected, name=name))
    return found


def test_rung() -> None:
    measure(QUICK).require()
