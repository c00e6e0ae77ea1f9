"""The port to Flax NNX, in NHWC, with names as in torchvision."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

he_fan_out = jax.nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def conv(inputs: int, outputs: int, size: int, strides: int, rngs: nnx.Rngs) -> nnx.Conv:
    padding = size // 2  # on all four sides, where SAME would pad one side more if the stride is 2
    return nnx.Conv(
        inputs,
        outputs,
        (size, size),
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_init=he_fan_out,
        rngs=rngs,
    )


class BatchNorm(nnx.BatchNorm):
    """Flax's BatchNorm with torch's running variance, which is the unbiased one."""

    def __init__(self, features: int, rngs: nnx.Rngs) -> None:
        super().__init__(features, momentum=0.9, epsilon=1e-5, use_fast_variance=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        before, n = self.var[...], x.size // x.shape[-1]
        y = super().__call__(x)
        if not self.use_running_average:
            self.var[...] += (self.var[...] - self.momentum * before) / (n - 1)
        return y


class Downsample(nnx.Module):
    """A convolution of one pixel that fits the shortcut's shape to its block's output."""

    def __init__(self, inputs: int, outputs: int, strides: int, rngs: nnx.Rngs) -> None:
        self.conv = conv(inputs, outputs, 1, strides, rngs)
        self.bn = BatchNorm(outputs, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.bn(self.conv(x))


class Block(nnx.Module):
    """torchvision's BasicBlock: two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, strides: int, rngs: nnx.Rngs) -> None:
        self.conv1 = conv(inputs, outputs, 3, strides, rngs)
        self.bn1 = BatchNorm(outputs, rngs)
        self.conv2 = conv(outputs, outputs, 3, 1, rngs)
        self.bn2 = BatchNorm(outputs, rngs)
        same = strides == 1 and inputs == outputs
        self.downsample = None if same else Downsample(inputs, outputs, strides, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return nnx.relu(y + shortcut)


class ResNet(nnx.Module):
    """Images (n, size, size, 3) to logits (n, 10)."""

    def __init__(self, blocks: tuple[int, ...], widths: tuple[int, ...], rngs: nnx.Rngs) -> None:
        self.conv1 = conv(3, 64, 7, 2, rngs)
        self.bn1 = BatchNorm(64, rngs)
        stages, inputs = [], 64
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            strides = 1 if stage == 0 else 2
            first = Block(inputs, width, strides, rngs)
            stages.append(nnx.List([first, *(Block(width, width, 1, rngs) for _ in range(count - 1))]))
            inputs = width
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        uniform = linear_default(inputs)
        self.fc = nnx.Linear(inputs, 10, kernel_init=uniform, bias_init=uniform, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for block in (*self.layer1, *self.layer2, *self.layer3, *self.layer4):
            x = block(x)
        return self.fc(x.mean((1, 2)))


def linear_default(fan_in: int) -> Any:
    """Return torch's initialiser of a linear layer's weight and bias: uniform within ±1/sqrt(fan_in)."""
    bound = fan_in**-0.5
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


def small(seed: int) -> ResNet:
    return ResNet((2, 1, 1, 1), (8, 16, 32, 64), nnx.Rngs(seed))


def full(seed: int) -> ResNet:
    return ResNet((2, 2, 2, 2), (64, 128, 256, 512), nnx.Rngs(seed))


def loss(model: ResNet, batch: Any) -> jax.Array:
    x, y = batch
    logits = model(jnp.transpose(x, (0, 2, 3, 1)))
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def ours(fresh: Any = small) -> dict[str, Any]:
    return {"model": fresh(1), "loss": loss, "optimizer": optax.adam(1e-3), "fresh": fresh}
