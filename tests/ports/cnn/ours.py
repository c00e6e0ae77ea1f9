"""The port to Flax NNX, in NHWC. It flattens without transposing: the mapping has to permute fc1's rows."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx


def torch_default(fan_in: int) -> Any:
    """Return torch's initialiser of weights and biases: uniform within ±1/sqrt(fan_in)."""
    bound = fan_in**-0.5
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


def conv(channels: int, features: int, strides: int, rngs: nnx.Rngs) -> nnx.Conv:
    init = torch_default(channels * 9)
    return nnx.Conv(channels, features, (3, 3), strides=strides, padding=1, kernel_init=init, bias_init=init, rngs=rngs)


def linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    init = torch_default(inputs)
    return nnx.Linear(inputs, outputs, kernel_init=init, bias_init=init, rngs=rngs)


class Net(nnx.Module):
    """Images (n, 36, 28, 3) to logits (n, 10)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1 = conv(3, 8, 2, rngs)
        self.conv2 = conv(8, 8, 1, rngs)
        self.dropout1 = nnx.Dropout(0.1, rngs=rngs)
        self.fc1 = linear(4 * 3 * 8, 32, rngs)
        self.dropout2 = nnx.Dropout(0.5, rngs=rngs)
        self.fc2 = linear(32, 10, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = jax.image.resize(x, (len(x), 18, 14, 3), "bilinear", antialias=False)
        x = nnx.relu(self.conv1(x))  # (n, 9, 7, 8)
        x = nnx.max_pool(nnx.relu(self.conv2(x)), (2, 2), strides=(2, 2))  # (n, 4, 3, 8)
        x = self.dropout1(x).reshape(len(x), -1)  # (n, 96)
        x = self.dropout2(nnx.relu(self.fc1(x)))
        return self.fc2(x)


def loss(model: Net, batch: Any) -> jax.Array:
    x, y = batch
    logits = model(jnp.transpose(x, (0, 2, 3, 1)))
    labels = optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)
    return optax.softmax_cross_entropy(logits, labels).mean()


def schedule(count: jax.Array) -> jax.Array:
    return 0.05 * 0.5 ** (count // 2)


def fresh(seed: int) -> Net:
    return Net(nnx.Rngs(seed))


def from_torch(weights: Mapping[str, Any]) -> Net:
    """Return the network with the weights of torch's `state_dict`."""
    net = fresh(0)
    hwio = {"conv1.kernel": (2, 3, 1, 0), "conv2.kernel": (2, 3, 1, 0)}
    converted = {name.replace("weight", "kernel"): array for name, array in weights.items()}
    converted |= {name: converted[name].transpose(axes) for name, axes in hwio.items()}
    converted["fc1.kernel"] = converted["fc1.kernel"].reshape(32, 8, 4, 3).transpose(2, 3, 1, 0).reshape(96, 32)
    converted["fc2.kernel"] = converted["fc2.kernel"].T
    for path, leaf in nnx.to_flat_state(nnx.state(net, nnx.Param)):
        leaf.set_value(jnp.asarray(converted[".".join(path)]))
    return net


def ours() -> dict[str, Any]:
    sgd = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(schedule, momentum=0.9))
    return {"model": fresh(1), "loss": loss, "optimizer": sgd, "fresh": fresh}
