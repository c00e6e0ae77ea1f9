import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jax_impl import data, model, recipes

PLAIN = (((1,), (0,)), ((), ()))  # dimension numbers of a matrix product


def count(params: model.Params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(("name", "parameters"), [("mnist_nn_xavier", 269_322), ("mnist_nn_deep", 1_195_018)])
def test_networks_have_the_notebook_s_sizes(name: str, parameters: int) -> None:
    recipe = recipes.named(name)
    params = model.init_params(recipe, key=jax.random.key(0))
    assert count(params) == parameters
    assert model.layer_sizes(params) == recipe.layers
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_pre_activations_are_products_plus_biases() -> None:
    recipe = recipes.named("mnist_nn_xavier").with_changes(layers=(6, 5, 4, 3))
    params = model.init_params(recipe, key=jax.random.key(1))
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
    params = model.init_params(recipes.named("mnist_nn_zeros").with_changes(layers=layers), key=jax.random.key(0))
    assert model.layer_sizes(params) == layers
    assert model.apply(params, jnp.ones((1, 14))).shape == (1, 3)
    assert [layer["bias"].size for layer in model.linears(params)] == list(layers[1:])
    assert model.from_linears(model.linears(params)) == params


def test_biases_are_drawn_as_torch_s_and_layers_differ() -> None:
    params = model.init_params(recipes.named("mnist_nn_xavier"), key=jax.random.key(0))
    for name, fan_in in (("linear1", 784), ("linear2", 256), ("linear3", 256)):
        bias = np.abs(params[name]["bias"])
        assert 0 < bias.max() <= 1 / np.sqrt(fan_in)
    assert not np.array_equal(params["linear1"]["bias"], params["linear2"]["bias"])


def test_the_same_key_draws_the_same_parameters() -> None:
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
        recipe = recipes.named("mnist_nn_xavier").with_changes(dtype="float64")
        params = model.init_params(recipe, key=jax.random.key(0))
        assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(params))
        assert model.apply(params, jnp.ones((2, 784), jnp.float64)).dtype == jnp.float64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pixels_are_scaled_exactly(dtype: str) -> None:
    with jax.enable_x64(True):
        pixels = jnp.arange(256, dtype=jnp.uint8)[None]
        expected = np.arange(256, dtype=dtype) / np.asarray(255, dtype)
        np.testing.assert_array_equal(jax.jit(model.scale, static_argnums=1)(pixels, dtype)[0], expected)


@pytest.mark.parametrize("fan_out", [model.NARROW, model.NARROW + 1])
def test_narrow_products_and_their_gradients_are_those_of_the_plain_product(fan_out: int) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    inputs, kernel = jax.random.normal(keys[0], (7, 20)), jax.random.normal(keys[1], (20, fan_out))
    ours, theirs = (
        jax.vjp(lambda x, k, product=product: product(x, k, PLAIN, precision="highest"), inputs, kernel)
        for product in (model.narrow_product, lax.dot_general)
    )
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6, atol=1e-6)
    for a, b in zip(ours[1](ours[0]), theirs[1](ours[0]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(20,), (2, 3, 20)])
def test_one_input_and_inputs_with_more_axes_are_multiplied_as_by_flax(shape: tuple[int, ...]) -> None:
    inputs, kernel = jnp.ones(shape), jnp.ones((20, 4))
    numbers = (((len(shape) - 1,), (0,)), ((), ()))
    np.testing.assert_array_equal(model.narrow_product(inputs, kernel, numbers), np.full((*shape[:-1], 4), 20))


@pytest.mark.parametrize(("fan_out", "expected"), [(10, "f32[10,256]"), (256, "f32[256,256]")])
def test_the_gradient_of_a_narrow_kernel_is_computed_as_its_transpose(fan_out: int, expected: str) -> None:
    def gradient(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.grad(lambda k: (model.narrow_product(inputs, k, PLAIN) ** 2).sum())(kernel)

    shapes = (jax.ShapeDtypeStruct((100, 256), "float32"), jax.ShapeDtypeStruct((256, fan_out), "float32"))
    text = jax.jit(gradient).lower(*shapes).compile().as_text()
    (line,) = [line for line in text.splitlines() if "dot(" in line and "lhs_contracting_dims={0}" in line]
    assert f"= {expected}" in line


def test_accuracy_counts_every_image(small: data.Mnist) -> None:
    params = model.init_params(recipes.named("mnist_nn_xavier"), key=jax.random.key(0))
    predicted = np.asarray(model.apply(params, jnp.asarray(small.test_images / np.float32(255)))).argmax(axis=1)
    expected = (predicted == small.test_labels).sum() / 500
    assert model.accuracy(params, jnp.asarray(small.test_images), jnp.asarray(small.test_labels)) == expected


@pytest.mark.parametrize("n", [1, model.IMAGES_AT_ONCE, model.IMAGES_AT_ONCE + 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_are_counted_in_parts_and_rest(n: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (n, 784)).astype(np.uint8), rng.integers(0, 10, n).astype(np.int32)
    with jax.enable_x64(dtype == "float64"):
        recipe = recipes.Recipe(name="small", layers=(784, 8, 10), dtype=dtype)
        params = model.init_params(recipe, key=jax.random.key(0))
        counted = model.count_correct(params, jnp.asarray(images), jnp.asarray(labels))
        logits = model.apply(params, model.scale(jnp.asarray(images), dtype))
    assert counted.dtype == jnp.int32
    assert int(counted) == int((np.argmax(logits, axis=1) == labels).sum())
