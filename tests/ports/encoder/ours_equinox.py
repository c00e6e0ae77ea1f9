"""The port to Equinox: one sequence at a time, under vmap."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax


class EncoderLayer(eqx.Module):
    """torch's TransformerEncoderLayer, which normalises after each residual."""

    self_attn: eqx.nn.MultiheadAttention
    linear1: eqx.nn.Linear
    dropout: eqx.nn.Dropout
    linear2: eqx.nn.Linear
    norm1: eqx.nn.LayerNorm
    norm2: eqx.nn.LayerNorm
    dropout1: eqx.nn.Dropout
    dropout2: eqx.nn.Dropout

    def __init__(self, key: jax.Array) -> None:
        keys = jax.random.split(key, 3)
        biases = {f"use_{name}_bias": True for name in ("query", "key", "value", "output")}
        attention = eqx.nn.MultiheadAttention(4, 16, dropout_p=0.1, key=keys[0], **biases)
        self.self_attn = drawn_as_torch(attention, keys[0])
        self.linear1, self.linear2 = eqx.nn.Linear(16, 24, key=keys[1]), eqx.nn.Linear(24, 16, key=keys[2])
        self.norm1, self.norm2 = eqx.nn.LayerNorm(16), eqx.nn.LayerNorm(16)
        self.dropout, self.dropout1, self.dropout2 = (eqx.nn.Dropout(0.1) for _ in range(3))

    def __call__(self, x: jax.Array, mask: jax.Array, key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, 4)
        attended = self.self_attn(x, x, x, mask=mask, key=keys[0])
        x = jax.vmap(self.norm1)(x + self.dropout1(attended, key=keys[1]))
        hidden = self.dropout(jax.nn.relu(jax.vmap(self.linear1)(x)), key=keys[2])
        return jax.vmap(self.norm2)(x + self.dropout2(jax.vmap(self.linear2)(hidden), key=keys[3]))


def drawn_as_torch(attention: eqx.nn.MultiheadAttention, key: jax.Array) -> eqx.nn.MultiheadAttention:
    """Return the attention with torch's initial values: Xavier over q, k and v as one matrix, and zero biases."""
    bound = (6 / (4 * 16)) ** 0.5
    parts = (attention.query_proj, attention.key_proj, attention.value_proj)
    weights = [jax.random.uniform(k, (16, 16), minval=-bound, maxval=bound) for k in jax.random.split(key, 3)]
    drawn = [eqx.tree_at(lambda p: p.weight, part, weight) for part, weight in zip(parts, weights, strict=True)]
    attention = eqx.tree_at(lambda a: (a.query_proj, a.key_proj, a.value_proj), attention, drawn)
    biases = [part.bias for part in (*parts, attention.output_proj)]
    return eqx.tree_at(
        lambda a: (a.query_proj.bias, a.key_proj.bias, a.value_proj.bias, a.output_proj.bias),
        attention,
        [jnp.zeros_like(bias) for bias in biases],
    )


class Net(eqx.Module):
    """Features (length, 5) and a length to logits (length, 7)."""

    embed: eqx.nn.Linear
    layers: list[EncoderLayer]
    head: eqx.nn.Linear

    def __init__(self, key: jax.Array) -> None:
        keys = jax.random.split(key, 3)
        self.embed, head = eqx.nn.Linear(5, 16, key=keys[0]), eqx.nn.Linear(16, 7, key=keys[1])
        drawn = 0.02 * jax.random.normal(keys[1], (7, 16)), jnp.zeros(7)
        self.head = eqx.tree_at(lambda linear: (linear.weight, linear.bias), head, drawn)
        self.layers = [EncoderLayer(keys[2]), EncoderLayer(keys[2])]  # TransformerEncoder copies its layer

    def __call__(self, x: jax.Array, length: jax.Array, key: jax.Array) -> jax.Array:
        mask = jnp.broadcast_to(jnp.arange(len(x)) < length, (len(x), len(x)))
        x = jax.vmap(self.embed)(x)
        for layer, layer_key in zip(self.layers, jax.random.split(key, 2), strict=True):
            x = layer(x, mask, layer_key)
        return jax.vmap(self.head)(x)


def loss(model: Net, batch: Any, key: jax.Array) -> jax.Array:
    x, lengths, y = batch
    logits = jax.vmap(model)(x, lengths, jax.random.split(key, len(x)))
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(y, 0))
    return jnp.where(y == -100, 0, losses).sum() / (y != -100).sum()


def fresh(seed: int) -> Net:
    return Net(jax.random.key(seed))


def ours() -> dict[str, Any]:
    adam = optax.chain(optax.add_decayed_weights(1e-2), optax.adam(1e-3))
    return {"model": fresh(1), "loss": loss, "optimizer": adam, "fresh": fresh}
