"""Rung 10: the gradient of every parameter."""

import numpy as np

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "gradients"
QUESTION = "Does the same batch give the same gradient of every parameter?"

TOLERANCES = {"float32": 1e-5, "float64": 1e-12}  # relative L2; measured 3e-7 and 6e-16

# A ReLU's derivative jumps at 0. If rounding decides on which side of 0 a pre-activation lies, two correct sides may
# take different derivatives. A few of 1,000 images do this in the deep network; its gradients then differed by 9e-4.
# Such images are left out. A pre-activation of exactly 0 (zero weights) is not rounding, and stays.
MARGIN = 1e-5  # of the layer's largest magnitude; float32's rounding is 3e-7 of it


def measure(size: Size) -> Measured:
    images, labels, *_ = jax_side.load_part(size.images)
    comparisons = []
    for recipe in size.recipes:
        initial = torch_side.initial(recipe)
        clear = clear_of_kinks(initial, images)
        for dtype, tolerance in TOLERANCES.items():
            tensors = {name: tensor.astype(dtype) for name, tensor in initial.items()}
            inputs = (images[clear] / np.float64(255)).astype(dtype)
            ours, theirs = (side.gradients(tensors, inputs, labels[clear]) for side in (jax_side, torch_side))
            name = f"{recipe}, {clear.sum():,} of {len(clear):,} images, {dtype}"
            comparisons.append(compare.relative_l2(ours, theirs, tolerance=tolerance, name=name))
    comparisons += zeros(images, labels)
    return Measured(comparisons=comparisons)


def clear_of_kinks(tensors: jax_side.Tensors, images: np.ndarray) -> np.ndarray:
    """Return which images keep all hidden units at least `MARGIN` away from their ReLU's kink, in float64."""
    double = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    clear = np.ones(len(images), bool)
    for hidden in torch_side.layers(double, images / np.float64(255))[:-1]:
        distance = np.abs(hidden)  # (images, units)
        clear &= ((distance >= MARGIN * distance.max()) | (distance == 0)).all(axis=1)
    return clear


def zeros(images: np.ndarray, labels: np.ndarray) -> list[compare.Comparison]:
    """Check that with zero weights and biases only the output bias has a gradient ("Not all 0's")."""
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
