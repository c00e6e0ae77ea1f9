"""Mistakes, each a change of one function of `jax_impl` (or of the library that it calls), as made in haste.

A plant takes a MonkeyPatch, which takes the change back. What it reads of the right code it reads when it plants.
"""

import contextlib
from collections.abc import Callable
from itertools import repeat
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_impl import data, draws, initializers, interop, model, train
from jax_impl.activations import ACTIVATIONS, Activation
from jax_impl.replay import notebook
from jax_impl.replay.generator import TorchGenerator

Patch = pytest.MonkeyPatch


def replace(module: Any, name: str, value: Any) -> Callable[[Patch], None]:
    """Return what plants `value` in place of a module's attribute."""
    return lambda patch: patch.setattr(module, name, value)


def kernel_init(name: str, wrong: Callable[[], initializers.Initializer]) -> Callable[[Patch], None]:
    return lambda patch: patch.setitem(initializers.KERNELS, name, wrong)


def zero_biases(patch: Patch) -> None:
    patch.setitem(initializers.BIASES, "linear_default", lambda _: initializers.zeros())


def no_float64(_: bool) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def fan_out() -> initializers.Initializer:
    return initializers.kaiming_uniform(mode="fan_out")


# --- data and order


def shift_labels(patch: Patch) -> None:
    right = data.load
    patch.setattr(data, "load", lambda *a: (m := right(*a))._replace(train_labels=np.roll(m.train_labels, 1)))


def transpose_images(patch: Patch) -> None:
    right = data.load

    def load(*arguments: Any) -> data.Mnist:
        mnist = right(*arguments)
        turned = mnist.train_images.reshape(-1, 28, 28).swapaxes(1, 2).reshape(-1, 784)
        return mnist._replace(train_images=np.ascontiguousarray(turned))

    patch.setattr(data, "load", load)


def keep_last_batch(permutation: np.ndarray, batch_size: int) -> np.ndarray:
    return np.resize(permutation, (-(-len(permutation) // batch_size), batch_size)).astype(np.int32)


def numpy_shuffle(generator: TorchGenerator, n_images: int) -> np.ndarray:
    return np.random.default_rng(generator.random_int64()).permutation(n_images)


def global_shuffle(generator: TorchGenerator, n_images: int) -> np.ndarray:
    generator.random_int64()
    return generator.randperm(n_images)


def same_order(generator: TorchGenerator, n_images: int, batch_size: int) -> draws.Orders:
    return repeat(draws.batches(notebook.permutation(generator, n_images), batch_size))


def first_tenth_only(patch: Patch) -> None:
    right = draws.native
    patch.setattr(draws, "native", lambda recipe, n: right(recipe, n // 10))


# --- weights and initialisers


def untransposed_square_kernel(patch: Patch) -> None:
    right = interop.from_torch

    def from_torch(tensors: interop.Tensors, layers: tuple[int, ...]) -> model.Params:
        params = right(tensors, layers)
        for layer in params.values():
            if layer["kernel"].shape[0] == layer["kernel"].shape[1]:
                layer["kernel"] = np.ascontiguousarray(np.asarray(layer["kernel"]).T)
        return params

    patch.setattr(interop, "from_torch", from_torch)


def swapped_layers(patch: Patch) -> None:
    right = interop.from_torch

    def from_torch(tensors: interop.Tensors, layers: tuple[int, ...]) -> model.Params:
        params = right(tensors, layers)
        if len(layers) > 4:
            params["linear2"], params["linear3"] = params["linear3"], params["linear2"]
        return params

    patch.setattr(interop, "from_torch", from_torch)


def float16_file(patch: Patch) -> None:
    right = interop.to_torch
    patch.setattr(
        interop,
        "to_torch",
        lambda params: {k: v.astype(np.float16).astype(v.dtype) for k, v in right(params).items()},
    )


def gain_as_variance(fan_in: int, fan_out: int, a: float = 0.0) -> float:  # noqa: ARG001
    """JAX's `variance_scaling(scale=gain)`: the gain multiplies the variance, where torch's multiplies the std."""
    return float(np.sqrt(initializers.calculate_gain("leaky_relu", a) / fan_in))


def two_roundings(x: np.ndarray, factor: float, offset: float) -> np.ndarray:
    return x * x.dtype.type(factor) + x.dtype.type(offset)


def extra_layer(patch: Patch) -> None:
    right = interop.to_torch
    patch.setattr(interop, "to_torch", lambda params: right(params) | {"linear3.scale": np.ones(10, np.float32)})


# --- the network


def network(change: Callable[[int, jax.Array, jax.Array, jax.Array], jax.Array]) -> Callable[[Patch], None]:
    """Plant another layer: a function of its number, inputs, kernel and bias."""

    def pre_activations(params: model.Params, images: jax.Array, _activation: str = "relu") -> list[jax.Array]:
        outputs: list[jax.Array] = []
        for place in range(1, len(params) + 1):
            layer = params[f"linear{place}"]
            inputs = jax.nn.relu(outputs[-1]) if outputs else images
            bias = jnp.asarray(layer["bias"])[None]
            outputs.append(change(place, inputs, jnp.asarray(layer["kernel"]), bias))
        return outputs

    return replace(model, "pre_activations", pre_activations)


def rounded(values: jax.Array, bits: int) -> jax.Array:
    """Keep so many bits of the mantissa of float32, as TF32 (10) and bfloat16 (7) do."""
    if values.dtype != jnp.float32:
        return values
    step = jnp.exp2(jnp.floor(jnp.log2(jnp.maximum(jnp.abs(values), 1e-30))) - bits)
    return jax.lax.stop_gradient(jnp.round(values / step) * step - values) + values


def in_float16(number: int, inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    if number != 2:
        return inputs @ kernel + bias
    return (inputs.astype(jnp.float16) @ kernel.astype(jnp.float16)).astype(inputs.dtype) + bias


def relu_as(function: Callable[[jax.Array], jax.Array]) -> Callable[[Patch], None]:
    """Plant another activation under the name of the ReLU."""
    return lambda patch: patch.setitem(ACTIVATIONS, "relu", Activation(function, 1.0))


def nan_gradient(x: jax.Array) -> jax.Array:
    """A ReLU whose derivative is 0 · inf where it is off: the square root's under `where`."""
    return jnp.where(x > 0, x + 0 * jnp.sqrt(x), 0)


# --- the loss, the optimizer, the loop


def loss_of(change: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[[Patch], None]:
    """Plant another loss: a function of logits and labels."""
    return replace(train, "mean_loss", lambda params, images, labels, *_: change(model.apply(params, images), labels))


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def smoothed(logits: jax.Array, labels: jax.Array) -> jax.Array:
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype), 0.01)
    return optax.softmax_cross_entropy(logits, targets).mean()


def adam_with(**changes: float) -> Callable[[Patch], None]:
    right = optax.adam
    return replace(optax, "adam", lambda rate: right(rate, **changes))


def miscounted(count: Callable[[jax.Array], jax.Array]) -> Callable[[Patch], None]:
    """Plant an Adam whose bias corrections see another step count."""
    right = optax.adam

    def adam(rate: float) -> optax.GradientTransformation:
        inner = right(rate)

        def update(gradients: Any, state: Any, params: Any = None) -> Any:
            shifted = (state[0]._replace(count=count(state[0].count)), *state[1:])
            updates, (moments, *rest) = inner.update(gradients, shifted, params)
            return updates, (moments._replace(count=state[0].count + 1), *rest)

        return optax.GradientTransformation(inner.init, update)

    return replace(optax, "adam", adam)


def changed_gradients(change: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[[Patch], None]:
    right = train.update
    return replace(
        train, "update", lambda state, gradients, *_: right(state, jax.tree.map(change, gradients, state.params))
    )


def reversed_batches(patch: Patch) -> None:
    right = train.run_epoch
    patch.setattr(
        train,
        "run_epoch",
        lambda state, images, labels, order, **how: right(state, images, labels, order[::-1], **how),
    )


def mean_of_batches(params: model.Params, images: jax.Array, labels: jax.Array, _activation: str = "relu") -> float:
    """The mean of the accuracies of batches of 3,000 images, the last of which has 1,000."""
    cuts = range(0, len(labels), 3000)
    return float(
        np.mean(
            [
                int(train.count_correct(params, images[c : c + 3000], labels[c : c + 3000])) / len(labels[c : c + 3000])
                for c in cuts
            ]
        )
    )


def drop_16_images(params: model.Params, images: jax.Array, labels: jax.Array, _activation: str = "relu") -> float:
    n = len(labels) - 16
    return int(train.count_correct(params, images[:n], labels[:n])) / n


def unscaled_test(patch: Patch) -> None:
    def count_correct(params: model.Params, images: jax.Array, labels: jax.Array, _activation: str) -> jax.Array:
        logits = model.apply(params, images.astype(jax.tree.leaves(params)[0].dtype))
        return jnp.sum(jnp.argmax(logits, axis=1) == labels)

    patch.setattr(train, "count_correct", count_correct)


def lossy(bits: int) -> Callable[[Patch], None]:
    return network(lambda _, x, kernel, bias: rounded(x, bits) @ rounded(kernel, bits) + bias)


def without_bias_2(number: int, inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    return inputs @ kernel + (0 if number == 2 else bias)


def scaled_by(factor: Callable[[Any], Any]) -> Callable[[Patch], None]:
    return replace(train, "scale", lambda images, dtype: images.astype(dtype) * factor(dtype))
