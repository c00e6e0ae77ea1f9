"""One small network in four libraries: convolution, BatchNorm, dropout, linear; images (n, 3, 6, 5) to 2 logits."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

RNG = np.random.default_rng(0)
BATCH = (RNG.normal(size=(4, 3, 6, 5)), np.array([0, 1, 1, 0]))


def mean_loss(logits: Any, labels: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


class Nnx(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.out(self.drop(nnx.relu(self.norm(self.conv(x))).mean((1, 2))))


def nnx_loss(model: Nnx, batch: Any) -> Any:
    return mean_loss(model(jnp.transpose(batch[0], (0, 2, 3, 1))), batch[1])


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        x = nn.BatchNorm(use_running_average=not train, name="norm")(nn.Conv(4, (3, 3), name="conv")(x))
        x = nn.Dropout(0.5, deterministic=not train, name="drop")(nn.relu(x).mean((1, 2)))
        return nn.Dense(2, name="out")(x)


def linen_loss(model: Linen, batch: Any, train: bool) -> Any:
    return mean_loss(model(jnp.transpose(batch[0], (0, 2, 3, 1)), train=train), batch[1])


class Equinox(eqx.Module):
    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    out: eqx.nn.Linear

    def __init__(self, key: Any) -> None:
        self.conv = eqx.nn.Conv2d(3, 4, 3, padding=1, key=key)
        self.norm = eqx.nn.BatchNorm(4, "batch", mode="batch")
        self.drop = eqx.nn.Dropout(0.5)
        self.out = eqx.nn.Linear(4, 2, key=key)

    def __call__(self, x: Any, state: Any, key: Any) -> Any:
        x, state = self.norm(self.conv(x), state)
        return self.out(self.drop(jax.nn.relu(x).mean((1, 2)), key=key)), state


def equinox_loss(model: Equinox, batch: Any, state: Any, key: Any) -> Any:
    keys = jax.random.split(key, len(batch[0]))
    run = jax.vmap(model, axis_name="batch", in_axes=(0, None, 0), out_axes=(0, None))
    logits, state = run(batch[0], state, keys)
    return mean_loss(logits, batch[1]), state


def tree() -> Any:
    rng = np.random.default_rng(1)
    return {"conv": {"kernel": rng.normal(size=(90, 4))}, "out": [rng.normal(size=(4, 2)), np.zeros(2)]}


def tree_loss(params: Any, batch: Any, state: Any, train: bool) -> Any:
    hidden = jnp.tanh(batch[0].reshape(len(batch[0]), -1) @ params["conv"]["kernel"])
    state = {"norm": {"mean": 0.9 * state["norm"]["mean"] + 0.1 * hidden.mean(0)}} if train else state
    return mean_loss(hidden @ params["out"][0] + params["out"][1], batch[1]), state


def of_nnx() -> tuple[Any, Callable[..., Any], Any]:
    return Nnx(nnx.Rngs(0)), nnx_loss, None


def of_linen() -> tuple[Any, Callable[..., Any], Any]:
    return Linen(), linen_loss, None


def of_equinox() -> tuple[Any, Callable[..., Any], Any]:
    model, state = eqx.nn.make_with_state(Equinox)(jax.random.key(0))
    return model, equinox_loss, state


def of_tree() -> tuple[Any, Callable[..., Any], Any]:
    return tree(), tree_loss, {"norm": {"mean": np.zeros(4)}}
