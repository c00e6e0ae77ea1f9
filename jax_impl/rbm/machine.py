"""The restricted Boltzmann machine (RBM) of the notebook's first half, as pure functions of its parameters.

The visible units v and the hidden units h are 0 or 1. No units of the same layer are connected, so given one layer, all
units of the other can be drawn together. Section numbers without a source refer to Hinton 2010, "A practical guide to
training restricted Boltzmann machines".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid, softplus
from jax.scipy.special import entr
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from jax_impl.model import PRECISION

INITIAL_STD = 0.01  # of the weights: section 8.1

Visible = Float[Array, "batch visible"]
Hidden = Float[Array, "batch hidden"]


class Rbm(NamedTuple):
    """The parameters of an RBM. Their gradients, updates and statistics have the same form."""

    weight: Float[Array | np.ndarray, "visible hidden"]
    visible_bias: Float[Array | np.ndarray, " visible"]
    hidden_bias: Float[Array | np.ndarray, " hidden"]


class Uniforms(NamedTuple):
    """The random numbers of a CD-k step, from [0, 1). A unit is 1 if its number is below its probability."""

    hidden: Float[Array, "k batch hidden"]
    visible: Float[Array, "k batch visible"]


def init(key: PRNGKeyArray, pixel_means: Float[Array, " visible"], n_hidden: int, dtype: DTypeLike = "float32") -> Rbm:
    """Return an untrained RBM (section 8.1).

    Weights are drawn from N(0, 0.01²) and hidden biases are 0. The bias of a visible unit whose mean in the training
    images is p is log(p / (1 - p)), with p limited to [1e-4, 1 - 1e-4].
    """
    p = jnp.clip(pixel_means.astype(dtype), 1e-4, 1 - 1e-4)
    weight = INITIAL_STD * jax.random.normal(key, (len(p), n_hidden), dtype)
    return Rbm(weight, jnp.log(p / (1 - p)), jnp.zeros(n_hidden, dtype))


def energy(rbm: Rbm, v: Visible, h: Hidden) -> Float[Array, " batch"]:
    """Return E(v, h) = -b·v - c·h - vᵀWh in nats. The probability of a state is exp(-E) / Z."""
    interaction = jnp.sum(_times(v, rbm.weight) * h, axis=1)
    return -_times(v, rbm.visible_bias) - _times(h, rbm.hidden_bias) - interaction


def free_energy(rbm: Rbm, v: Visible) -> Float[Array, " batch"]:
    """Return F(v) = -log Σ_h exp(-E(v, h)) = -b·v - Σ_j log(1 + exp(c_j + v·W_j)), in nats."""
    return -_times(v, rbm.visible_bias) - softplus(_hidden_input(rbm, v)).sum(axis=1)


def hidden_given_visible(rbm: Rbm, v: Visible) -> Hidden:
    """Return the probability that each hidden unit is 1. The notebook calls this forward."""
    return sigmoid(_hidden_input(rbm, v))


def visible_given_hidden(rbm: Rbm, h: Hidden) -> Visible:
    """Return the probability that each visible unit is 1. The notebook calls this backward: it recreates the input."""
    return sigmoid(rbm.visible_bias[None] + _times(h, rbm.weight.T))


def sample(probabilities: Float[Array, "*shape"], uniforms: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return 1 where the uniform number is below the probability, else 0."""
    return (uniforms < probabilities).astype(probabilities.dtype)


def uniforms(key: PRNGKeyArray, k: int, batch: int, rbm: Rbm) -> Uniforms:
    """Draw the random numbers of a CD-k step for `batch` images."""
    hidden_key, visible_key = jax.random.split(key)
    n_visible, n_hidden = rbm.weight.shape
    dtype = rbm.weight.dtype
    return Uniforms(
        jax.random.uniform(hidden_key, (k, batch, n_hidden), dtype),
        jax.random.uniform(visible_key, (k, batch, n_visible), dtype),
    )


def gibbs(rbm: Rbm, h: Hidden, drawn: Uniforms) -> tuple[Visible, Hidden]:
    """Run k rounds of block Gibbs sampling, starting from the probabilities `h` of the hidden units.

    Each round draws hidden states, then visible states given these, and computes the hidden probabilities given those.
    Returns the last visible states and the last hidden probabilities.
    """

    def step(state: tuple[Visible, Hidden], u: Uniforms) -> tuple[tuple[Visible, Hidden], None]:
        v = sample(visible_given_hidden(rbm, sample(state[1], u.hidden)), u.visible)
        return (v, hidden_given_visible(rbm, v)), None

    start = jnp.zeros((len(h), rbm.weight.shape[0]), h.dtype)
    return jax.lax.scan(step, (start, h), drawn)[0]


def statistics(v: Visible, h: Hidden) -> Rbm:
    """Return the means of v hᵀ, v and h over a batch."""
    return Rbm(_times(v.T, h) / len(v), v.mean(axis=0), h.mean(axis=0))


def divergence_step(rbm: Rbm, data: Visible, drawn: Uniforms, chains: Hidden | None = None) -> tuple[Rbm, Rbm, Hidden]:
    """Return the statistics of the data, those of the model after k rounds, and the chains' hidden probabilities.

    Their difference, data minus model, estimates the gradient of the mean log-likelihood. The estimate is biased for
    any finite k (Hinton 2002). Without `chains`, the Gibbs chains start at the data: CD-k. In persistent CD (Tieleman
    2008), `chains` are the hidden probabilities that the previous step returned. The statistics use probabilities of
    hidden units instead of drawn states (section 3.3).
    """
    h = hidden_given_visible(rbm, data)
    v_model, h_model = gibbs(rbm, h if chains is None else chains, drawn)
    return statistics(data, h), statistics(v_model, h_model), h_model


def log_partition(rbm: Rbm) -> Float[Array, ""]:
    """Return the exact log Z, summed over all states of the hidden units. Feasible for up to about 20 hidden units."""
    h = states(rbm.weight.shape[1], rbm.weight.dtype)
    terms = _times(h, rbm.hidden_bias) + softplus(rbm.visible_bias[None] + _times(h, rbm.weight.T)).sum(axis=1)
    return jax.nn.logsumexp(terms)


def log_likelihood(rbm: Rbm, v: Visible) -> Float[Array, " batch"]:
    """Return the exact log p(v) in nats. Feasible for up to about 20 hidden units."""
    return -free_energy(rbm, v) - log_partition(rbm)


def states(n: int, dtype: DTypeLike) -> Float[Array, "states units"]:
    """Return all 2^n states of n units. The first unit changes fastest."""
    numbers = jnp.arange(2**n)[:, None]
    return ((numbers >> jnp.arange(n)[None]) & 1).astype(dtype)


def kl_divergence(rbm: Rbm, probabilities: Float[Array, " states"]) -> Float[Array, ""]:
    """Return KL(data ‖ model) in nats. The notebook names this divergence; training reduces it.

    `probabilities` are those of the data, for every state of the visible units in the order of `states`.
    """
    log_model = log_likelihood(rbm, states(rbm.weight.shape[0], rbm.weight.dtype))
    return -(entr(probabilities) + probabilities * log_model).sum()


def _hidden_input(rbm: Rbm, v: Visible) -> Hidden:
    return _times(v, rbm.weight) + rbm.hidden_bias[None]


def _times(a: Array | np.ndarray, b: Array | np.ndarray) -> Array:
    return jnp.matmul(a, b, precision=PRECISION)
