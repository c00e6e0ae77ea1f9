"""Rung 9: the loss and the predicted classes of the test images."""

import numpy as np

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size
from tests.parity.records import judged

TITLE = "loss and classes"
QUESTION = "Do both sides predict the same classes, with the same loss?"

TOLERANCES = {"float32": 1e-6, "float64": 1e-13}  # measured 1e-7 and 3e-16 relative, on a mean of 10,000 logarithms
MARGIN = 1e-5  # between two logits; float32 rounding, 3e-7 of logits up to 20, may swap closer ones


def measure(size: Size) -> Measured:
    mnist = jax_side.load_part(size.cross_images, size.test_images)
    images, labels = mnist.test_images, mnist.test_labels
    trained = torch_side.fit("mnist_nn_xavier", mnist, epochs=size.cross_epochs, seed=9).tensors
    comparisons = judged(size.recipes, size.dtypes, 8)
    for name, tensors in (("initial", torch_side.initial("mnist_nn_xavier")), ("trained", trained)):
        for dtype, tolerance in TOLERANCES.items():
            cast = {key: tensor.astype(dtype) for key, tensor in tensors.items()}
            inputs = (images / np.float64(255)).astype(dtype)
            losses = [np.array(side.loss(cast, inputs, labels)) for side in (jax_side, torch_side)]
            comparisons.append(compare.allclose(*losses, rtol=tolerance, name=f"{name}, loss, {dtype}"))
            ours, theirs = (side.layers(cast, inputs)[-1] for side in (jax_side, torch_side))
            top = np.sort(theirs, axis=1)
            decided = top[:, -1] - top[:, -2] >= MARGIN
            classes = [logits.argmax(axis=1)[decided] for logits in (ours, theirs)]
            title = f"{name}, classes of the {decided.sum():,} that are decided, {dtype}"
            comparisons.append(compare.exact(*classes, name=title))
    return Measured(comparisons=comparisons)


def test_rung() -> None:
    measure(QUICK).require()
