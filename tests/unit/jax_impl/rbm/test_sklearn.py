"""The machine compared with scikit-learn's, on the data and with the settings of scikit-learn's published example.

The example is "Restricted Boltzmann Machine features for digit classification": each digit is also moved by one pixel
in four directions; a `BernoulliRBM` of 100 units trains for ten epochs with batches of ten, a constant rate of 0.06 and
persistent chains. The documentation of scikit-learn 0.15 prints a pseudo-likelihood of -20.09 on the training data
after the tenth epoch; a later version prints accuracies of 0.93 with the features and 0.78 with the pixels.

Both machines are trained here on the same images in the same order. Three differences remain: our visible biases start
at the data's means and our chains at the data, where scikit-learn's start at zero; and we drop the last batch of eight
images.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.preprocessing import minmax_scale
from threadpoolctl import threadpool_limits

from jax_impl.rbm import likelihood, training
from jax_impl.rbm import machine as rbm

SEEDS = (20, 21, 22)
ESTIMATES = 64  # of a machine's pseudo-likelihood: one has a standard error of 0.23 nats, their mean one of 0.03
SETTINGS = training.Settings(hidden=100, persistent=True, epochs=10, batch_size=10, learning_rate=0.06)
EPOCH = jax.jit(partial(training.run_epoch, settings=SETTINGS))


class Digits(NamedTuple):
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray


class Measured(NamedTuple):
    """Results of one machine, by seed."""

    pseudo_likelihoods: list[float]
    accuracies: list[float]


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread() -> Iterator[None]:
    """Such small matrices gain nothing from threads, which cost minutes if another process uses the cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def digits() -> Digits:
    pixels, labels = load_digits(return_X_y=True)
    around = np.pad(pixels.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    # Unmoved, up, left, right, down: the example's order, on which its split depends.
    corners = ((1, 1), (2, 1), (1, 2), (1, 0), (0, 1))
    moved = [around[:, top : top + 8, left : left + 8].reshape(-1, 64) for top, left in corners]
    scaled = minmax_scale(np.concatenate(moved).astype("float32"))
    return Digits(*train_test_split(scaled, np.tile(labels, 5), test_size=0.2, random_state=0))


@pytest.fixture(scope="module")
def measured(digits: Digits) -> dict[str, Measured]:
    found = {"jax_impl": Measured([], []), "scikit-learn": Measured([], [])}
    for seed in SEEDS:
        ours, theirs = trained(seed, digits.train), sklearn_trained(seed, digits.train)
        features = {
            "jax_impl": lambda images, ours=ours: np.asarray(rbm.hidden_given_visible(ours, jnp.asarray(images))),
            "scikit-learn": theirs.transform,
        }
        found["jax_impl"].pseudo_likelihoods.append(pseudo_likelihood(ours, digits.train))
        found["scikit-learn"].pseudo_likelihoods.append(sklearn_pseudo_likelihood(theirs, digits.train))
        for name, function in features.items():
            found[name].accuracies.append(accuracy(digits, function, inverse_penalty=6000.0))
    return found


def trained(seed: int, images: np.ndarray) -> rbm.Rbm:
    """Train as scikit-learn does: with a constant rate and the same order in every epoch."""
    data = jnp.asarray(images)
    start_key, epochs_key = jax.random.split(jax.random.key(seed))
    steps = len(images) // SETTINGS.batch_size
    order = jnp.arange(steps * SETTINGS.batch_size, dtype="int32").reshape(steps, -1)
    state = training.start(SETTINGS, data, start_key)
    for key in jax.random.split(epochs_key, SETTINGS.epochs):
        state = EPOCH(state, data, order, jax.random.split(key, steps), jnp.float32(SETTINGS.learning_rate))
    return state.rbm


def sklearn_trained(seed: int, images: np.ndarray, epochs: int = SETTINGS.epochs) -> BernoulliRBM:
    machine = BernoulliRBM(
        SETTINGS.hidden,
        learning_rate=SETTINGS.learning_rate,
        batch_size=SETTINGS.batch_size,
        n_iter=epochs,
        random_state=seed,
    )
    return machine.fit(images)


def pseudo_likelihood(machine: rbm.Rbm, images: np.ndarray) -> float:
    """`jax_impl`'s estimate, without rounding the pixels: scikit-learn does not round them either."""
    estimate = partial(likelihood.pseudo_log_likelihood, machine, jnp.asarray(images))
    return float(jax.lax.map(estimate, jax.random.split(jax.random.key(0), ESTIMATES)).mean())


def sklearn_pseudo_likelihood(machine: BernoulliRBM, images: np.ndarray) -> float:
    estimates = [machine.set_params(random_state=seed).score_samples(images).mean() for seed in range(ESTIMATES)]
    return float(np.mean(estimates))


def accuracy(digits: Digits, features: Callable[[np.ndarray], np.ndarray], inverse_penalty: float) -> float:
    """The share of test digits that a logistic regression on features of the training digits classifies correctly.

    The example's tolerance of 1 was meant for the gradient of a loss summed over the images. scikit-learn now uses the
    mean (pull request 26721) and would stop before the first step, at an accuracy of 0.1. The same tolerance is now
    1 / images.
    """
    regression = LogisticRegression(C=inverse_penalty, solver="newton-cg", tol=1 / len(digits.train))
    regression.fit(features(digits.train).astype("float64"), digits.train_labels)
    return regression.score(features(digits.test).astype("float64"), digits.test_labels)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jax_impl", "scikit-learn"])
def test_the_pseudo_likelihood_is_as_published(measured: dict[str, Measured], name: str) -> None:
    found = measured[name].pseudo_likelihoods
    assert -20.8 < min(found) <= max(found) < -19.6, found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jax_impl", "scikit-learn"])
def test_the_accuracy_with_features_is_as_published(measured: dict[str, Measured], name: str) -> None:
    """The mean over the seeds: single seeds ranged from 0.934 to 0.949, too near the upper bound."""
    found = measured[name].accuracies
    assert 0.91 < np.mean(found) < 0.95, found


@pytest.mark.slow
def test_the_accuracy_with_pixels_is_as_published(digits: Digits) -> None:
    assert 0.75 < accuracy(digits, lambda images: images, inverse_penalty=100.0) < 0.81


def test_free_energies_and_hidden_probabilities_are_scikit_learn_s(digits: Digits) -> None:
    images = digits.test[:500].astype("float64")
    theirs = sklearn_trained(0, digits.train[:2000].astype("float64"), epochs=2)
    with jax.enable_x64(True):
        parameters = (theirs.components_.T, theirs.intercept_visible_, theirs.intercept_hidden_)
        ours, v = rbm.Rbm(*map(jnp.asarray, parameters)), jnp.asarray(images)
        np.testing.assert_allclose(rbm.free_energy(ours, v), theirs._free_energy(images), rtol=0, atol=1e-10)
        np.testing.assert_allclose(rbm.hidden_given_visible(ours, v), theirs.transform(images), rtol=0, atol=1e-10)
