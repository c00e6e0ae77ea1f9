from dataclasses import asdict

import pytest

import jax_impl.recipes
import torch_ref.recipes
from jax_impl import initializers
from jax_impl.activations import ACTIVATIONS
from jax_impl.errors import ArgumentError
from jax_impl.recipes import DATA_DRIVEN, JAX_INITS, NAMES, TORCH_INITS
from jax_impl.replay import notebook


def test_both_packages_have_the_same_recipes() -> None:
    ours = {name: asdict(recipe) for name, recipe in jax_impl.recipes.RECIPES.items()}
    theirs = {name: asdict(recipe) for name, recipe in torch_ref.recipes.RECIPES.items()}
    assert ours == theirs
    assert len(ours) == 7


def test_with_changes_ignores_none() -> None:
    recipe = jax_impl.recipes.named("mnist_nn_he").with_changes(epochs=0, seed=None)
    assert (recipe.epochs, recipe.seed, recipe.init) == (0, 777, "kaiming_uniform")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", -1, "epochs must be an integer from 0 to 2147483647, got -1"),
        ("batch_size", 0, "batch size must be an integer from 1 to 2147483647, got 0"),
        ("learning_rate", float("nan"), "learning rate must be a number from 1e-30 to 1e\\+30, got nan"),
        ("learning_rate", float("inf"), "learning rate must be a number from 1e-30 to 1e\\+30, got inf"),
        ("learning_rate", 1e39, r"learning rate must be a number"),
        ("learning_rate", 0.0, "learning rate must be a number from 1e-30 to 1e\\+30, got 0.0"),
        ("seed", -1, "seed must be an integer from 0 to 4294967295, got -1"),
        ("seed", 2**32, "seed must be an integer"),
        ("init_passes", 0, "init passes must be an integer from 1 to 2147483647, got 0"),
        ("init_passes", 2**31, "init passes must be an integer from 1 to 2147483647, got 2147483648"),
        ("epochs", 10**20, "epochs must be an integer from 0 to 2147483647, got 100000000000000000000"),
        ("layers", (784, 10**20, 10), "layers must be an integer from 1 to 2147483647, got 100000000000000000000"),
        ("init", "xavier_unifrom", "unknown init 'xavier_unifrom': did you mean 'xavier_uniform'"),
        ("bias_init", "ones", "unknown bias init 'ones': .*allowed are linear_default, zeros"),
        ("dtype", "float16", "unknown dtype 'float16': did you mean 'float64'"),
        ("activation", "rleu", "unknown activation 'rleu': did you mean 'relu'"),
        ("optimizer", "lion", "unknown optimizer 'lion': allowed are adam, sgd"),
        ("layers", (784,), "layers must be two or more sizes"),
        ("layers", (784, 0, 10), "layers must be two or more sizes"),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        jax_impl.recipes.named("mnist_nn").with_changes(**{field: value})


def test_an_unknown_recipe_gets_the_nearest_spelling() -> None:
    with pytest.raises(ArgumentError, match="unknown recipe 'mnist_nn_hee': did you mean 'mnist_nn_he'"):
        jax_impl.recipes.named("mnist_nn_hee")


def test_names_are_those_that_are_implemented() -> None:
    """`recipes` lists the names itself, so that it need not import JAX."""
    assert set(NAMES["init"]) == set(initializers.KERNELS) | set(DATA_DRIVEN)
    assert tuple(initializers.KERNELS) == TORCH_INITS + JAX_INITS
    assert tuple(notebook.WEIGHTS) == TORCH_INITS
    assert set(DATA_DRIVEN.values()) <= set(TORCH_INITS)  # either stream can draw the random start
    assert NAMES["bias init"] == tuple(initializers.BIASES) == notebook.BIASES
    assert NAMES["activation"] == tuple(ACTIVATIONS)


def test_an_init_that_torch_does_not_have_cannot_be_replayed() -> None:
    recipe = jax_impl.recipes.named("mnist_nn")
    for init in NAMES["init"]:
        if init not in JAX_INITS:
            jax_impl.recipes.check_replayable(recipe.with_changes(init=init))
    with pytest.raises(ArgumentError, match="torch has no init 'he_normal' to replay: use --stream jax"):
        jax_impl.recipes.check_replayable(recipe.with_changes(init="he_normal"))
