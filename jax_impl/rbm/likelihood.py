"""How good an RBM is where log Z cannot be enumerated: monitors of its training, and annealed importance sampling."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, logsumexp, sigmoid, softplus
from jaxtyping import Array, Float, PRNGKeyArray

from jax_impl.model import PRECISION
from jax_impl.rbm.machine import Rbm, Visible, free_energy, hidden_given_visible, sample, visible_given_hidden

CHAINS, TEMPERATURES = 100, 1000  # of `annealed_importance_sampling`


class LogPartition(NamedTuple):
    """An estimate of log Z in nats, and an interval about it."""

    estimate: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]


class LogLikelihood(NamedTuple):
    """Mean log-likelihoods in nats an image, with the interval that follows from that of log Z."""

    train: Float[Array, ""] | float
    test: Float[Array, ""] | float
    test_low: Float[Array, ""] | float
    test_high: Float[Array, ""] | float
    log_partition: Float[Array, ""] | float

    def __str__(self) -> str:
        """Return the line that a run prints."""
        to = f"to {self.test_high:.1f}" if self.test_high < 0 else "or more"
        return f"{self.test:.1f} nats an image ({self.test_low:.1f} {to}), training images {self.train:.1f}"


def reconstruction_error(rbm: Rbm, v: Visible) -> Float[Array, ""]:
    """Return the mean cross-entropy, in nats an image, between v and its recreation by one round of probabilities.

    Easy to watch, and not what is trained: it can fall while the likelihood does, and the other way round.
    """
    inputs = rbm.visible_bias[None] + jnp.matmul(hidden_given_visible(rbm, v), rbm.weight.T, precision=PRECISION)
    return (softplus(inputs) - v * inputs).sum(axis=1).mean()  # -v log σ(x) - (1 - v) log(1 - σ(x))


def pseudo_log_likelihood(rbm: Rbm, v: Visible, key: PRNGKeyArray) -> Float[Array, ""]:
    """Return an unbiased estimate of the mean Σ_i log p(v_i | the other visible units), in nats an image.

    One unit of each image, drawn at random, stands for all: n_visible · log σ(F(v with that unit flipped) - F(v)).
    """
    n_visible = v.shape[1]
    place = jax.random.randint(key, (len(v),), 0, n_visible)
    flipped = jnp.where(jnp.arange(n_visible)[None] == place[:, None], 1 - v, v)
    return n_visible * log_sigmoid(free_energy(rbm, flipped) - free_energy(rbm, v)).mean()


def free_energy_gap(
    rbm: Rbm, train: Float[Array, "train visible"], held_out: Float[Array, "held_out visible"]
) -> Float[Array, ""]:
    """Return mean F(held out) - mean F(train) in nats: it grows where the machine overfits.

    Hinton 2010, section 6.
    """
    return free_energy(rbm, held_out).mean() - free_energy(rbm, train).mean()


def annealed_importance_sampling(
    rbm: Rbm, key: PRNGKeyArray, *, chains: int = CHAINS, temperatures: int = TEMPERATURES
) -> LogPartition:
    """Estimate log Z: Neal 2001, for RBMs Salakhutdinov & Murray 2008, section 4.1.

    Chains start from the machine without weights that has this one's visible biases, whose Z is known, and go through
    machines whose weights and hidden biases are β times this one's, β from 0 to 1 in equal steps. Each chain's product
    of ratios is an unbiased estimate of Z over the known one. The interval is three standard errors of their mean to
    either side; its lower end is minus infinity where a few chains outweigh the others.
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
        carry: tuple[Visible, Array], now: tuple[Array, Array, PRNGKeyArray]
    ) -> tuple[tuple[Visible, Array], None]:
        v, log_weight = carry
        before, beta, key = now
        warmer, colder = _tempered(rbm, before), _tempered(rbm, beta)
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
    """Estimate the mean log-likelihood of images that are sampled once from their grey levels.

    That is how published log-likelihoods of MNIST are taken (Salakhutdinov & Murray 2008, section 5).
    """
    *drawing, annealing = jax.random.split(key, 3)
    means = [
        -free_energy(rbm, sample(v, jax.random.uniform(one, v.shape, v.dtype))).mean()
        for one, v in zip(drawing, (train, test), strict=True)
    ]
    z = annealed_importance_sampling(rbm, annealing, temperatures=temperatures)
    return LogLikelihood(means[0] - z.estimate, means[1] - z.estimate, means[1] - z.high, means[1] - z.low, z.estimate)


def _tempered(rbm: Rbm, beta: Float[Array, ""]) -> Rbm:
    return Rbm(beta * rbm.weight, rbm.visible_bias, beta * rbm.hidden_bias)
