"""The port as the ladder sees it: NumPy in and out, parameters under torch's names. Every number is the port's own."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl import data, draws, initializers, interop, model, recipes, train
from jax_impl.replay import notebook

Tensors = dict[str, np.ndarray]


def x64(dtype: object) -> AbstractContextManager[object]:
    """Let JAX compute in float64 where that is asked for, and only there."""
    return jax.enable_x64(np.dtype(dtype) == np.float64)


def dtype_of(tensors: Tensors) -> np.dtype:
    return tensors["linear1.weight"].dtype


def layers_of(tensors: Tensors) -> tuple[int, ...]:
    weights = [tensors[f"linear{number}.weight"] for number in range(1, len(tensors) // 2 + 1)]
    return (weights[0].shape[1], *(weight.shape[0] for weight in weights))


def params_of(tensors: Tensors) -> model.Params:
    return jax.tree.map(jnp.asarray, interop.from_torch(tensors, layers_of(tensors)))


def fresh(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function anew: what was traced earlier would hide a fault that has been planted since."""
    return jax.jit(lambda *arguments: function(*arguments), **options)


def load() -> data.Mnist:
    return data.load()


def load_part(n_images: int) -> data.Mnist:
    """The first so many training images, and all test images."""
    mnist = load()
    return data.Mnist(mnist.train_images[:n_images], mnist.train_labels[:n_images], *mnist[2:])


def scale(images: np.ndarray, dtype: str) -> np.ndarray:
    with x64(dtype):
        return np.asarray(fresh(train.scale, static_argnums=1)(jnp.asarray(images), dtype))


def initial(recipe: str, **changes: object) -> Tensors:
    """The seeded initial parameters."""
    return interop.to_torch(notebook.replayed(recipes.named(recipe).but(**changes), 60_000).params)


def orders(recipe: str, n_images: int, epochs: int, **changes: object) -> np.ndarray:
    """The batches of the first epochs, (epochs, steps, batch)."""
    drawn = notebook.replayed(recipes.named(recipe).but(**changes), n_images)
    return np.stack(list(islice(drawn.orders, epochs)))


def sample(init: str, seed: int, fan_in: int, fan_out: int) -> np.ndarray:
    """A kernel from JAX's own generator, in torch's layout."""
    kernel = initializers.KERNELS[init]()(jax.random.key(seed), (fan_in, fan_out), jnp.float32)
    return np.asarray(kernel).T


def sample_bias(seed: int, fan_in: int, fan_out: int) -> np.ndarray:
    init = initializers.BIASES["linear_default"](fan_in)
    return np.asarray(init(jax.random.key(seed), (fan_out,), jnp.float32))


def write(path: Path, tensors: Tensors) -> None:
    interop.save(path, interop.from_torch(tensors, layers_of(tensors)))


def read(path: Path, layers: tuple[int, ...]) -> Tensors:
    return interop.to_torch(interop.load(path, layers))


def layers(tensors: Tensors, inputs: np.ndarray) -> list[np.ndarray]:
    """The pre-activations of every layer; the last are the logits."""
    with x64(dtype_of(tensors)):
        return [np.asarray(z) for z in fresh(model.pre_activations)(params_of(tensors), jnp.asarray(inputs))]


def loss(tensors: Tensors, inputs: np.ndarray, labels: np.ndarray) -> float:
    with x64(dtype_of(tensors)):
        return float(fresh(train.mean_loss)(params_of(tensors), jnp.asarray(inputs), jnp.asarray(labels)))


def gradients(tensors: Tensors, inputs: np.ndarray, labels: np.ndarray) -> Tensors:
    with x64(dtype_of(tensors)):
        gradient = fresh(jax.grad(train.mean_loss))
        return interop.to_torch(gradient(params_of(tensors), jnp.asarray(inputs), jnp.asarray(labels)))


def adam(tensors: Tensors, steps: Sequence[Tensors]) -> dict[str, Tensors]:
    """The parameters and both moments after Adam has taken these gradients."""
    with x64(dtype_of(tensors)):
        state, update = train.start(params_of(tensors), 1e-3), fresh(train.update)
        for step in steps:
            state = update(state, params_of(step))
        moments = state.opt_state[0]
        return {
            "params": interop.to_torch(state.params),
            "first moment": interop.to_torch(moments.mu),
            "second moment": interop.to_torch(moments.nu),
        }


def losses(tensors: Tensors, images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Each step's loss before its update, training on these batches."""
    dtype = dtype_of(tensors)
    with x64(dtype):
        epoch = train.compiled_epoch(layers_of(tensors), dtype.name, images.shape, order.shape)
        state = train.start(params_of(tensors), 1e-3)
        _, found = epoch(state, jnp.asarray(images), jnp.asarray(labels), jnp.asarray(order))
        return np.asarray(found)


def accuracy(tensors: Tensors, images: np.ndarray, labels: np.ndarray) -> float:
    with x64(dtype_of(tensors)):
        return train.accuracy(params_of(tensors), jnp.asarray(images), jnp.asarray(labels))


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run: by epoch its cost and accuracy, and the parameters at its end."""

    cost: list[float]
    accuracy: list[float]
    tensors: Tensors


def fit(recipe: str, mnist: data.Mnist, **changes: object) -> Run:
    """Train as `python -m jax_impl train --stream jax` does."""
    settings = recipes.named(recipe).but(**changes)
    records, params = zip(*train.fit(settings, mnist, draws.native(settings, len(mnist.train_images))), strict=True)
    costs, accuracies = ([getattr(record, name) for record in records] for name in ("cost", "test_accuracy"))
    return Run(cost=costs, accuracy=accuracies, tensors=interop.to_torch(params[-1]))
