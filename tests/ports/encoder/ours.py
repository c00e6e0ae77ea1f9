"""The port to Flax NNX, with its own MultiHeadAttention."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx


def uniform(bound: float) -> Any:
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


def trunc_normal(std: float) -> Any:
    """Return torch's `trunc_normal_`, which truncates at ±2, not at two standard deviations."""
    return lambda key, shape, dtype: std * jax.random.truncated_normal(key, -2 / std, 2 / std, shape, dtype)


def linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    init = uniform(inputs**-0.5)
    return nnx.Linear(inputs, outputs, kernel_init=init, bias_init=init, rngs=rngs)


def layer_norm(rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(16, epsilon=1e-5, use_fast_variance=False, rngs=rngs)


class EncoderLayer(nnx.Module):
    """torch's TransformerEncoderLayer, which normalises after each residual."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.self_attn = nnx.MultiHeadAttention(
            num_heads=4,
            in_features=16,
            dropout_rate=0.1,
            broadcast_dropout=False,
            kernel_init=uniform((6 / (4 * 16)) ** 0.5),  # Xavier, with q, k and v as one matrix
            out_kernel_init=uniform(16**-0.5),
            decode=False,
            rngs=rngs,
        )
        self.linear1 = linear(16, 24, rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.linear2 = linear(24, 16, rngs)
        self.norm1 = layer_norm(rngs)
        self.norm2 = layer_norm(rngs)
        self.dropout1 = nnx.Dropout(0.1, rngs=rngs)
        self.dropout2 = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        x = self.norm1(x + self.dropout1(self.self_attn(x, mask=mask)))
        hidden = self.dropout(nnx.relu(self.linear1(x)))
        return self.norm2(x + self.dropout2(self.linear2(hidden)))


class Net(nnx.Module):
    """Features (n, length, 5) and lengths (n,) to logits (n, length, 7)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = linear(5, 16, rngs)
        first, second = EncoderLayer(rngs), EncoderLayer(rngs)
        nnx.update(second, nnx.state(first, nnx.Param))  # TransformerEncoder copies its layer
        self.layers = nnx.List([first, second])
        self.head = nnx.Linear(16, 7, kernel_init=trunc_normal(0.02), rngs=rngs)

    def __call__(self, x: jax.Array, lengths: jax.Array) -> jax.Array:
        mask = jnp.arange(x.shape[1]) < lengths[:, None]
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x, mask[:, None, None])
        return self.head(x)


def loss(model: Net, batch: Any) -> jax.Array:
    x, lengths, y = batch
    losses = optax.softmax_cross_entropy_with_integer_labels(model(x, lengths), jnp.maximum(y, 0))
    return jnp.where(y == -100, 0, losses).sum() / (y != -100).sum()


def fresh(seed: int) -> Net:
    return Net(nnx.Rngs(seed))


def from_torch(weights: Mapping[str, Any]) -> Net:
    """Return the network with the weights of torch's `state_dict`."""
    net = fresh(0)
    for path, leaf in nnx.to_flat_state(nnx.state(net, nnx.Param)):
        leaf.set_value(jnp.asarray(converted(".".join(map(str, path)), weights)))
    return net


def converted(name: str, weights: Mapping[str, Any]) -> Any:
    """Return the array of the leaf `name`, such as layers.0.self_attn.query.kernel, in Flax's layout."""
    owner, _, kind = name.removeprefix("layers").rpartition(".")
    torch_name = f"encoder.layers{owner}" if name.startswith("layers") else owner
    kind = kind.replace("kernel", "weight").replace("scale", "weight")
    layer, _, part = torch_name.rpartition(".")
    if part in ("query", "key", "value"):
        row = 16 * ("query", "key", "value").index(part)
        packed = weights[f"{layer}.in_proj_{kind}"][row : row + 16]
        return packed.T.reshape(16, 4, 4) if kind == "weight" else packed.reshape(4, 4)
    if part == "out":
        return (
            weights[f"{layer}.out_proj.weight"].T.reshape(4, 4, 16)
            if kind == "weight"
            else weights[f"{layer}.out_proj.bias"]
        )
    array = weights[f"{torch_name}.{kind}"]
    return array.T if kind == "weight" else array


def ours() -> dict[str, Any]:
    adam = optax.chain(optax.add_decayed_weights(1e-2), optax.adam(1e-3))
    return {"model": fresh(1), "loss": loss, "optimizer": adam, "fresh": fresh}
