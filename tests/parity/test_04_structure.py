"""Rung 4: names, shapes and the number of parameters."""

import numpy as np
import pytest

from jax_impl import compare
from jax_impl.recipes import RECIPES
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "structure"
QUESTION = "Do both sides train the same parameters, by name and shape?"

PARAMETERS = {"mnist_nn_xavier": 269_322, "mnist_nn_deep": 1_195_018}  # counted by hand from the notebook's layers


def measure(size: Size) -> Measured:  # noqa: ARG001
    comparisons = []
    for recipe in RECIPES:
        ours, theirs = (
            {name: np.array(tensor.shape) for name, tensor in side.initial(recipe).items()}
            for side in (jax_side, torch_side)
        )
        comparisons.append(compare.exact(ours, theirs, name=f"{recipe}: names and shapes"))
        if recipe in PARAMETERS:
            count = np.array(sum(int(np.prod(shape)) for shape in ours.values()))
            expected = np.array(PARAMETERS[recipe])
            comparisons.append(compare.exact(count, expected, name=f"{recipe}: {PARAMETERS[recipe]:,} parameters"))
    return Measured(comparisons=comparisons)


def test_rung() -> None:
    measure(QUICK).require()


def test_a_parameter_too_many_is_seen() -> None:
    shapes = {"linear1.weight": np.array([256, 784])}
    with pytest.raises(AssertionError, match="extra"):
        compare.exact(shapes | {"linear1.extra": np.array([1])}, shapes).require()
