"""Activation functions, with torch's names and parameters."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SLOPE = 0.01  # of leaky_relu below 0: torch's default


class Activation(NamedTuple):
    """An activation function, applied element by element."""

    function: Callable[[Array], Array]
    steepest: float  # its largest absolute derivative

    def __call__(self, z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Return the activations for pre-activations `z`."""
        return self.function(z)

    def derivative(self, z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Return the derivative at each `z`. At a kink it is the value that `jax.grad` takes."""
        tangent: Array = jax.jvp(self.function, (z,), (jnp.ones_like(z),))[1]
        return tangent


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(jax.nn.relu, 1.0),
    "tanh": Activation(jnp.tanh, 1.0),
    "sigmoid": Activation(jax.nn.sigmoid, 0.25),
    "softsign": Activation(jax.nn.soft_sign, 1.0),
    "linear": Activation(lambda z: z, 1.0),
    "leaky_relu": Activation(lambda z: jax.nn.leaky_relu(z, SLOPE), 1.0),
    # JAX's default is an approximation by tanh; torch's is exact.
    "gelu": Activation(lambda z: jax.nn.gelu(z, approximate=False), 1.1289041),
    "selu": Activation(jax.nn.selu, 1.7580993),  # scale times alpha, just below 0
}
