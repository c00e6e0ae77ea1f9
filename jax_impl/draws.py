"""Everything random about a run, as data: the initial parameters, and each epoch's order of batches."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jaxtyping import Array, Int, Int32, PRNGKeyArray

from jax_impl.errors import ArgumentError
from jax_impl.model import Params, init_params
from jax_impl.recipes import Recipe

Orders = Iterator[Int32[np.ndarray, "steps batch"]]  # endless, one order per epoch
Permutation = TypeVar("Permutation", Array, np.ndarray)


class Draws(NamedTuple):
    """What a training run takes from a random stream. Training does not depend on which stream it was."""

    params: Params  # the initial ones
    orders: Orders


def native(recipe: Recipe, n_images: int) -> Draws:
    """Draw from JAX's own generator.

    Raises:
        ArgumentError: An initialiser is unknown, the batch is larger than the data set, or the recipe runs the init
            cell more than once. Only a replay of torch's stream can distinguish two passes from one.
    """
    check_batch_size(recipe.batch_size, n_images)
    if recipe.init_passes > 1:
        raise ArgumentError(f"init passes must be 1 with --stream jax, got {recipe.init_passes}: use --stream torch")
    init_key, order_key = jax.random.split(jax.random.key(recipe.seed))
    return Draws(init_params(recipe, key=init_key), Shuffles(order_key, n_images, recipe.batch_size))


class Shuffles:
    """Endless orders of the batches. Each depends on the key and the number of its epoch only."""

    def __init__(self, key: PRNGKeyArray, n_images: int, batch_size: int) -> None:
        self.key, self.n_images, self.batch_size = key, n_images, batch_size
        self.epoch = 0  # of the next order

    def __iter__(self) -> "Shuffles":
        return self

    def __next__(self) -> Int32[np.ndarray, "steps batch"]:
        self.epoch += 1
        return np.asarray(shuffled(self.key, self.epoch - 1, self.n_images, self.batch_size))


@partial(jax.jit, static_argnames=("n_images", "batch_size"))
def shuffled(
    key: PRNGKeyArray, epoch: int | Int[Array, ""], n_images: int, batch_size: int
) -> Int32[Array, "steps batch"]:
    """Return the order of one epoch, counted from 0."""
    permutation: Array = jax.random.permutation(jax.random.fold_in(key, epoch), n_images)
    return full_batches(permutation, batch_size)


def full_batches(permutation: Permutation, batch_size: int) -> Permutation:
    """Cut a permutation of n images into (steps, batch) int32; an incomplete last batch is dropped (`drop_last`)."""
    steps = len(permutation) // batch_size
    return permutation[: steps * batch_size].astype(np.int32).reshape(steps, batch_size)


def check_batch_size(batch_size: int, n_images: int) -> None:
    """Raise an ArgumentError if the data set has no full batch."""
    if batch_size > n_images:
        raise ArgumentError(f"batch size must be at most the {n_images} training images, got {batch_size}")
