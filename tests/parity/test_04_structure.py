"""Rung 4: the settings of every recipe, and the names, shapes and number of its parameters."""

from dataclasses import asdict

import numpy as np
import pytest

from jax_impl import compare
from jax_impl.recipes import RECIPES
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size
from tests.parity.records import judged
from torch_ref.recipes import RECIPES as REFERENCE

TITLE = "structure"
QUESTION = "Do both sides train the same parameters, by name and shape, with the same settings?"

PARAMETERS = {"mnist_nn_xavier": 269_322, "mnist_nn_deep": 1_195_018}  # counted by hand from the notebook's layers


def measure(size: Size) -> Measured:
    comparisons = [same_settings(recipe) for recipe in RECIPES]
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
    return Measured(comparisons=comparisons + judged(size.recipes, size.dtypes, 1, 3))


def same_settings(recipe: str) -> compare.Comparison:
    """Compare all settings: learning rate, batch size, epochs, seed, …"""
    ours, theirs = asdict(RECIPES[recipe]), asdict(REFERENCE[recipe])
    alike = {name: np.array(value == theirs.get(name)) for name, value in ours.items()}
    return compare.exact(alike, dict.fromkeys(theirs, np.array(True)), name=f"{recipe}: settings")


def test_rung() -> None:
    measure(QUICK).require()


def test_a_parameter_too_many_is_seen() -> None:
    shapes = {"linear1.weight": np.array([256, 784])}
    with pytest.raises(AssertionError, match="extra"):
        compare.exact(shapes | {"linear1.extra": np.array([1])}, shapes).require()
