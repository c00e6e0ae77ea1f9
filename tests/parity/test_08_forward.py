"""Rung 8: the forward pass, layer by layer."""

import numpy as np

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "forward"
QUESTION = "Do the same weights compute the same pre-activations in every layer?"

# Float64 sums of up to 784 products in another order. Measured: 4e-15 of the layer's largest value.
FLOAT64_TOLERANCE = 1e-12


def as_float64(tensors: jax_side.Tensors) -> jax_side.Tensors:
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def by_layer(outputs: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"linear{number}": output for number, output in enumerate(outputs, start=1)}


def measure(size: Size) -> Measured:
    comparisons = []
    images = jax_side.load().train_images[: size.images]
    for recipe in size.recipes:
        tensors = torch_side.initial(recipe)
        inputs = torch_side.scale(images, "float32")
        ours, theirs = (by_layer(side.layers(tensors, inputs)) for side in (jax_side, torch_side))
        double = as_float64(tensors), inputs.astype(np.float64)
        ours64, theirs64 = (by_layer(side.layers(*double)) for side in (jax_side, torch_side))
        comparisons.append(compare.not_worse_than(ours, theirs, theirs64, name=f"{recipe}, float32"))
        comparisons.append(
            compare.max_relative(ours64, theirs64, tolerance=FLOAT64_TOLERANCE, name=f"{recipe}, float64")
        )
    return Measured(comparisons=comparisons)


def test_rung() -> None:
    measure(QUICK).require()
