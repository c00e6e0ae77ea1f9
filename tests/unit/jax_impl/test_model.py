import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import model, recipes


def count(params: model.Params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(("name", "parameters"), [("mnist_nn_xavier", 269_322), ("mnist_nn_deep", 1_195_018)])
def test_the_networks_have_the_notebook_s_sizes(name: str, parameters: int) -> None:
    recipe = recipes.named(name)
    params = model.init_params(recipe, key=jax.random.key(0))
    assert count(params) == parameters
    assert model.layers_of(params) == recipe.layers
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_forward_is_the_textbook_s() -> None:
    params = model.init_params(recipes.named("mnist_nn_xavier").but(layers=(6, 5, 4, 3)), key=jax.random.key(1))
    images = np.random.default_rng(0).random((7, 6), np.float32)
    x = images.astype(np.float64)
    expected = []
    for number in (1, 2, 3):
        layer = {name: np.asarray(leaf, np.float64) for name, leaf in params[f"linear{number}"].items()}
        expected.append(x @ layer["kernel"] + layer["bias"])
        x = np.maximum(expected[-1], 0)
    outputs = model.pre_activations(params, jnp.asarray(images))
    assert len(outputs) == 3
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)  # sums of 6 products of size 1 in float32
    np.testing.assert_array_equal(model.apply(params, jnp.asarray(images)), outputs[-1])


def test_more_than_nine_layers_stay_in_order() -> None:
    layers = tuple(range(14, 2, -1))
    params = model.init_params(recipes.named("mnist_nn").but(layers=layers), key=jax.random.key(0))
    assert model.layers_of(params) == layers
    assert model.apply(params, jnp.ones((1, 14))).shape == (1, 3)


def test_biases_start_as_torch_s_and_layers_differ() -> None:
    params = model.init_params(recipes.named("mnist_nn_xavier"), key=jax.random.key(0))
    for name, fan_in in (("linear1", 784), ("linear2", 256), ("linear3", 256)):
        bias = np.abs(params[name]["bias"])
        assert 0 < bias.max() <= 1 / np.sqrt(fan_in)
    assert not np.array_equal(params["linear1"]["bias"], params["linear2"]["bias"])


def test_keys_decide() -> None:
    recipe = recipes.named("mnist_nn_xavier")
    first, again, other = (model.init_params(recipe, key=jax.random.key(k)) for k in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["linear1"]["kernel"], other["linear1"]["kernel"])


def test_products_ask_for_full_precision() -> None:
    params = model.init_params(recipes.named("mnist_nn_xavier"), key=jax.random.key(0))
    loss = jax.value_and_grad(lambda p, x: model.apply(p, x).sum())
    lowered = jax.jit(loss).lower(params, jnp.ones((2, 784))).as_text()
    products = [line for line in lowered.splitlines() if "dot_general" in line]
    assert len(products) == 8  # three forward, three for kernels, two for activations: the inputs need no gradient
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


def test_float64_stays_float64() -> None:
    with jax.enable_x64(True):
        recipe = recipes.named("mnist_nn_xavier").but(dtype="float64")
        params = model.init_params(recipe, key=jax.random.key(0))
        assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(params))
        assert model.apply(params, jnp.ones((2, 784), jnp.float64)).dtype == jnp.float64
