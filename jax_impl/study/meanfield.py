"""The variances of activations and gradients in a wide network, as mean-field theory predicts them.

If weights are independent with mean 0 and layers are wide, the pre-activations of an image are normal with a variance q
that follows from that of the layer before: q' = fan_in · E[w²] · E[φ(√q z)²] + E[b²], where z is standard normal (Poole
et al. 2016). The mean square g of the gradients follows from that of the layer after: g = fan_out · E[w²] ·
E[φ'(√q z)²] · g' (Schoenholz et al. 2017). Equations 5 and 6 of Glorot & Bengio 2010 are the special case of tanh near
0, and section 2.2 of He et al. 2015 is that of the ReLU.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jax_impl.activations import ACTIVATIONS, SLOPE
from jax_impl.model import Params, layer_sizes, linears

# Nodes z and weights of the quadrature, which is the midpoint rule in t with z = FINEST · sinh(t). Each moment then has
# an error below 1e-6 from q = 0.01 to 256. N(0, 1) weights of width 256 lead to 256.
COUNT, FINEST, FURTHEST = 200, 1e-3, 10.0
END = np.arcsinh(FURTHEST / FINEST)
T = (np.arange(COUNT) + 0.5) / COUNT * 2 * END - END
NODES = FINEST * np.sinh(T)
WEIGHTS = FINEST * np.cosh(T) * np.exp(-(NODES**2) / 2)
WEIGHTS /= WEIGHTS.sum()
Row = Float[Array | np.ndarray, " n"]


class Moments(NamedTuple):
    """The moments of an activation φ for normal pre-activations of mean 0 and variance q, one per q."""

    mean: Row  # E[φ]
    square: Row  # E[φ²]
    slope: Row  # E[φ'²]


class Prediction(NamedTuple):
    """The predictions by layer. The output layer's activation is the identity."""

    pre_variance: Float[np.ndarray, "*seeds layers"]
    mean: Float[np.ndarray, "*seeds layers"]
    variance: Float[np.ndarray, "*seeds layers"]
    gradient_variance: Float[np.ndarray, "*seeds layers"]


def moments(activation: str, q: Float[np.ndarray, " n"]) -> Moments:
    """Return E[φ], E[φ²] and E[φ'²] for variances `q`: exactly for piecewise linear activations, else by quadrature."""
    negative_slope = {"linear": 1.0, "relu": 0.0, "leaky_relu": SLOPE}.get(activation)
    if negative_slope is None:
        return Moments(*map(np.asarray, quadrature(activation, q)))
    slope = np.full_like(q, (1 + negative_slope**2) / 2)
    return Moments(mean=(1 - negative_slope) * np.sqrt(q / (2 * math.pi)), square=slope * q, slope=slope)


@partial(jax.jit, static_argnums=0)
def quadrature(activation: str, q: Row) -> Moments:
    """Return the moments of any activation by quadrature, with `NODES` and `WEIGHTS`.

    The nodes are dense around 0, where activations have kinks and, if q is large, tanh has its whole slope. With 512
    Gauss-Hermite nodes, E[φ'²] of tanh at q = 256 would be 58 % too small.
    """
    phi = ACTIVATIONS[activation]
    nodes, weights = (jnp.asarray(values, q.dtype) for values in (NODES, WEIGHTS))
    z = jnp.sqrt(q)[:, None] * nodes[None, :]  # (n, nodes)
    value, slope = phi(z), phi.derivative(z)
    return Moments(mean=value @ weights, square=value**2 @ weights, slope=slope**2 @ weights)


def predict(
    activation: str,
    params: Params,
    inputs: Float[np.ndarray, "n pixels"],
    output_gradient: Float[np.ndarray, "n classes"],
) -> Prediction:
    """Return the predicted variances of every layer, as means over the images.

    Images differ in brightness, so each has its own q in every layer; in the first it follows from its mean square. Of
    the parameters only the mean squares count. `output_gradient` is that of each image's loss by the logits.
    """
    sizes = layer_sizes(params)
    kernel_squares, bias_squares = (
        [np.mean(np.square(layer[name])) for layer in linears(params)] for name in ("kernel", "bias")
    )
    depth = len(kernel_squares)
    square = np.mean(np.square(inputs), axis=1)  # (n,): E[φ²] of the layer before
    slopes, rows = [], []
    for layer in range(depth):
        q = sizes[layer] * kernel_squares[layer] * square + bias_squares[layer]
        mean, square, slope = moments(activation if layer < depth - 1 else "linear", q)
        slopes.append(slope)
        rows.append((q.mean(), mean.mean(), square.mean() - mean.mean() ** 2))
    gradient = np.mean(np.square(output_gradient), axis=1)
    gradients = [gradient.mean()]
    for layer in range(depth - 1, 0, -1):
        gradient = sizes[layer + 1] * kernel_squares[layer] * slopes[layer - 1] * gradient
        gradients.insert(0, gradient.mean())
    q_mean, means, variance = map(np.array, zip(*rows, strict=True))
    return Prediction(q_mean, means, variance, np.array(gradients))
