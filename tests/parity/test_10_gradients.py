"""Rung 10: the gradient of every parameter."""

import numpy as np

from jax_impl import compare
from tests.parity.ladder import QUICK, Measured, Size
from tests.parity.records import judged, reference_gradients

TITLE = "gradients"
QUESTION = "Does the same batch give the same gradient of every parameter?"
ZEROS = "mnist_nn_zeros"


def measure(size: Size) -> Measured:
    comparisons = judged(size.recipes, size.dtypes, 9)
    if ZEROS in size.recipes:
        comparisons.append(only_the_output_bias_moves())
    return Measured(comparisons=comparisons)


def only_the_output_bias_moves() -> compare.Comparison:
    """Check what the notebook shows under "Not all 0's", of the reference, which the port has been compared with."""
    moved = {name: np.array(norm > 0) for name, norm in reference_gradients(ZEROS, "float32").items()}
    expected = {name: np.array(name == "linear3.bias") for name in moved}
    return compare.exact(moved, expected, name=f"{ZEROS}: only the output bias has a gradient")


def test_rung() -> None:
    measure(QUICK).require()
