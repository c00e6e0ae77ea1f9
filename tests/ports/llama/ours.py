"""The port to Equinox: one sequence at a time, under vmap."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

WORDS, WIDTH, HEADS, KEY_HEADS, HEAD, WINDOW = 29, 24, 6, 2, 4, 3
EPSILON = float(jnp.finfo(jnp.float32).eps)  # torch's RMSNorm takes that of its dtype if none is given


def rotate(x: jax.Array) -> jax.Array:
    """Rotate x (length, heads, head) by its positions. Feature i is paired with feature i + head / 2."""
    length, _, head = x.shape
    frequencies = 100.0 ** (-jnp.arange(0, head, 2) / head)
    angles = jnp.arange(length)[:, None, None] * jnp.concatenate([frequencies, frequencies])[None, None]
    first, second = jnp.split(x, 2, axis=-1)
    return x * jnp.cos(angles) + jnp.concatenate([-second, first], axis=-1) * jnp.sin(angles)


class Attention(eqx.Module):
    """Each position attends to itself and the two before. Three heads share a key and a value."""

    q_proj: eqx.nn.Linear
    k_proj: eqx.nn.Linear
    v_proj: eqx.nn.Linear
    o_proj: eqx.nn.Linear

    def __init__(self, key: jax.Array) -> None:
        keys = jax.random.split(key, 4)
        self.q_proj = eqx.nn.Linear(WIDTH, HEADS * HEAD, use_bias=False, key=keys[0])
        self.k_proj = eqx.nn.Linear(WIDTH, KEY_HEADS * HEAD, use_bias=False, key=keys[1])
        self.v_proj = eqx.nn.Linear(WIDTH, KEY_HEADS * HEAD, use_bias=False, key=keys[2])
        self.o_proj = eqx.nn.Linear(HEADS * HEAD, WIDTH, use_bias=False, key=keys[3])

    def __call__(self, x: jax.Array) -> jax.Array:
        length = len(x)
        query, key, value = (
            jax.vmap(part)(x).reshape(length, -1, HEAD) for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query), rotate(key)
        key, value = (jnp.repeat(part, HEADS // KEY_HEADS, axis=1) for part in (key, value))
        scores = jnp.einsum("qhd,khd->hqk", query, key) / HEAD**0.5
        distance = jnp.arange(length)[:, None] - jnp.arange(length)[None]
        seen = (distance >= 0) & (distance < WINDOW)
        weights = jax.nn.softmax(jnp.where(seen[None], scores, -jnp.inf), axis=-1)
        y = jnp.einsum("hqk,khd->qhd", weights, value).reshape(length, -1)
        return jax.vmap(self.o_proj)(y)


class Mlp(eqx.Module):
    """SwiGLU."""

    gate_proj: eqx.nn.Linear
    up_proj: eqx.nn.Linear
    down_proj: eqx.nn.Linear

    def __init__(self, key: jax.Array) -> None:
        keys = jax.random.split(key, 3)
        self.gate_proj = eqx.nn.Linear(WIDTH, 40, use_bias=False, key=keys[0])
        self.up_proj = eqx.nn.Linear(WIDTH, 40, use_bias=False, key=keys[1])
        self.down_proj = eqx.nn.Linear(40, WIDTH, use_bias=False, key=keys[2])

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.down_proj(jax.nn.silu(self.gate_proj(x)) * self.up_proj(x))


class Decoder(eqx.Module):
    """Tokens (length,) to logits (length, words)."""

    embed_tokens: eqx.nn.Embedding
    input_layernorm: eqx.nn.RMSNorm
    self_attn: Attention
    post_attention_layernorm: eqx.nn.RMSNorm
    mlp: Mlp
    norm: eqx.nn.RMSNorm
    lm_head: eqx.nn.Linear

    def __init__(self, key: jax.Array) -> None:
        keys = jax.random.split(key, 4)
        self.embed_tokens = eqx.nn.Embedding(weight=0.02 * jax.random.normal(keys[0], (WORDS, WIDTH)))
        self.input_layernorm = eqx.nn.RMSNorm(WIDTH, eps=EPSILON, use_bias=False)
        self.self_attn = Attention(keys[1])
        self.post_attention_layernorm = eqx.nn.RMSNorm(WIDTH, eps=1e-6, use_bias=False)
        self.mlp = Mlp(keys[2])
        self.norm = eqx.nn.RMSNorm(WIDTH, eps=1e-6, use_bias=False)
        self.lm_head = eqx.nn.Linear(WIDTH, WORDS, use_bias=False, key=keys[3])

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = jax.vmap(self.embed_tokens)(tokens)
        x = x + self.self_attn(jax.vmap(self.input_layernorm)(x))
        x = x + jax.vmap(self.mlp)(jax.vmap(self.post_attention_layernorm)(x))
        return jax.vmap(self.lm_head)(jax.vmap(self.norm)(x))


def loss(model: Decoder, batch: Any) -> jax.Array:
    x, y = batch
    return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(x), y).mean()


def fresh(seed: int) -> Decoder:
    return Decoder(jax.random.key(seed))


def ours() -> dict[str, Any]:
    adamw = optax.adamw(2e-3, weight_decay=0.01)
    return {"model": fresh(1), "loss": loss, "optimizer": adamw, "fresh": fresh}
