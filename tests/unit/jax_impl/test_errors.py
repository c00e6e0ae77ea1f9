"""What the error about an unknown name suggests."""

import pytest

from jax_impl.errors import suggestions
from jax_impl.recipes import NAMES, RECIPES

ALLOWED = NAMES | {"recipe": tuple(RECIPES), "preset": ("glorot-2010", "he-2015", "not-all-zero", "lsuv", "all")}


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("init", "he", "he_normal he_uniform kaiming_normal kaiming_uniform"),
        ("init", "HE", "he_normal he_uniform kaiming_normal kaiming_uniform"),
        ("init", "kaiming", "kaiming_normal kaiming_uniform"),
        ("init", "xavier", "xavier_normal xavier_uniform"),
        ("init", "glorot", "glorot_normal glorot_uniform xavier_normal xavier_uniform"),
        ("init", "lecun", "lecun_normal lecun_uniform"),
        ("init", "Xavier-Uniform", "xavier_uniform"),
        ("init", "kaiming_normal_", "kaiming_normal"),
        ("init", "xavier_unifrom", "xavier_uniform"),
        ("init", "zero", "zeros"),
        ("init", "gaussian", "normal"),
        ("init", "qqq", ""),
        ("activation", "tanH", "tanh"),
        ("activation", "ReLU", "relu"),
        ("activation", "leaky", "leaky_relu"),
        ("activation", "logistic", "sigmoid"),
        ("optimizer", "Adam", "adam"),
        ("optimizer", "ADAM", "adam"),
        ("recipe", "he", "mnist_nn_he"),
        ("recipe", "mnist-nn-deep", "mnist_nn_deep"),
        ("recipe", "mnist", "mnist_nn"),  # a part of every name
        ("preset", "he", "he-2015"),
        ("preset", "Glorot_2010", "glorot-2010"),
        ("preset", "he-2051", "he-2015"),
    ],
)
def test_the_names_that_may_be_meant_are_suggested(kind: str, name: str, expected: str) -> None:
    assert suggestions(name, sorted(ALLOWED[kind])) == expected.split()
