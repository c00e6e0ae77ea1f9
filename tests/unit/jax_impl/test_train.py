import re
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

import torch_ref.train
from jax_impl import data, draws, model, recipes, train
from jax_impl.errors import DivergedError

RECIPE = recipes.named("mnist_nn_xavier").with_changes(layers=(784, 32, 10), epochs=2)


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
        drawn = draws.native(RECIPE.with_changes(dtype="float64"), len(small.train_images))
        order = next(drawn.orders)[:5]
        images, labels = jnp.asarray(small.train_images), jnp.asarray(small.train_labels)
        state, losses = train.run_epoch(train.start(drawn.params, 1e-3), images, labels, jnp.asarray(order))

        params = jax.tree.map(np.asarray, drawn.params)
        m = v = jax.tree.map(np.zeros_like, params)
        gradient = jax.jit(jax.value_and_grad(train.mean_loss))
        for t, batch in enumerate(order, start=1):
            inputs = jnp.asarray(small.train_images[batch] / 255)
            loss, g = gradient(params, inputs, labels[batch])
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


def test_sgd_subtracts_the_scaled_gradient() -> None:
    params = {"linear1": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}}
    gradients = jax.tree.map(lambda leaf: leaf + 4, params)
    state = train.update(train.start(params, 0.5, "sgd"), gradients, "sgd")
    np.testing.assert_array_equal(state.params["linear1"]["kernel"], np.full((2, 3), 1 - 0.5 * 5))
    np.testing.assert_array_equal(state.params["linear1"]["bias"], np.full(3, -2.0))


def test_fit_yields_each_epoch_s_record_and_state(small: data.Mnist) -> None:
    """Against `run_epoch` without `fit`: the state goes from one epoch to the next, with its optimizer."""
    initial = draws.native(RECIPE, len(small.train_images))
    before = jax.tree.map(np.array, initial.params)
    records, states = zip(*train.fit(RECIPE, small, initial), strict=True)
    assert [record.epoch for record in records] == [1, 2]
    assert records[1].cost < records[0].cost < 2.3
    assert records[1].test_accuracy > 0.6
    # The caller's own parameters are not overwritten.
    jax.tree.map(np.testing.assert_array_equal, before, initial.params)
    images, labels = jnp.asarray(small.train_images), jnp.asarray(small.train_labels)
    expected = train.start(initial.params, RECIPE.learning_rate)
    orders = islice(draws.native(RECIPE, 1000).orders, 2)
    for record, state, order in zip(records, states, orders, strict=True):
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(state))
        expected, losses = jax.jit(train.run_epoch)(expected, images, labels, jnp.asarray(order))
        assert record.cost == pytest.approx(float(losses.mean()), rel=1e-6)  # float32 means of ten costs
        # Compiled without the options of `train.compile_for`, which may round otherwise.
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state, expected)
        correct = int(model.count_correct(state.params, jnp.asarray(small.test_images), jnp.asarray(small.test_labels)))
        assert record.test_accuracy == correct / 500
    assert states[1].opt_state[0].count == 20


def test_fit_repeats_to_the_last_bit(small: data.Mnist) -> None:
    first, again = (list(train.fit(RECIPE, small, draws.native(RECIPE, 1000))) for _ in range(2))
    for (record, state), (other, other_state) in zip(first, again, strict=True):
        assert (record.cost, record.test_accuracy) == (other.cost, other.test_accuracy)
        jax.tree.map(np.testing.assert_array_equal, state, other_state)


def test_no_epochs_yield_nothing(small: data.Mnist) -> None:
    assert list(train.fit(RECIPE.with_changes(epochs=0), small, draws.native(RECIPE, 1000))) == []


@pytest.mark.parametrize(("rate", "smaller"), [(1e30, "0.001"), (1e-3, "0.0001"), (1e-5, "1e-06")])
def test_a_diverged_run_is_told_a_smaller_learning_rate(rate: float, smaller: str) -> None:
    with pytest.raises(
        DivergedError, match=rf"the learning rate {re.escape(f'{rate:g}')} or .*; try --learning-rate {smaller}$"
    ):
        train.check_finite(1, np.array([2.3, np.nan], np.float32), {}, rate)


def test_another_learning_rate_needs_no_new_compilation(small: data.Mnist) -> None:
    list(train.fit(RECIPE, small, draws.native(RECIPE, 1000)))
    before = train.compiled_epoch.cache_info().misses
    faster = RECIPE.with_changes(learning_rate=1e-2)
    list(train.fit(faster, small, draws.native(faster, 1000)))
    assert train.compiled_epoch.cache_info().misses == before


def test_compilation_does_without_an_option_that_jax_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "CPU_OPTIONS", {"xla_no_such_option": True})
    assert train.compile_for(lambda x: x + 1, jnp.zeros(2))(jnp.zeros(2)).tolist() == [1, 1]


def test_no_kernel_is_copied_in_a_step() -> None:
    """Without `CPU_OPTIONS` the loop's body copies the kernels that it has just updated."""
    recipe = recipes.named(recipes.DEFAULT)
    settings = (recipe.layers, recipe.dtype, recipe.activation, recipe.optimizer)
    text = train.compiled_epoch(*settings, (1000, 784), (10, 100)).as_text()
    assert not [line for line in text.splitlines() if "f32[256,256]{1,0} copy(" in line and "%copy" in line]


def test_a_cost_that_becomes_nan_ends_the_run(small: data.Mnist) -> None:
    recipe = RECIPE.with_changes(learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"cost became nan in epoch 1, step \d+: the learning rate 1e\+30"):
        list(train.fit(recipe, small, draws.native(recipe, 1000)))


def test_an_overflow_in_the_last_step_ends_the_run(small: data.Mnist) -> None:
    """A single step: its loss is that of the initial parameters, and finite."""
    recipe = RECIPE.with_changes(learning_rate=1e30, batch_size=1000, epochs=1)
    drawn = draws.native(recipe, 1000)
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.finfo(np.float32).max), drawn.params)
    with pytest.raises(DivergedError, match="the cost became nan in epoch 1"):
        list(train.fit(recipe, small, drawn._replace(params=broken)))


def test_the_first_bad_step_is_named() -> None:
    params = {"linear1": {"kernel": np.ones((2, 2)), "bias": np.ones(2)}}
    train.check_finite(1, np.array([1.0, 2.0]), params, 0.1)
    with pytest.raises(DivergedError, match=r"became inf in epoch 3, step 2: the learning rate 0\.1 or the initial"):
        train.check_finite(3, np.array([1.0, np.inf, np.nan]), params, 0.1)
    params["linear1"]["bias"][1] = np.nan
    with pytest.raises(DivergedError, match="became nan in epoch 3, step 3"):
        train.check_finite(3, np.array([1.0, 2.0]), params, 0.1)


@pytest.mark.parametrize("record_type", [train.EpochRecord, torch_ref.train.EpochRecord])
def test_a_record_is_printed_as_the_notebook_does(record_type: type) -> None:
    record = record_type(epoch=1, cost=0.243988752, test_accuracy=0.9613, seconds=0.666)
    assert str(record) == "Epoch: 0001 cost = 0.243988752  test accuracy = 96.13%  (0.67 s)"


def test_all_zeros_move_nothing_but_the_output_bias(small: data.Mnist) -> None:
    """The notebook says that every gradient is 0; that of the output bias is not."""
    params = model.init_params(recipes.named("mnist_nn_zeros"), key=jax.random.key(0))
    inputs = jnp.asarray(small.train_images[:100] / np.float32(255))
    gradients = jax.grad(train.mean_loss)(params, inputs, jnp.asarray(small.train_labels[:100]))
    output_bias = gradients["linear3"].pop("bias")
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradients))
    assert np.any(output_bias)
