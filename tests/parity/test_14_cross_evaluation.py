"""Rung 14: trained on one side, evaluated on the other."""

import numpy as np

from jax_impl import compare
from jax_impl.data import Mnist
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "cross-evaluation"
QUESTION = "Do both sides give a trained network the same accuracy?"

# One image of the 10,000: float32 noise may turn one whose two largest logits are equal to six digits. Measured 0.
TOLERANCE = 1e-4


def measure(size: Size) -> Measured:
    mnist = jax_side.load_part(size.train_images)
    comparisons = []
    for recipe in size.recipes:
        for trainer in (jax_side, torch_side):
            tensors = trainer.fit(recipe, mnist, epochs=size.cross_epochs, seed=14).tensors
            ours, theirs = (
                np.array(side.accuracy(tensors, mnist.test_images, mnist.test_labels))
                for side in (jax_side, torch_side)
            )
            name = f"{recipe}, trained by {trainer.__name__.rpartition('.')[2]}: accuracy {float(theirs):.4f}"
            comparisons.append(compare.max_abs(ours, theirs, tolerance=1.01 * TOLERANCE, name=name))
    return Measured(comparisons=[*comparisons, constant_answers(mnist)])


def constant_answers(mnist: Mnist) -> compare.Comparison:
    """Networks that always answer one class: their accuracies are its shares of the labels, with nothing to round."""
    shares = []
    for label in range(10):
        tensors = {
            "linear1.weight": np.zeros((10, 784), np.float32),
            "linear1.bias": np.eye(10, dtype=np.float32)[label],
        }
        shares.append(jax_side.accuracy(tensors, mnist.test_images, mnist.test_labels))
    expected = np.bincount(mnist.test_labels, minlength=10) / len(mnist.test_labels)
    return compare.exact(np.array(shares), expected, name="networks that always answer one class")


def test_rung() -> None:
    measure(QUICK).require()
