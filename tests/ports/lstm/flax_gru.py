"""The GRU with Flax's cell, which is no port: it has no place for the bias that torch keeps inside the reset gate."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

WORDS, WIDTH, HIDDEN, CLASSES = 23, 6, 7, 4


class Net(nnx.Module):
    """Words (n, length) to logits (n, 4)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(WORDS, WIDTH, rngs=rngs)
        self.gru = nnx.RNN(nnx.GRUCell(WIDTH, HIDDEN, rngs=rngs))
        self.linear = nnx.Linear(HIDDEN, CLASSES, rngs=rngs)

    def __call__(self, words: jax.Array) -> jax.Array:
        padding = jnp.where(words[..., None] == 0, 0, 1)
        x = self.embedding(words) * padding
        return self.linear(self.gru(x).mean(1))


def loss(model: Net, batch: Any) -> jax.Array:
    words, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(words), labels).mean()


def ours() -> dict[str, Any]:
    rmsprop = optax.rmsprop(1e-2, decay=0.9, eps=1e-4, eps_in_sqrt=False)
    return {"model": Net(nnx.Rngs(1)), "loss": loss, "optimizer": rmsprop}
