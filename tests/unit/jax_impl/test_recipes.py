from dataclasses import asdict

import pytest

import jax_impl.recipes
import torch_ref.recipes
from jax_impl.errors import ArgumentError


def test_both_packages_have_the_same_recipes() -> None:
    ours = {name: asdict(recipe) for name, recipe in jax_impl.recipes.RECIPES.items()}
    theirs = {name: asdict(recipe) for name, recipe in torch_ref.recipes.RECIPES.items()}
    assert ours == theirs
    assert len(ours) == 7


def test_but_changes_only_what_is_given() -> None:
    recipe = jax_impl.recipes.named("mnist_nn_he").but(epochs=0, seed=None)
    assert (recipe.epochs, recipe.seed, recipe.init) == (0, 777, "kaiming_uniform")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", -1, "epochs must be an integer >= 0, got -1"),
        ("batch_size", 0, "batch size must be an integer >= 1, got 0"),
        ("learning_rate", float("nan"), "learning rate must be a number from 1e-30 to 1e\\+30, got nan"),
        ("learning_rate", float("inf"), "learning rate must be a number from 1e-30 to 1e\\+30, got inf"),
        ("learning_rate", 1e39, r"learning rate must be a number"),
        ("learning_rate", 0.0, "learning rate must be a number from 1e-30 to 1e\\+30, got 0.0"),
        ("seed", -1, "seed must be an integer from 0 to 4294967295, got -1"),
        ("seed", 2**32, "seed must be an integer"),
        ("dtype", "float16", "unknown dtype 'float16': did you mean 'float64'"),
        ("activation", "rleu", "unknown activation 'rleu': did you mean 'relu'"),
        ("optimizer", "lion", "unknown optimizer 'lion': allowed are adam, sgd"),
        ("layers", (784,), "layers must be two or more sizes"),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        jax_impl.recipes.named("mnist_nn").but(**{field: value})


def test_an_unknown_recipe_gets_the_nearest_spelling() -> None:
    with pytest.raises(ArgumentError, match="unknown recipe 'mnist_nn_hee': did you mean 'mnist_nn_he'"):
        jax_impl.recipes.named("mnist_nn_hee")
