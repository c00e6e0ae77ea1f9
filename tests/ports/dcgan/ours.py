"""The port to Flax Linen, in NHWC."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax


def normal(mean: float) -> Any:
    return lambda key, shape, dtype=jnp.float32: mean + 0.02 * jax.random.normal(key, shape, dtype)


def last_bias(key: jax.Array, shape: Any, dtype: Any = jnp.float32) -> jax.Array:
    """Draw torch's default for the last layer: it counts the fan_in of a transposed convolution by its outputs."""
    bound = (3 * 3 * 3) ** -0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


class BatchNorm(nn.Module):
    """torch's BatchNorm2d: the running variance is the unbiased one."""

    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        n, features = x.size // x.shape[-1], x.shape[-1:]
        scale = self.param("scale", normal(1.0), features)
        bias = self.param("bias", nn.initializers.zeros, features)
        mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        var = self.variable("batch_stats", "var", jnp.ones, features)
        if train:
            now = x.mean((0, 1, 2)), x.var((0, 1, 2))
            if not self.is_initializing():
                mean.value = self.momentum * mean.value + (1 - self.momentum) * now[0]
                var.value = self.momentum * var.value + (1 - self.momentum) * now[1] * n / (n - 1)
        else:
            now = mean.value, var.value
        return (x - now[0]) * jax.lax.rsqrt(now[1] + 1e-5) * scale + bias


class Generator(nn.Module):
    """Noise (n, 1, 1, 8) to images (n, 16, 16, 3). Paddings count from a full overlap: kernel - 1 - torch's padding."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        def up(features: int, kernel: int, strides: int, padding: tuple[int, int], **options: Any) -> nn.ConvTranspose:
            return nn.ConvTranspose(
                features,
                (kernel, kernel),
                (strides, strides),
                padding=(padding, padding),
                kernel_init=normal(0.0),
                transpose_kernel=True,
                **options,
            )

        x = up(16, 4, 1, (3, 3), use_bias=False)(x)  # (n, 4, 4, 16)
        x = nn.relu(BatchNorm()(x, train))
        x = up(8, 4, 2, (2, 2), use_bias=False)(x)  # (n, 8, 8, 8)
        x = nn.relu(BatchNorm()(x, train))
        x = up(3, 3, 2, (1, 2), bias_init=last_bias)(x)  # (n, 16, 16, 3)
        return jnp.tanh(x)


def loss(model: Generator, batch: Any, train: bool) -> jax.Array:
    noise, images = (jnp.transpose(x, (0, 2, 3, 1)) for x in batch)
    return jnp.square(model(noise, train) - images).mean()


def fresh(seed: int) -> Any:
    """Return the module and newly drawn variables."""
    return Generator(), Generator().init(jax.random.key(seed), jnp.zeros((1, 1, 1, 8)), train=False)


def from_torch(weights: Mapping[str, Any]) -> Any:
    """Return the module and its variables from torch's `state_dict`. torch's kernels are (in, out, height, width)."""
    main = {name.removeprefix("main."): array for name, array in weights.items()}
    kernels = [main[f"{layer}.weight"].transpose(2, 3, 1, 0) for layer in (0, 3, 6)]
    params: dict[str, Any] = {f"ConvTranspose_{i}": {"kernel": kernels[i]} for i in range(3)}
    params["ConvTranspose_2"]["bias"] = main["6.bias"]
    statistics = {}
    for i, layer in enumerate((1, 4)):
        params[f"BatchNorm_{i}"] = {"scale": main[f"{layer}.weight"], "bias": main[f"{layer}.bias"]}
        statistics[f"BatchNorm_{i}"] = {name: main[f"{layer}.running_{name}"] for name in ("mean", "var")}
    return Generator(), jax.tree.map(jnp.asarray, {"params": params, "batch_stats": statistics})


def ours() -> dict[str, Any]:
    adam = optax.adam(2e-4, b1=0.5, b2=0.999)
    return {"model": Generator(), "loss": loss, "optimizer": adam, "fresh": fresh}
