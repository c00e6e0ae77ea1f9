"""Every function against tiny machines whose states are enumerated in NumPy, in float64."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl.rbm import likelihood, training
from jax_impl.rbm import machine as rbm
from jax_impl.rbm import settings as rbm_settings

N_VISIBLE, N_HIDDEN = 5, 4
V = np.array(list(product([0.0, 1.0], repeat=N_VISIBLE)))[:, ::-1]  # unit 0 changes fastest, as in `rbm.states`
H = np.array(list(product([0.0, 1.0], repeat=N_HIDDEN)))[:, ::-1]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def machine(seed: int = 0, scale: float = 1.0, n_visible: int = N_VISIBLE, n_hidden: int = N_HIDDEN) -> rbm.Rbm:
    rng = np.random.default_rng(seed)
    shapes = ((n_visible, n_hidden), (n_visible,), (n_hidden,))
    return rbm.Rbm(*(jnp.asarray(scale * rng.normal(size=shape)) for shape in shapes))


def joint(one: rbm.Rbm) -> np.ndarray:
    """p(v, h) of every pair of states, by the definition."""
    w, b, c = (np.asarray(array) for array in one)
    energies = -(V @ b)[:, None] - (H @ c)[None] - V @ w @ H.T
    weights = np.exp(-energies)
    return weights / weights.sum()


def test_states_are_complete() -> None:
    np.testing.assert_array_equal(rbm.states(N_VISIBLE, "float64"), V)


def test_energies_and_likelihoods_match_their_definitions() -> None:
    one, p = machine(), joint(machine())
    pairs = [(v, h) for v in range(len(V)) for h in range(len(H))]
    v, h = (jnp.asarray(states[[pair[side] for pair in pairs]]) for side, states in enumerate((V, H)))
    log_z = rbm.log_partition(one)
    np.testing.assert_allclose(-rbm.energy(one, v, h) - log_z, np.log(p).ravel(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(rbm.log_likelihood(one, jnp.asarray(V)), np.log(p.sum(axis=1)), atol=1e-12)
    assert np.exp(rbm.log_likelihood(one, jnp.asarray(V))).sum() == pytest.approx(1, abs=1e-12)


def test_conditional_probabilities_follow_from_the_energies() -> None:
    one, p = machine(), joint(machine())
    on = p[:, :, None] * H[None]
    expected = on.sum(axis=1) / p.sum(axis=1)[:, None]
    np.testing.assert_allclose(rbm.hidden_given_visible(one, jnp.asarray(V)), expected, atol=1e-12)
    on = p[:, :, None] * V[:, None]
    expected = on.sum(axis=0) / p.sum(axis=0)[:, None]
    np.testing.assert_allclose(rbm.visible_given_hidden(one, jnp.asarray(H)), expected, atol=1e-12)


def test_the_gradient_of_the_likelihood_is_data_minus_model_statistics() -> None:
    one, data = machine(), jnp.asarray(V[[3, 3, 17, 30]])
    gradient = jax.grad(lambda machine: rbm.log_likelihood(machine, data).mean())(one)
    p = joint(one)
    model = rbm.Rbm(V.T @ p @ H, V.T @ p.sum(axis=1), H.T @ p.sum(axis=0))
    of_data = rbm.statistics(data, rbm.hidden_given_visible(one, data))
    for found, positive, negative in zip(gradient, of_data, model, strict=True):
        np.testing.assert_allclose(found, positive - negative, atol=1e-8)


def test_contrastive_divergence_approaches_the_gradient_as_k_grows() -> None:
    """The expected CD-k step, by the transition matrix of the chain over all states."""
    one, start = machine(scale=0.7), np.zeros(len(V))
    start[[3, 17, 30]] = [0.5, 0.25, 0.25]
    p = joint(one)
    forward, backward = p / p.sum(axis=1)[:, None], (p / p.sum(axis=0)[None]).T
    gradient = V.T @ (start[:, None] * forward) @ H - V.T @ p @ H
    distances = []
    for k in (1, 5, 25):
        ends = start @ np.linalg.matrix_power(forward @ backward, k)
        distances.append(
            np.abs(V.T @ (start[:, None] * forward) @ H - V.T @ (ends[:, None] * forward) @ H - gradient).max()
        )
    assert distances[0] > 5 * distances[1] > 25 * distances[2]
    # The sampled step has that expectation: 40,000 chains, standard errors of at most 0.5 / 200.
    data = jnp.asarray(np.repeat(V[[3, 3, 17, 30]], 10_000, axis=0))
    drawn = rbm.uniforms(jax.random.key(0), 1, len(data), one)
    of_data, of_model, _ = rbm.divergence_step(one, data, drawn)
    ends = start @ forward @ backward
    expected = V.T @ (start[:, None] * forward) @ H - V.T @ (ends[:, None] * forward) @ H
    np.testing.assert_allclose(of_data.weight - of_model.weight, expected, atol=0.0125)


def test_gibbs_sampling_preserves_the_model_s_distribution() -> None:
    one = machine()
    p = joint(one).sum(axis=1)
    rng = np.random.default_rng(1)
    v = jnp.asarray(V[rng.choice(len(V), 40_000, p=p)])
    ends, _ = rbm.gibbs(one, rbm.hidden_given_visible(one, v), rbm.uniforms(jax.random.key(1), 3, len(v), one))
    counts = np.bincount((np.asarray(ends) @ 2 ** np.arange(N_VISIBLE)).astype(int), minlength=len(V))
    np.testing.assert_allclose(counts / len(v), p, atol=0.0125)  # five standard errors at p = 1/2


def test_without_weights_the_likelihood_is_that_of_the_base_rates() -> None:
    data = jnp.asarray(V[[3, 3, 17, 30]])
    means = data.mean(axis=0)
    one = rbm.init(jax.random.key(0), means, N_HIDDEN, "float64")
    one = one._replace(weight=jnp.zeros_like(one.weight))
    p, bits = np.clip(means, 1e-4, 1 - 1e-4), np.asarray(data)
    expected = (bits * np.log(p) + (1 - bits) * np.log1p(-p)).sum(axis=1)
    np.testing.assert_allclose(rbm.log_likelihood(one, data), expected, atol=1e-10)


def test_the_kl_divergence_is_that_of_the_two_distributions() -> None:
    one = machine()
    p = joint(one).sum(axis=1)
    assert rbm.kl_divergence(one, jnp.asarray(p)) == pytest.approx(0, abs=1e-12)
    data = np.zeros(len(V))
    data[[3, 17]] = [0.75, 0.25]
    expected = 0.75 * np.log(0.75 / p[3]) + 0.25 * np.log(0.25 / p[17])
    assert rbm.kl_divergence(one, jnp.asarray(data)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_training_lowers_the_exact_divergence() -> None:
    data = jnp.asarray(np.repeat(V[[3, 7, 24, 28]], 25, axis=0))
    target = np.zeros(len(V))
    target[[3, 7, 24, 28]] = 0.25
    settings = rbm_settings.Settings(hidden=8, epochs=300, batch_size=50, learning_rate=0.2, dtype="float64")
    found = list(training.fit(settings, data, data))
    start = rbm.init(jax.random.split(jax.random.key(settings.seed))[0], data.mean(axis=0), 8, "float64")
    before, after = (rbm.kl_divergence(one, jnp.asarray(target)) for one in (start, found[-1][1]))
    assert after < 0.25 * before


def test_initial_weights_and_biases_are_hinton_s() -> None:
    one = rbm.init(jax.random.key(0), jnp.array([0.0, 0.25, 1.0]), 4000)
    assert np.std(one.weight) == pytest.approx(0.01, rel=0.05)
    assert one.visible_bias[1] == pytest.approx(np.log(1 / 3), rel=1e-6)
    assert np.isfinite(one.visible_bias).all()
    assert not one.hidden_bias.any()


def test_the_pseudo_likelihood_is_unbiased() -> None:
    one, p = machine(), joint(machine()).sum(axis=1)
    expected = 0.0
    for unit in range(N_VISIBLE):
        flipped = (V.astype(int) ^ (np.arange(N_VISIBLE) == unit)) @ 2 ** np.arange(N_VISIBLE)
        expected += np.log(p / (p + p[flipped])).mean()
    data = jnp.asarray(np.repeat(V, 2000, axis=0))
    found = likelihood.pseudo_log_likelihood(one, data, jax.random.key(0))
    assert found == pytest.approx(expected, rel=0.02)


def test_the_reconstruction_error_is_the_cross_entropy() -> None:
    one, v = machine(), jnp.asarray(V)
    p = np.asarray(rbm.visible_given_hidden(one, rbm.hidden_given_visible(one, v)))
    expected = -(V * np.log(p) + (1 - V) * np.log1p(-p)).sum(axis=1).mean()
    assert likelihood.reconstruction_error(one, v) == pytest.approx(expected, abs=1e-12)


def test_the_free_energy_gap_is_that_of_the_means() -> None:
    one = machine()
    gap = likelihood.free_energy_gap(one, jnp.asarray(V[:4]), jnp.asarray(V[4:9]))
    log_p = np.log(joint(one).sum(axis=1))
    assert gap == pytest.approx(log_p[:4].mean() - log_p[4:9].mean(), abs=1e-12)


@pytest.mark.slow
def test_annealing_estimates_log_z_and_its_interval_covers_it() -> None:
    """15 hidden units, 50 estimates: the error is below 0.1 nat, and at least 45 intervals cover the value."""
    one = machine(seed=3, scale=0.5, n_visible=20, n_hidden=15)
    truth = float(rbm.log_partition(one))
    keys = jax.random.split(jax.random.key(0), 50)
    estimate = partial(likelihood.annealed_importance_sampling, temperatures=1000)
    found = jax.jit(jax.vmap(estimate, in_axes=(None, 0)))(one, keys)
    assert np.abs(np.asarray(found.estimate) - truth).max() < 0.1
    assert np.sum((np.asarray(found.low) <= truth) & (truth <= np.asarray(found.high))) >= 45
