"""The training step of an RBM against its equations; wrong settings and data are refused."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, DivergedError
from jax_impl.model import scale
from jax_impl.rbm import machine as rbm
from jax_impl.rbm import training
from jax_impl.rbm.settings import Settings

SMALL = Settings(hidden=6, epochs=2, batch_size=20, learning_rate=0.2)


def images(n: int = 100, n_visible: int = 8, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).uniform(size=(n, n_visible)), jnp.float32)


def stepped(settings: Settings, steps: int = 1) -> tuple[list[training.State], list[rbm.Rbm], jax.Array]:
    """States before and after steps on the same batch, each step's direction of contrastive divergence, the batch."""
    data = images(settings.batch_size)
    start = training.start(settings, data, jax.random.key(1))
    # Weights of size 1, so that chains with different starts have different ends.
    states, directions = [start._replace(rbm=start.rbm._replace(weight=100 * start.rbm.weight))], []
    for number in range(steps):
        state = states[-1]
        drawn = rbm.uniforms(jax.random.key(10 + number), settings.k, len(data), state.rbm)
        chains = state.chains if settings.persistent else None
        of_data, of_model, _ = rbm.divergence_step(state.rbm, data, drawn, chains)
        directions.append(jax.tree.map(jnp.subtract, of_data, of_model))
        states.append(training.update(state, data, drawn, settings, settings.learning_rate))
    return states, directions, data


def test_a_plain_step_adds_the_scaled_direction() -> None:
    (before, after), (direction,), _ = stepped(SMALL)
    for old, new, along in zip(before.rbm, after.rbm, direction, strict=True):
        np.testing.assert_allclose(new - old, 0.2 * along, atol=1e-6)


def test_momentum_adds_a_share_of_the_last_step() -> None:
    (_, one, two), (_, direction), _ = stepped(replace(SMALL, momentum=0.9), steps=2)
    for first, velocity, old, new, along in zip(one.velocity, two.velocity, one.rbm, two.rbm, direction, strict=True):
        np.testing.assert_allclose(velocity, 0.9 * first + 0.2 * along, atol=1e-6)
        np.testing.assert_allclose(new - old, velocity, atol=1e-6)


def test_weight_decay_shrinks_the_weights_but_not_the_biases() -> None:
    (before, plain), *_ = stepped(SMALL)
    (_, decayed), *_ = stepped(replace(SMALL, weight_decay=0.5))
    np.testing.assert_allclose(decayed.rbm.weight, plain.rbm.weight - 0.2 * 0.5 * before.rbm.weight, atol=1e-6)
    np.testing.assert_array_equal(decayed.rbm.visible_bias, plain.rbm.visible_bias)
    np.testing.assert_array_equal(decayed.rbm.hidden_bias, plain.rbm.hidden_bias)


@pytest.mark.slow
def test_the_sparsity_cost_brings_the_activity_to_its_target() -> None:
    data = images()
    found = []
    for cost in (0.0, 0.5):
        settings = replace(SMALL, epochs=60, sparsity_cost=cost, sparsity_target=0.1)
        *_, (_, last) = training.fit(settings, data, data)
        found.append(float(rbm.hidden_given_visible(last, data).mean()))
    assert found[0] > 0.3
    assert found[1] == pytest.approx(0.1, abs=0.05)


def test_persistent_chains_continue_and_others_start_at_the_data() -> None:
    (_, one, two), *_ = stepped(replace(SMALL, persistent=True), steps=2)
    drawn = rbm.uniforms(jax.random.key(11), 1, SMALL.batch_size, one.rbm)
    ends = rbm.gibbs(one.rbm, one.chains, drawn)[1]
    np.testing.assert_array_equal(two.chains, ends)
    (_, one, two), _, data = stepped(SMALL, steps=2)
    ends = rbm.gibbs(one.rbm, rbm.hidden_given_visible(one.rbm, data), drawn)[1]
    np.testing.assert_array_equal(two.chains, ends)


def test_an_epoch_is_its_steps() -> None:
    data, key = images(), jax.random.key(3)
    order = jnp.arange(100, dtype=jnp.int32).reshape(5, 20)
    state = training.start(SMALL, data, jax.random.key(1))
    rate = jnp.float32(0.1)
    keys = jax.random.split(key, 5)
    together = training.run_epoch(state, data, order, keys, rate, SMALL)
    for batch, one in zip(order, keys, strict=True):
        state = training.update(state, data[batch], rbm.uniforms(one, 1, 20, state.rbm), SMALL, rate)
    for a, b in zip(together.rbm, state.rbm, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_same_seed_trains_the_same_machine_and_layers_and_seeds_differ() -> None:
    data = images()
    runs = [
        [machine for _, machine in training.fit(settings, data, data, layer)]
        for settings, layer in ((SMALL, 1), (SMALL, 1), (replace(SMALL, seed=1), 1), (SMALL, 2))
    ]
    for place in (0, -1):
        first, again, *others = [run[place].weight for run in runs]
        np.testing.assert_array_equal(first, again)
        assert all(np.abs(first - other).max() > 1e-3 for other in others)


def test_the_learning_rate_falls_towards_0(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []

    def fake(*_: object) -> object:
        def epoch(state: training.State, *arguments: jax.Array) -> training.State:
            rates.append(float(arguments[-1]))
            return state

        return epoch

    monkeypatch.setattr(training, "compiled_epoch", fake)
    list(training.fit(replace(SMALL, epochs=4), images(), images()))
    assert rates == pytest.approx([0.2, 0.15, 0.1, 0.05])


def test_runs_that_differ_in_seed_epochs_and_learning_rate_share_their_program() -> None:
    list(training.fit(SMALL, images(), images()))
    misses = training.compiled_epoch.cache_info().misses
    list(training.fit(replace(SMALL, seed=5, epochs=1, learning_rate=0.05), images(), images()))
    assert training.compiled_epoch.cache_info().misses == misses
    list(training.fit(replace(SMALL, momentum=0.5), images(), images()))
    assert training.compiled_epoch.cache_info().misses == misses + 1


@pytest.mark.slow
def test_records_hold_the_monitors_of_each_epoch(small: Mnist) -> None:
    train, test = (scale(jnp.asarray(part), "float32") for part in (small.train_images, small.test_images))
    (none, start), *epochs = training.fit(Settings(hidden=32, epochs=20), train, test)
    assert none is None
    assert np.std(start.weight) == pytest.approx(0.01, rel=0.05)
    records = [record for record, _ in epochs if record is not None]
    assert [(record.layer, record.epoch) for record in records] == [(1, epoch) for epoch in range(1, 21)]
    # From about -200 nats, the base rates', upwards.
    assert -230 < records[0].pseudo_log_likelihood < records[-1].pseudo_log_likelihood < -80
    assert records[0].reconstruction_error > records[-1].reconstruction_error > 80
    assert 0 < records[-1].hidden_activity < 1
    gap = rbm.free_energy(epochs[-1][1], test).mean() - rbm.free_energy(epochs[-1][1], train).mean()
    assert records[-1].free_energy_gap == pytest.approx(float(gap), abs=1e-2)
    assert str(records[-1]).startswith("RBM 1, epoch  20: pseudo-log-likelihood = -")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("hidden", 0, "hidden must be an integer from 1 to 2147483647, got 0"),
        ("k", 0, "k must be an integer from 1 to 2147483647, got 0"),
        ("batch_size", 0, "batch size must be an integer from 1 to 2147483647, got 0"),
        ("epochs", -1, "epochs must be an integer from 0 to 2147483647, got -1"),
        ("learning_rate", 0.0, "learning rate must be a number from 1e-30 to 1e+30, got 0.0"),
        ("learning_rate", float("nan"), "learning rate must be a number from 1e-30 to 1e+30, got nan"),
        ("momentum", 1.0, "momentum must be a number from 0 to below 1, got 1.0"),
        ("weight_decay", -0.1, "weight decay must be a number >= 0, got -0.1"),
        ("sparsity_cost", float("inf"), "sparsity cost must be a number >= 0, got inf"),
        ("sparsity_target", 0.0, "sparsity target must be a number between 0 and 1, got 0.0"),
        ("seed", -1, "seed must be an integer from 0 to 4294967295, got -1"),
    ],
)
def test_a_setting_out_of_range_is_named(field: str, value: float, expected: str) -> None:
    with pytest.raises(ArgumentError) as error:
        Settings(**{field: value})
    assert str(error.value) == expected


@pytest.mark.parametrize("value", [-0.01, 1.5, 255.0, float("nan")])
@pytest.mark.parametrize("side", [0, 1])
def test_pixels_outside_0_and_1_are_refused(value: float, side: int) -> None:
    pair = [images(), images()]
    pair[side] = pair[side].at[3, 2].set(value)
    with pytest.raises(ArgumentError, match=r"pixels must lie in \[0, 1\], got .*: divide bytes by 255"):
        next(training.fit(SMALL, *pair))


def test_a_batch_larger_than_the_data_set_is_refused() -> None:
    with pytest.raises(ArgumentError, match="batch size must be at most the 10 training images, got 20"):
        next(training.fit(SMALL, images(10), images()))


@pytest.mark.parametrize(("rate", "decay"), [(1e30, 0.0), (1e20, 1.0)])
def test_a_machine_that_diverges_is_an_error_that_names_the_learning_rate(rate: float, decay: float) -> None:
    data = images()
    with pytest.raises(DivergedError) as error:
        list(training.fit(replace(SMALL, learning_rate=rate, weight_decay=decay), data, data))
    text = str(error.value)
    assert text.startswith("RBM 1 diverged in epoch 1, its largest parameter is ")
    assert text.endswith(f": the learning rate {rate:g} is probably too large; try --learning-rate 0.1")
    assert ("is nan" in text) == (decay > 0)
