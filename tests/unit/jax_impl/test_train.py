from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from jax_impl import data, draws, model, recipes, train
from jax_impl.errors import ArgumentError, DivergedError

RECIPE = recipes.named("mnist_nn_xavier").but(layers=(784, 32, 10), epochs=2)


def test_orders_are_permutations_cut_into_full_batches() -> None:
    orders = list(islice(draws.native(RECIPE, 1050).orders, 3))
    for order in orders:
        assert (order.shape, order.dtype) == ((10, 100), np.int32)
        assert len(np.unique(order)) == 1000
        assert 0 <= order.min() <= order.max() < 1050
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[1], orders[2])


def test_draws_repeat_by_seed() -> None:
    first, again, other = (draws.native(RECIPE.but(seed=seed), 500) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    order = next(first.orders)
    np.testing.assert_array_equal(order, next(again.orders))
    assert not np.array_equal(order, next(other.orders))


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(ArgumentError, match="batch size must be at most the 1000 training images, got 1001"):
        draws.native(RECIPE.but(batch_size=1001), 1000)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pixels_are_scaled_exactly(dtype: str) -> None:
    with jax.enable_x64(True):
        pixels = jnp.arange(256, dtype=jnp.uint8)[None]
        expected = np.arange(256, dtype=dtype) / np.asarray(255, dtype)
        np.testing.assert_array_equal(jax.jit(train.scale, static_argnums=1)(pixels, dtype)[0], expected)


def test_loss_is_the_mean_cross_entropy() -> None:
    drawn = draws.native(RECIPE, 1000)
    images = np.random.default_rng(0).random((50, 784), np.float32)
    labels = np.arange(50, dtype=np.int32) % 10
    logits = np.asarray(model.apply(drawn.params, jnp.asarray(images)), np.float64)
    expected = -log_softmax(logits, axis=1)[np.arange(50), labels].mean()
    loss = train.mean_loss(drawn.params, jnp.asarray(images), jnp.asarray(labels))
    assert float(loss) == pytest.approx(expected, rel=1e-6)  # float32, a mean of 50


def test_an_epoch_is_its_steps_one_by_one(small: data.Mnist) -> None:
    """The scan against a plain loop with Adam written out (Kingma & Ba 2015, algorithm 1), in float64."""
    with jax.enable_x64(True):
        drawn = draws.native(RECIPE.but(dtype="float64"), len(small.train_images))
        order = next(drawn.orders)[:5]
        images, labels = jnp.asarray(small.train_images), jnp.asarray(small.train_labels)
        state, losses = train.run_epoch(train.start(drawn.params, 1e-3), images, labels, jnp.asarray(order))

        params = jax.tree.map(np.asarray, drawn.params)
        m = v = jax.tree.map(np.zeros_like, params)
        for t, batch in enumerate(order, start=1):
            inputs = jnp.asarray(small.train_images[batch] / 255)
            loss, g = jax.value_and_grad(train.mean_loss)(params, inputs, labels[batch])
            assert float(losses[t - 1]) == pytest.approx(float(loss), rel=1e-12)
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * np.asarray(g), m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * np.asarray(g) ** 2, v, g)
            params = jax.tree.map(
                lambda p, m, v: p - 1e-3 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8),  # noqa: B023
                params,
                m,
                v,
            )
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), state.params, params)


def test_fit_yields_what_training_does(small: data.Mnist) -> None:
    initial = draws.native(RECIPE, len(small.train_images))
    before = jax.tree.map(np.array, initial.params)
    records, params = zip(*train.fit(RECIPE, small, initial), strict=True)
    assert [record.epoch for record in records] == [1, 2]
    assert records[1].cost < records[0].cost < 2.3
    assert records[1].test_accuracy > 0.6
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(params))
    assert not np.array_equal(params[0]["linear1"]["kernel"], params[1]["linear1"]["kernel"])
    # The caller's own parameters are not donated, and a second run gives the same numbers.
    jax.tree.map(np.testing.assert_array_equal, before, initial.params)
    again = [record.cost for record, _ in train.fit(RECIPE, small, draws.native(RECIPE, 1000))]
    assert again == [record.cost for record in records]


def test_accuracy_counts_every_image(small: data.Mnist) -> None:
    params = draws.native(RECIPE, 1000).params
    predicted = np.asarray(model.apply(params, jnp.asarray(small.test_images / np.float32(255)))).argmax(axis=1)
    expected = (predicted == small.test_labels).sum() / 500
    assert train.accuracy(params, jnp.asarray(small.test_images), jnp.asarray(small.test_labels)) == expected


def test_another_learning_rate_compiles_nothing_anew(small: data.Mnist) -> None:
    for learning_rate in (1e-3, 1e-2):
        recipe = RECIPE.but(learning_rate=learning_rate, epochs=1)
        list(train.fit(recipe, small, draws.native(recipe, 1000)))
    before = train.compiled_epoch.cache_info().misses
    list(train.fit(RECIPE, small, draws.native(RECIPE, 1000)))
    assert train.compiled_epoch.cache_info().misses == before


def test_a_cost_that_turns_nan_stops_the_run(small: data.Mnist) -> None:
    recipe = RECIPE.but(learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"cost became nan in epoch 1, step \d+: the learning rate 1e\+30"):
        list(train.fit(recipe, small, draws.native(recipe, 1000)))


def test_the_last_step_s_overflow_is_seen_too(small: data.Mnist) -> None:
    """A single step: its loss is that of the initial parameters, and finite."""
    recipe = RECIPE.but(learning_rate=1e30, batch_size=1000, epochs=1)
    drawn = draws.native(recipe, 1000)
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.finfo(np.float32).max), drawn.params)
    with pytest.raises(DivergedError, match="the cost became nan in epoch 1"):
        list(train.fit(recipe, small, drawn._replace(params=broken)))


def test_two_passes_of_the_init_cell_are_torch_s_alone() -> None:
    with pytest.raises(ArgumentError, match="init passes must be 1 with --stream jax, got 2"):
        draws.native(RECIPE.but(init_passes=2), 1000)


def test_all_zeros_moves_nothing_but_the_output_bias(small: data.Mnist) -> None:
    """The notebook says that every gradient is 0; that of the output bias is not."""
    params = model.init_params(recipes.named("mnist_nn_zeros"), key=jax.random.key(0))
    inputs = jnp.asarray(small.train_images[:100] / np.float32(255))
    gradients = jax.grad(train.mean_loss)(params, inputs, jnp.asarray(small.train_labels[:100]))
    output_bias = gradients["linear3"].pop("bias")
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradients))
    assert np.any(output_bias)
