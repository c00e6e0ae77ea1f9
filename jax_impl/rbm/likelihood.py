"""Measures of how well an RBM models images: monitors of training, and the likelihood by annealed importance sampling.

Both are for machines with so many hidden units that log Z cannot be computed exactly.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, logsumexp, sigmoid, softplus
from jaxtyping import Array, Float, PRNGKeyArray

from jax_impl.model import PRECISION
from jax_impl.rbm.machine import Rbm, Visible, free_energy, hidden_given_visible, sample, visible_given_hidden

CHAINS, TEMPERATURES = 100, 1000  # of `annealed_importance_sampling`, by default


class LogPartition(NamedTuple):
    """An estimate of log Z in nats, and its interval of three standard errors."""

    estimate: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]


class LogLikelihood(NamedTuple):
    """Mean log-likelihoods in nats per image. The interval follows from that of log Z."""

    train: Float[Array, ""] | float
    test: Float[Array, ""] | float
    test_low: Float[Array, ""] | float
    test_high: Float[Array, ""] | float
    log_partition: Float[Array, ""] | float

    def __str__(self) -> str:
        """Return the estimates in words, for the output of a run."""
        to = f"to {self.test_high:.1f}" if self.test_high < 0 else "or more"
        return f"{self.test:.1f} nats per image ({self.test_low:.1f} {to}), training images {self.train:.1f}"


def reconstruction_error(rbm: Rbm, v: Visible) -> Float[Array, ""]:
    """Return the mean cross-entropy between v and its recreation from the hidden probabilities, in nats per image.

    Training does not minimise it: it can fall while the likelihood falls, too.
    """
    inputs = rbm.visible_bias[None] + jnp.matmul(hidden_given_visible(rbm, v), rbm.weight.T, precision=PRECISION)
    return (softplus(inputs) - v * inputs).sum(axis=1).mean()  # -v log σ(x) - (1 - v) log(1 - σ(x))


def pseudo_log_likelihood(rbm: Rbm, v: Visible, key: PRNGKeyArray) -> Float[Array, ""]:
    """Return an unbiased estimate of the mean Σ_i log p(v_i | the other visible units), in nats per image.

    It draws one unit of each image and uses n_visible · log σ(F(v with this unit flipped) - F(v)).
    """
    n_visible = v.shape[1]
    unit = jax.random.randint(key, (len(v),), 0, n_visible)
    flipped = jnp.where(jnp.arange(n_visible)[None] == unit[:, None], 1 - v, v)
    return n_visible * log_sigmoid(free_energy(rbm, flipped) - free_energy(rbm, v)).mean()


def free_energy_gap(
    rbm: Rbm, train: Float[Array, "train visible"], held_out: Float[Array, "held_out visible"]
) -> Float[Array, ""]:
    """Return mean F(held out) - mean F(train) in nats. It grows if the machine overfits (Hinton 2010, section 6)."""
    return free_energy(rbm, held_out).mean() - free_energy(rbm, train).mean()


def annealed_importance_sampling(
    rbm: Rbm, key: PRNGKeyArray, *, chains: int = CHAINS, temperatures: int = TEMPERATURES
) -> LogPartition:
    """Estimate log Z (Neal 2001; Salakhutdinov & Murray 2008, section 4.1).

    The intermediate machines have this machine's visible biases, and its weights and hidden biases times β. β rises
    from 0, where Z is known, to 1 in equal steps. At each step a chain multiplies its weight by the ratio of two
    unnormalised probabilities of its state, and then moves by one round of Gibbs sampling. Each final weight is an
    unbiased estimate of the ratio of the last Z and the first.

    Args:
        rbm: The machine.
        key: Of the random draws.
        chains: The number of independent chains.
        temperatures: The number of steps of β.

    Returns:
        The estimate, and the interval of three standard errors of the mean weight. Its lower end is minus infinity if
        a few chains have most of the weight.
    """
    n_visible, n_hidden = rbm.weight.shape
    dtype = rbm.weight.dtype
    start_key, steps_key = jax.random.split(key)
    v = sample(
        jnp.broadcast_to(sigmoid(rbm.visible_bias), (chains, n_visible)),
        jax.random.uniform(start_key, (chains, n_visible), dtype),
    )
    betas = jnp.linspace(0, 1, temperatures + 1, dtype=dtype)

    def step(
        carry: tuple[Visible, Array], inputs: tuple[Array, Array, PRNGKeyArray]
    ) -> tuple[tuple[Visible, Array], None]:
        v, log_weight = carry
        last_beta, beta, key = inputs
        warmer, colder = _tempered(rbm, last_beta), _tempered(rbm, beta)
        log_weight = log_weight + free_energy(warmer, v) - free_energy(colder, v)
        hidden_key, visible_key = jax.random.split(key)
        h = sample(hidden_given_visible(colder, v), jax.random.uniform(hidden_key, (chains, n_hidden), dtype))
        v = sample(visible_given_hidden(colder, h), jax.random.uniform(visible_key, v.shape, dtype))
        return (v, log_weight), None

    keys = jax.random.split(steps_key, temperatures)
    (_, log_weights), _ = jax.lax.scan(step, (v, jnp.zeros(chains, dtype)), (betas[:-1], betas[1:], keys))
    log_z = n_hidden * jnp.log(jnp.asarray(2, dtype)) + softplus(rbm.visible_bias).sum()
    mean = logsumexp(log_weights) - jnp.log(jnp.asarray(chains, dtype))
    error = 3 * jnp.std(jnp.exp(log_weights - mean), ddof=1) / jnp.sqrt(jnp.asarray(chains, dtype))
    low = jnp.log(jnp.maximum(1 - error, 0))
    return LogPartition(log_z + mean, log_z + mean + low, log_z + mean + jnp.log1p(error))


@partial(jax.jit, static_argnames="temperatures")
def log_likelihood(
    rbm: Rbm,
    train: Float[Array, "train visible"],
    test: Float[Array, "test visible"],
    key: PRNGKeyArray,
    temperatures: int = TEMPERATURES,
) -> LogLikelihood:
    """Estimate the mean log-likelihood of training and test images with pixels in [0, 1].

    Each pixel is drawn once as 0 or 1, with its grey level as the probability, as for the published log-likelihoods of
    MNIST (Salakhutdinov & Murray 2008, section 5).
    """
    *image_keys, annealing_key = jax.random.split(key, 3)
    means = [
        -free_energy(rbm, sample(v, jax.random.uniform(image_key, v.shape, v.dtype))).mean()
        for image_key, v in zip(image_keys, (train, test), strict=True)
    ]
    log_z = annealed_importance_sampling(rbm, annealing_key, temperatures=temperatures)
    return LogLikelihood(
        train=means[0] - log_z.estimate,
        test=means[1] - log_z.estimate,
        test_low=means[1] - log_z.high,
        test_high=means[1] - log_z.low,
        log_partition=log_z.estimate,
    )


def _tempered(rbm: Rbm, beta: Float[Array, ""]) -> Rbm:
    return Rbm(beta * rbm.weight, rbm.visible_bias, beta * rbm.hidden_bias)
