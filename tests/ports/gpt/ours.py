"""The port to Flax NNX, with nanoGPT's names."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

VOCABULARY, CONTEXT, LAYERS, HEADS, WIDTH = 31, 16, 2, 4, 32


def normal(std: float) -> Any:
    return jax.nn.initializers.normal(std)


def linear(inputs: int, outputs: int, std: float, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(inputs, outputs, kernel_init=normal(std), rngs=rngs)


def layer_norm(rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(WIDTH, epsilon=1e-5, use_fast_variance=False, rngs=rngs)


class CausalSelfAttention(nnx.Module):
    """Each position attends to itself and to those before."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.c_attn = linear(WIDTH, 3 * WIDTH, 0.02, rngs)
        self.c_proj = linear(WIDTH, WIDTH, 0.02 / math.sqrt(2 * LAYERS), rngs)
        self.attn_dropout = nnx.Dropout(0.1, rngs=rngs)
        self.resid_dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        n, length, width = x.shape
        heads = [part.reshape(n, length, HEADS, -1) for part in jnp.split(self.c_attn(x), 3, axis=-1)]
        query, key, value = heads  # (n, length, heads, width / heads)
        scores = jnp.einsum("nqhd,nkhd->nhqk", query, key) / math.sqrt(width // HEADS)
        causal = jnp.tril(jnp.ones((1, 1, length, length), bool))
        scores = jnp.where(causal, scores, -jnp.inf)
        weights = self.attn_dropout(jax.nn.softmax(scores, axis=-1))
        y = jnp.einsum("nhqk,nkhd->nqhd", weights, value).reshape(n, length, width)
        return self.resid_dropout(self.c_proj(y))


class MLP(nnx.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.c_fc = linear(WIDTH, 4 * WIDTH, 0.02, rngs)
        self.c_proj = linear(4 * WIDTH, WIDTH, 0.02 / math.sqrt(2 * LAYERS), rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        hidden = jax.nn.gelu(self.c_fc(x), approximate=False)
        return self.dropout(self.c_proj(hidden))


class Block(nnx.Module):
    """Attention and MLP, each behind its LayerNorm and beside its residual."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.ln_1 = layer_norm(rngs)
        self.attn = CausalSelfAttention(rngs)
        self.ln_2 = layer_norm(rngs)
        self.mlp = MLP(rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nnx.Module):
    """Tokens (n, length) to logits (n, length, vocabulary). The last layer is the embedding, transposed."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.wte = nnx.Embed(VOCABULARY, WIDTH, embedding_init=normal(0.02), rngs=rngs)
        self.wpe = nnx.Embed(CONTEXT, WIDTH, embedding_init=normal(0.02), rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.h = nnx.List([Block(rngs) for _ in range(LAYERS)])
        self.ln_f = layer_norm(rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        positions = jnp.arange(tokens.shape[1])
        x = self.drop(self.wte(tokens) + self.wpe(positions)[None])
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.embedding[...].T


def loss(model: GPT, batch: Any) -> jax.Array:
    x, y = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


def schedule(count: jax.Array, warmup: int = 2, decay: int = 6, floor: float = 0.1) -> jax.Array:
    """Return the learning rate: up in a line, and down along a cosine to a tenth."""
    step = 1.0 * count  # a quotient of integers would be float32 even where floats are float64
    rising = (step + 1) / (warmup + 1)
    part = jnp.clip((step - warmup) / (decay - warmup), 0, 1)
    falling = floor + 0.5 * (1 - floor) * (1 + jnp.cos(math.pi * part))
    return 1e-3 * jnp.where(count < warmup, rising, falling)


def clip_as_torch(limit: float) -> optax.GradientTransformation:
    """Scale all gradients as `torch.nn.utils.clip_grad_norm_` does, which adds 1e-6 to their norm."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:  # noqa: ARG001
        factor = jnp.minimum(1, limit / (optax.tree.norm(updates) + 1e-6))
        return jax.tree.map(lambda g: g * factor, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def is_matrix(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim >= 2, params)


def fresh(seed: int) -> GPT:
    return GPT(nnx.Rngs(seed))


def ours() -> dict[str, Any]:
    adamw = optax.adamw(schedule, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1, mask=is_matrix)
    optimizer = optax.chain(clip_as_torch(1.0), adamw)
    return {"model": fresh(1), "loss": loss, "optimizer": optimizer, "fresh": fresh}
