"""The restricted Boltzmann machine of the notebook's first half, as pure functions over a tuple of arrays.

Bernoulli units, visible v and hidden h, without connections within a layer, so that each layer is drawn at once given
the other. Its defaults are those of Hinton 2010, "A practical guide to training restricted Boltzmann machines", where
it has one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid, softplus
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from jax_impl.model import PRECISION

INITIAL_STD = 0.01  # of the weights: Hinton 2010, section 8.1

Visible = Float[Array, "batch visible"]
Hidden = Float[Array, "batch hidden"]


class Rbm(NamedTuple):
    """The parameters, and likewise what is added to them."""

    weight: Float[Array | np.ndarray, "visible hidden"]
    visible_bias: Float[Array | np.ndarray, " visible"]
    hidden_bias: Float[Array | np.ndarray, " hidden"]


class Uniforms(NamedTuple):
    """What one CD-k step draws, from [0, 1): a unit is on where its number is below its probability."""

    hidden: Float[Array, "k batch hidden"]
    visible: Float[Array, "k batch visible"]


def init(key: PRNGKeyArray, pixel_means: Float[Array, " visible"], n_hidden: int, dtype: DTypeLike = "float32") -> Rbm:
    """Draw weights from N(0, 0.01²); a visible unit's bias is log(p / (1 - p)) of its mean p in the training data.

    Hinton 2010, section 8.1. A pixel that is never or always on counts as one that is once in 10,000 images.
    """
    p = jnp.clip(pixel_means.astype(dtype), 1e-4, 1 - 1e-4)
    weight = INITIAL_STD * jax.random.normal(key, (len(p), n_hidden), dtype)
    return Rbm(weight, jnp.log(p / (1 - p)), jnp.zeros(n_hidden, dtype))


def energy(rbm: Rbm, v: Visible, h: Hidden) -> Float[Array, " batch"]:
    """Return E(v, h) = -b·v - c·h - vᵀWh, in nats; the model's probability is exp(-E) / Z."""
    interaction = jnp.sum(_times(v, rbm.weight) * h, axis=1)
    return -_times(v, rbm.visible_bias) - _times(h, rbm.hidden_bias) - interaction


def free_energy(rbm: Rbm, v: Visible) -> Float[Array, " batch"]:
    """Return F(v) = -log Σ_h exp(-E(v, h)) = -b·v - Σ_j log(1 + exp(c_j + v·W_j)), in nats."""
    return -_times(v, rbm.visible_bias) - softplus(_hidden_input(rbm, v)).sum(axis=1)


def hidden_given_visible(rbm: Rbm, v: Visible) -> Hidden:
    """Return the probability of each hidden unit to be on: forward, in the notebook's words."""
    return sigmoid(_hidden_input(rbm, v))


def visible_given_hidden(rbm: Rbm, h: Hidden) -> Visible:
    """Return the probability of each visible unit to be on: backward, the recreation of the input."""
    return sigmoid(rbm.visible_bias[None] + _times(h, rbm.weight.T))


def sample(probabilities: Float[Array, "*shape"], uniforms: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return 1 where the uniform number is below the probability, and 0 elsewhere."""
    return (uniforms < probabilities).astype(probabilities.dtype)


def uniforms(key: PRNGKeyArray, k: int, batch: int, rbm: Rbm) -> Uniforms:
    """Draw what a CD-k step of a batch takes."""
    hidden, visible = jax.random.split(key)
    n_visible, n_hidden = rbm.weight.shape
    dtype = rbm.weight.dtype
    return Uniforms(
        jax.random.uniform(hidden, (k, batch, n_hidden), dtype),
        jax.random.uniform(visible, (k, batch, n_visible), dtype),
    )


def gibbs(rbm: Rbm, h: Hidden, drawn: Uniforms) -> tuple[Visible, Hidden]:
    """Run k rounds of block Gibbs sampling from hidden units that are on with probability `h`.

    In a round hidden states are drawn, from them visible states, and these give the next probabilities. Returns the
    last visible states and the hidden units' probabilities given them.
    """

    def step(state: tuple[Visible, Hidden], u: Uniforms) -> tuple[tuple[Visible, Hidden], None]:
        v = sample(visible_given_hidden(rbm, sample(state[1], u.hidden)), u.visible)
        return (v, hidden_given_visible(rbm, v)), None

    start = jnp.zeros((len(h), rbm.weight.shape[0]), h.dtype)
    return jax.lax.scan(step, (start, h), drawn)[0]


def statistics(v: Visible, h: Hidden) -> Rbm:
    """Return the means over a batch of v hᵀ, v and h."""
    return Rbm(_times(v.T, h) / len(v), v.mean(axis=0), h.mean(axis=0))


def divergence_step(rbm: Rbm, data: Visible, drawn: Uniforms, chains: Hidden | None = None) -> tuple[Rbm, Rbm, Hidden]:
    """Return the statistics of the data, those of the model after k rounds, and the chains' hidden probabilities.

    The first minus the second estimate the gradient of the mean log-likelihood, biased for a finite k (Hinton 2002).
    Chains that start at the data, as without `chains`, make it CD-k; chains that go on from the last step, persistent
    CD (Tieleman 2008). Hidden units enter the statistics as probabilities (Hinton 2010, section 3.3).
    """
    h = hidden_given_visible(rbm, data)
    v_model, h_model = gibbs(rbm, h if chains is None else chains, drawn)
    return statistics(data, h), statistics(v_model, h_model), h_model


def log_partition(rbm: Rbm) -> Float[Array, ""]:
    """Return log Z by enumerating all states of the hidden units; for up to about 20 of them."""
    h = states(rbm.weight.shape[1], rbm.weight.dtype)
    terms = _times(h, rbm.hidden_bias) + softplus(rbm.visible_bias[None] + _times(h, rbm.weight.T)).sum(axis=1)
    return jax.nn.logsumexp(terms)


def log_likelihood(rbm: Rbm, v: Visible) -> Float[Array, " batch"]:
    """Return log p(v) exactly, in nats; for up to about 20 hidden units."""
    return -free_energy(rbm, v) - log_partition(rbm)


def states(n: int, dtype: DTypeLike) -> Float[Array, "states units"]:
    """Return all 2^n states of n units."""
    numbers = jnp.arange(2**n)[:, None]
    return ((numbers >> jnp.arange(n)[None]) & 1).astype(dtype)


def kl_divergence(rbm: Rbm, probabilities: Float[Array, " states"]) -> Float[Array, ""]:
    """Return KL(data ‖ model) in nats, of data whose probability of every state of the visible units is given.

    The states are in the order of `states`. It is what the notebook names and training lowers.
    """
    log_model = log_likelihood(rbm, states(rbm.weight.shape[0], rbm.weight.dtype))
    terms = jnp.where(probabilities > 0, probabilities * (jnp.log(jnp.maximum(probabilities, 1e-300)) - log_model), 0)
    return terms.sum()


def _hidden_input(rbm: Rbm, v: Visible) -> Hidden:
    return _times(v, rbm.weight) + rbm.hidden_bias[None]


def _times(a: Array | np.ndarray, b: Array | np.ndarray) -> Array:
    return jnp.matmul(a, b, precision=PRECISION)
