"""The LSTM in Equinox, whose cell has one bias where torch has two.

It computes the same, but it does not train the same: an optimizer that divides by the gradient's size moves torch's two
biases by one step each, so that their sum moves two steps, and the one bias moves one.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

WORDS, WIDTH, HIDDEN, CLASSES = 23, 6, 7, 4


class Net(eqx.Module):
    """Words (length,) to logits (4,)."""

    embedding: eqx.nn.Embedding
    forward: eqx.nn.LSTMCell
    reverse: eqx.nn.LSTMCell
    linear: eqx.nn.Linear

    def __init__(self, key: jax.Array) -> None:
        keys = jax.random.split(key, 4)
        self.embedding = eqx.nn.Embedding(WORDS, WIDTH, key=keys[0])
        self.forward = eqx.nn.LSTMCell(WIDTH, HIDDEN, key=keys[1])
        self.reverse = eqx.nn.LSTMCell(WIDTH, HIDDEN, key=keys[2])
        self.linear = eqx.nn.Linear(2 * HIDDEN, CLASSES, key=keys[3])

    def __call__(self, words: jax.Array) -> jax.Array:
        table = self.embedding.weight
        x = jnp.where(words[:, None] == 0, jax.lax.stop_gradient(table[0]), table[words])
        forward, reverse = read(self.forward, x), read(self.reverse, x[::-1])[::-1]
        return self.linear(jnp.concatenate([forward, reverse], axis=-1).mean(0))


def read(cell: eqx.nn.LSTMCell, x: jax.Array) -> jax.Array:
    """Return the outputs (length, hidden) of a cell for the inputs x (length, width)."""

    def step(carry: Any, row: jax.Array) -> Any:
        carry = cell(row, carry)
        return carry, carry[0]

    zeros = jnp.zeros(HIDDEN, x.dtype)
    return jax.lax.scan(step, (zeros, zeros), x)[1]


def loss(model: Net, batch: Any) -> jax.Array:
    words, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(words), labels).mean()


def ours() -> dict[str, Any]:
    rmsprop = optax.rmsprop(1e-2, decay=0.9, eps=1e-4, eps_in_sqrt=False)
    return {"model": Net(jax.random.key(1)), "loss": loss, "optimizer": rmsprop}
