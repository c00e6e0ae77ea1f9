"""Measures of how well an RBM models images: monitors of training, and the likelihood by annealed importance sampling.

Both are for machines with so many hidden units that log Z cannot be computed exactly.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, logsumexp, sigmoid, softplus
from jaxtyping import Array, Float, Key, PRNGKeyArray

from jax_impl.model import PRECISION
from jax_impl.rbm.machine import Rbm, Visible, free_energy, hidden_given_visible, sample, visible_given_hidden

CHAINS = 100  # of `annealed_importance_sampling`
Scalar = Float[Array, ""]
STEPS_AT_ONCE = 50  # temperatures, in about half a second; then a command can show its progress and be stopped
Steps = tuple[Float[Array, " steps"], Float[Array, " steps"], Key[Array, " steps"]]  # β before and after, key
Weighted = tuple[Visible, Float[Array, " chains"]]  # the states of the chains, and the logarithms of their weights


class LogPartition(NamedTuple):
    """An estimate of log Z in nats, and its interval of three standard errors."""

    estimate: Scalar
    low: Scalar
    high: Scalar


class LogLikelihood(NamedTuple):
    """Mean log-likelihoods in nats per image. The interval follows from that of log Z."""

    train: Scalar | float
    test: Scalar | float
    test_low: Scalar | float
    test_high: Scalar | float
    log_partition: Scalar | float

    def __str__(self) -> str:
        """Return the estimates in words, for the output of a run."""
        to = f"to {self.test_high:.1f}" if self.test_high < 0 else "or more"
        return f"{self.test:.1f} nats per image ({self.test_low:.1f} {to}), training images {self.train:.1f}"


def reconstruction_error(rbm: Rbm, v: Visible) -> Scalar:
    """Return the mean cross-entropy between v and its recreation from the hidden probabilities, in nats per image.

    Training does not minimise it: it can fall while the likelihood falls, too.
    """
    inputs = rbm.visible_bias[None] + jnp.matmul(hidden_given_visible(rbm, v), rbm.weight.T, precision=PRECISION)
    return (softplus(inputs) - v * inputs).sum(axis=1).mean()  # -v log σ(x) - (1 - v) log(1 - σ(x))


def pseudo_log_likelihood(rbm: Rbm, v: Visible, key: PRNGKeyArray) -> Scalar:
    """Return an unbiased estimate of the mean Σ_i log p(v_i | the other visible units), in nats per image.

    It draws one unit of each image and uses n_visible · log σ(F(v with this unit flipped) - F(v)).
    """
    n_visible = v.shape[1]
    unit = jax.random.randint(key, (len(v),), 0, n_visible)
    flipped = jnp.where(jnp.arange(n_visible)[None] == unit[:, None], 1 - v, v)
    return n_visible * log_sigmoid(free_energy(rbm, flipped) - free_energy(rbm, v)).mean()


def free_energy_gap(rbm: Rbm, train: Float[Array, "n visible"], held_out: Float[Array, "m visible"]) -> Scalar:
    """Return mean F(held out) - mean F(train) in nats. It grows if the machine overfits (Hinton 2010, section 6)."""
    return free_energy(rbm, held_out).mean() - free_energy(rbm, train).mean()


def annealed_importance_sampling(rbm: Rbm, key: PRNGKeyArray, *, temperatures: int) -> LogPartition:
    """Estimate log Z (Neal 2001; Salakhutdinov & Murray 2008, section 4.1).

    The intermediate machines have this machine's visible biases, and its weights and hidden biases times β. β rises
    from 0, where Z is known, to 1 in equal steps. At each step a chain multiplies its weight by the ratio of two
    unnormalised probabilities of its state, and then moves by one round of Gibbs sampling. Each final weight is an
    unbiased estimate of the ratio of the last Z and the first.

    The interval is that of the mean weight of `CHAINS` independent chains. Its lower end is minus infinity if a few
    chains have most of the weight. `temperatures` is the number of steps of β.
    """
    start, steps = _annealing(rbm, key, temperatures)
    return _log_partition(rbm, _anneal(rbm, start, steps)[1])


def _annealing(rbm: Rbm, key: PRNGKeyArray, temperatures: int) -> tuple[Weighted, Steps]:
    """Return the chains at β = 0, and the steps of β with their random keys."""
    dtype = rbm.weight.dtype
    start_key, steps_key = jax.random.split(key)
    base_rates = jnp.broadcast_to(sigmoid(rbm.visible_bias), (CHAINS, rbm.weight.shape[0]))
    v = sample(base_rates, jax.random.uniform(start_key, base_rates.shape, dtype))
    betas = jnp.linspace(0, 1, temperatures + 1, dtype=dtype)
    keys = jax.random.split(steps_key, temperatures)
    return (v, jnp.zeros(CHAINS, dtype)), (betas[:-1], betas[1:], keys)


def _anneal(rbm: Rbm, chains: Weighted, steps: Steps) -> Weighted:
    """Take some steps of β with all chains."""
    n_hidden, dtype = rbm.weight.shape[1], rbm.weight.dtype

    def step(carry: Weighted, inputs: tuple[Array, Array, PRNGKeyArray]) -> tuple[Weighted, None]:
        v, log_weight = carry
        last_beta, beta, key = inputs
        warmer, colder = _tempered(rbm, last_beta), _tempered(rbm, beta)
        log_weight = log_weight + free_energy(warmer, v) - free_energy(colder, v)
        hidden_key, visible_key = jax.random.split(key)
        h = sample(hidden_given_visible(colder, v), jax.random.uniform(hidden_key, (CHAINS, n_hidden), dtype))
        v = sample(visible_given_hidden(colder, h), jax.random.uniform(visible_key, v.shape, dtype))
        return (v, log_weight), None

    return jax.lax.scan(step, chains, steps)[0]


def _log_partition(rbm: Rbm, log_weights: Float[Array, " chains"]) -> LogPartition:
    """Return the estimate of log Z from the logarithms of the chains' weights."""
    n_hidden, dtype = rbm.weight.shape[1], rbm.weight.dtype
    log_z = n_hidden * jnp.log(jnp.asarray(2, dtype)) + softplus(rbm.visible_bias).sum()
    mean = logsumexp(log_weights) - jnp.log(jnp.asarray(CHAINS, dtype))
    error = 3 * jnp.std(jnp.exp(log_weights - mean), ddof=1) / jnp.sqrt(jnp.asarray(CHAINS, dtype))
    low = jnp.log(jnp.maximum(1 - error, 0))
    return LogPartition(log_z + mean, log_z + mean + low, log_z + mean + jnp.log1p(error))


def log_likelihood(
    rbm: Rbm,
    train: Float[Array, "n visible"],
    test: Float[Array, "m visible"],
    key: PRNGKeyArray,
    temperatures: int,
    watch: Callable[[int], None] = lambda _: None,
) -> LogLikelihood:
    """Estimate the mean log-likelihood of training and test images with pixels in [0, 1].

    Each pixel is drawn once as 0 or 1, with its grey level as the probability, as for the published log-likelihoods of
    MNIST (Salakhutdinov & Murray 2008, section 5). `watch` gets the number of finished temperatures.
    """
    *image_keys, annealing_key = jax.random.split(key, 3)
    of_train, of_test = (
        _unnormalised(rbm, v, image_key) for image_key, v in zip(image_keys, (train, test), strict=True)
    )
    chains, steps = _begin_annealing(rbm, annealing_key, temperatures)
    for first in range(0, temperatures, STEPS_AT_ONCE):
        part = jax.tree.map(itemgetter(slice(first, first + STEPS_AT_ONCE)), steps)
        chains = jax.block_until_ready(_anneal_part(rbm, chains, part))
        watch(min(first + STEPS_AT_ONCE, temperatures))
    log_z, low, high = _end_annealing(rbm, chains[1])
    return LogLikelihood(of_train - log_z, of_test - log_z, of_test - high, of_test - low, log_z)


@jax.jit
def _unnormalised(rbm: Rbm, v: Visible, key: PRNGKeyArray) -> Scalar:
    """Return the mean log-likelihood of images, drawn as 0 or 1, plus log Z."""
    return -free_energy(rbm, sample(v, jax.random.uniform(key, v.shape, v.dtype))).mean()


_begin_annealing = jax.jit(_annealing, static_argnums=2)
_anneal_part = jax.jit(_anneal)
_end_annealing = jax.jit(_log_partition)


def _tempered(rbm: Rbm, beta: Float[Array, ""]) -> Rbm:
    return Rbm(beta * rbm.weight, rbm.visible_bias, beta * rbm.hidden_bias)
