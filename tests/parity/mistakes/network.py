"""Mistakes in the network, the loss, its gradient, the optimizer and the accuracy."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jax_impl import model, train
from jax_impl.activations import ACTIVATIONS, Activation
from tests.parity.mistakes import Plant, replace


def no_float64(_: bool) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


# --- the network


def network(change: Callable[[int, jax.Array, jax.Array, jax.Array], jax.Array]) -> Plant:
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
    """Keep this number of bits of the mantissa of float32, as TF32 (10) and bfloat16 (7) do."""
    if values.dtype != jnp.float32:
        return values
    step = jnp.exp2(jnp.floor(jnp.log2(jnp.maximum(jnp.abs(values), 1e-30))) - bits)
    return jax.lax.stop_gradient(jnp.round(values / step) * step - values) + values


def in_float16(number: int, inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    if number != 2:
        return inputs @ kernel + bias
    return (inputs.astype(jnp.float16) @ kernel.astype(jnp.float16)).astype(inputs.dtype) + bias


def frozen(part: str) -> Plant:
    """Plant a network in which layer 2 has no gradient of its kernel, or of its bias."""

    def layer(number: int, inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        stop = jax.lax.stop_gradient
        if number == 2:
            kernel, bias = (stop(kernel), bias) if part == "kernel" else (kernel, stop(bias))
        return inputs @ kernel + bias

    return network(layer)


def relu_as(function: Callable[[jax.Array], jax.Array]) -> Plant:
    """Plant another activation under the name of the ReLU."""
    return lambda patch: patch.setitem(ACTIVATIONS, "relu", Activation(function, 1.0))


def nan_gradient(x: jax.Array) -> jax.Array:
    """A ReLU with the derivative 0 · inf where it is off, from the square root under `where`."""
    return jnp.where(x > 0, x + 0 * jnp.sqrt(x), 0)


# --- the loss, its gradient and the optimizer


def loss_of(change: Callable[[jax.Array, jax.Array], jax.Array]) -> Plant:
    """Plant another loss: a function of logits and labels."""
    return replace(train, "mean_loss", lambda params, images, labels, *_: change(model.apply(params, images), labels))


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def smoothed(logits: jax.Array, labels: jax.Array) -> jax.Array:
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype), 0.01)
    return optax.softmax_cross_entropy(logits, targets).mean()


def gradient_doubled(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """A loss scale of 2 that is taken from the loss but not from its gradient."""
    loss = cross_entropy(logits, labels).mean()
    return 2 * loss - jax.lax.stop_gradient(loss)


def adam_with(scale: float = 1.0, **changes: Any) -> Plant:
    right = optax.adam
    return replace(optax, "adam", lambda rate: right(scale * rate, **changes))


def miscounted(count: Callable[[jax.Array], jax.Array]) -> Plant:
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


def changed_gradients(change: Callable[[jax.Array, jax.Array], jax.Array]) -> Plant:
    right = train.update
    return replace(
        train, "update", lambda state, gradients, *_: right(state, jax.tree.map(change, gradients, state.params))
    )


def lossy(bits: int) -> Plant:
    return network(lambda _, x, kernel, bias: rounded(x, bits) @ rounded(kernel, bits) + bias)


def without_bias_2(number: int, inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    return inputs @ kernel + (0 if number == 2 else bias)


def scaled_by(factor: Callable[[Any], Any]) -> Plant:
    return replace(train, "scale", lambda images, dtype: images.astype(dtype) * factor(dtype))


# --- the accuracy


def mean_of_batches(params: model.Params, images: Any, labels: Any, activation: str = "relu") -> float:
    """Return the mean of the accuracies of batches of 600 images; the last one has fewer."""
    parts = [(images[first : first + 600], labels[first : first + 600]) for first in range(0, len(labels), 600)]
    return float(np.mean([int(model.count_correct(params, *part, activation)) / len(part[1]) for part in parts]))


def first_images(n: int) -> Callable[..., float]:
    """Return an accuracy of the first `n` images, or of all except the last `-n`."""

    def accuracy(params: model.Params, images: Any, labels: Any, activation: str = "relu") -> float:
        return int(model.count_correct(params, images[:n], labels[:n], activation)) / len(labels[:n])

    return accuracy


def count_unscaled(params: model.Params, images: Any, labels: Any, activation: str = "relu") -> Any:
    logits = model.apply(params, images.astype(jax.tree.leaves(params)[0].dtype), activation)
    return jnp.sum(jnp.argmax(logits, axis=1) == labels)


def unscaled(params: model.Params, images: Any, labels: Any, activation: str = "relu") -> float:
    return int(count_unscaled(params, images, labels, activation)) / len(labels)
