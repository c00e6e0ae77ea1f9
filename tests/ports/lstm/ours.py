"""The ports to plain functions over a dict of arrays. They keep torch's two biases and its order of gates.

Plain functions have no modules. `observe` says which of their arrays are outputs of torch's modules.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jax_impl.parity import observe

WORDS, WIDTH, HIDDEN, CLASSES = 23, 6, 7, 4


def lstm_step(params: Any, carry: Any, x: jax.Array) -> Any:
    """Step from (h, c) with the input x (n, width). torch's order of gates is i, f, g, o."""
    h, c = carry
    gates = x @ params["weight_ih"].T + params["bias_ih"] + h @ params["weight_hh"].T + params["bias_hh"]
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def gru_step(params: Any, h: jax.Array, x: jax.Array) -> Any:
    """Step from h with the input x (n, width). torch's order of gates is r, z, n."""
    r_x, z_x, n_x = jnp.split(x @ params["weight_ih"].T + params["bias_ih"], 3, axis=-1)
    r_h, z_h, n_h = jnp.split(h @ params["weight_hh"].T + params["bias_hh"], 3, axis=-1)
    r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
    n = jnp.tanh(n_x + r * n_h)
    h = (1 - z) * n + z * h
    return h, h


def scan(step: Any, start: Any, x: jax.Array, reverse: bool = False) -> jax.Array:
    """Return the outputs (n, length, hidden) for the inputs x (n, length, width)."""
    _, outputs = jax.lax.scan(step, start, x.swapaxes(0, 1), reverse=reverse)
    return outputs.swapaxes(0, 1)


def embed(params: Any, words: jax.Array) -> jax.Array:
    """Look the words up. The padding word's vector gets no gradient."""
    table = params["embedding"]["weight"]
    return jnp.where(words[..., None] == 0, jax.lax.stop_gradient(table[0]), table[words])


def linear(params: Any, x: jax.Array) -> jax.Array:
    return x @ params["weight"].T + params["bias"]


def lstm(params: Any, words: jax.Array) -> jax.Array:
    """Words (n, length) to logits (n, 4)."""
    x = observe("embedding", embed(params, words))
    zeros = jnp.zeros((len(words), HIDDEN), x.dtype)
    forward = scan(partial(lstm_step, params["lstm"]["forward"]), (zeros, zeros), x)
    backward = scan(partial(lstm_step, params["lstm"]["reverse"]), (zeros, zeros), x, reverse=True)
    outputs = observe("lstm", jnp.concatenate([forward, backward], axis=-1))
    return observe("linear", linear(params["linear"], outputs.mean(1)))


def gru(params: Any, words: jax.Array) -> jax.Array:
    """Words (n, length) to logits (n, 4)."""
    x = observe("embedding", embed(params, words))
    zeros = jnp.zeros((len(words), HIDDEN), x.dtype)
    outputs = observe("gru", scan(partial(gru_step, params["gru"]), zeros, x))
    return observe("linear", linear(params["linear"], outputs.mean(1)))


def loss(network: Any, params: Any, batch: Any) -> jax.Array:
    words, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(network(params, words), labels).mean()


def uniform(key: jax.Array, shapes: dict[str, tuple[int, ...]], fan_in: int) -> dict[str, jax.Array]:
    """Draw arrays within ±1/sqrt(fan_in), as torch draws linear and recurrent layers."""
    bound = fan_in**-0.5
    keys = jax.random.split(key, len(shapes))
    draws = zip(keys, shapes.items(), strict=True)
    return {name: jax.random.uniform(key, shape, minval=-bound, maxval=bound) for key, (name, shape) in draws}


def recurrent(key: jax.Array, gates: int) -> dict[str, jax.Array]:
    rows = gates * HIDDEN
    shapes = {"weight_ih": (rows, WIDTH), "weight_hh": (rows, HIDDEN), "bias_ih": (rows,), "bias_hh": (rows,)}
    return uniform(key, shapes, HIDDEN)


def embedding(key: jax.Array) -> dict[str, jax.Array]:
    return {"weight": jax.random.normal(key, (WORDS, WIDTH)).at[0].set(0)}


def fresh_lstm(seed: int) -> Any:
    keys = jax.random.split(jax.random.key(seed), 4)
    return {
        "embedding": embedding(keys[0]),
        "lstm": {"forward": recurrent(keys[1], 4), "reverse": recurrent(keys[2], 4)},
        "linear": uniform(keys[3], {"weight": (CLASSES, 2 * HIDDEN), "bias": (CLASSES,)}, 2 * HIDDEN),
    }


def fresh_gru(seed: int) -> Any:
    keys = jax.random.split(jax.random.key(seed), 3)
    return {
        "embedding": embedding(keys[0]),
        "gru": recurrent(keys[1], 3),
        "linear": uniform(keys[2], {"weight": (CLASSES, HIDDEN), "bias": (CLASSES,)}, HIDDEN),
    }


def from_torch(weights: Mapping[str, Any]) -> Any:
    """Return the arrays of torch's `state_dict`, which these functions take as they are."""

    def named(prefix: str, suffix: str = "") -> dict[str, jax.Array]:
        """Return the arrays that begin and end so, under what is between."""
        found = {name: name.removeprefix(f"{prefix}.").removesuffix(suffix) for name in weights}
        return {
            short: jnp.asarray(weights[name]) for name, short in found.items() if name == f"{prefix}.{short}{suffix}"
        }

    lstm = {"lstm": {"forward": named("lstm", "_l0"), "reverse": named("lstm", "_l0_reverse")}}
    cells = lstm if "lstm.bias_ih_l0" in weights else {"gru": named("gru", "_l0")}
    return {"embedding": named("embedding"), **cells, "linear": named("linear")}


def ours(network: Any = lstm, fresh: Any = fresh_lstm) -> dict[str, Any]:
    rmsprop = optax.rmsprop(1e-2, decay=0.9, eps=1e-4, eps_in_sqrt=False)
    return {"model": fresh(1), "loss": partial(loss, network), "optimizer": rmsprop, "fresh": fresh}
