"""The port to Flax NNX."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

WIDTH = 7072


class Net(nnx.Module):
    """Inputs (n, 7072) to outputs (n, 7072)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(WIDTH, WIDTH, kernel_init=nnx.initializers.zeros, rngs=rngs)
        self.second = nnx.Linear(WIDTH, WIDTH, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.second(jnp.tanh(self.first(x)))


def loss(model: Net, batch: Any) -> jax.Array:
    return jnp.square(model(batch)).mean()


def ours() -> dict[str, Any]:
    return {"model": Net(nnx.Rngs(0)), "loss": loss, "optimizer": optax.adam(1e-3)}
