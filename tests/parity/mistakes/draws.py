"""Mistakes in the data, the batches, the settings and the initial weights."""

import dataclasses
from collections.abc import Callable
from itertools import repeat
from typing import Any

import jax
import numpy as np

from jax_impl import data, draws, initializers, interop, model, recipes
from jax_impl.replay import notebook
from jax_impl.replay.generator import TorchGenerator
from jax_impl.starts import replayed
from tests.parity.mistakes import Patch, Plant

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
    return repeat(draws.full_batches(notebook.permutation(generator, n_images), batch_size))


def with_replacement(key: jax.Array, epoch: int, n_images: int, batch_size: int) -> jax.Array:
    rows = jax.random.randint(jax.random.fold_in(key, epoch), (n_images,), 0, n_images)
    return draws.full_batches(rows, batch_size)


# --- settings, weights and initialisers


def kernel_init(name: str, wrong: Callable[[], initializers.Initializer]) -> Plant:
    return lambda patch: patch.setitem(initializers.KERNELS, name, wrong)


def zero_biases(patch: Patch) -> None:
    patch.setitem(initializers.BIASES, "linear_default", lambda _: initializers.zeros())


def fan_out() -> initializers.Initializer:
    return initializers.kaiming_uniform(mode="fan_out")


def recipe_with(**changes: Any) -> Plant:
    """Plant another default into the notebook's recipe."""
    right = recipes.RECIPES["mnist_nn_xavier"]
    return lambda patch: patch.setitem(recipes.RECIPES, right.name, dataclasses.replace(right, **changes))


def one_seed(patch: Patch) -> None:
    patch.setattr(replayed, "TorchGenerator", lambda _: TorchGenerator(777))


def equal_layers(right: Callable[..., model.Params]) -> Callable[..., model.Params]:
    """Draw every kernel of one shape from the same key."""

    def init_params(recipe: recipes.Recipe, *, key: jax.Array) -> model.Params:
        drawn: dict[tuple[int, ...], Any] = {}
        params = right(recipe, key=key)
        return {name: drawn.setdefault(layer["kernel"].shape, layer) for name, layer in params.items()}

    return init_params


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


def gain_as_variance(shape: tuple[int, ...], a: float = 0.0, *_: str) -> float:
    """JAX's `variance_scaling(scale=gain)`: the gain multiplies the variance; torch's multiplies the std."""
    return float(np.sqrt(initializers.calculate_gain("leaky_relu", a) / shape[1]))


def two_roundings(x: np.ndarray, factor: float, offset: float) -> np.ndarray:
    return x * x.dtype.type(factor) + x.dtype.type(offset)


def extra_layer(patch: Patch) -> None:
    right = interop.to_torch
    patch.setattr(interop, "to_torch", lambda params: right(params) | {"linear3.scale": np.ones(10, np.float32)})
