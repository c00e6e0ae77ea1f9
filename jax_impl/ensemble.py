"""Many runs of one shape as one vmapped program: the seeds of a recipe train together."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jax_impl.data import Mnist
from jax_impl.draws import Draws, look_at, native
from jax_impl.errors import ArgumentError
from jax_impl.model import Params, stacked
from jax_impl.recipes import Recipe
from jax_impl.train import compiled_epoch, count_correct, start


@dataclass(frozen=True, kw_only=True)
class EpochOfRuns:
    """What one epoch gave in every run; a run that diverges goes on as NaN and does not touch the others."""

    epoch: int  # from 1
    costs: Float[np.ndarray, " runs"]  # mean over the epoch of each batch's mean loss before its update, in nats
    losses: Float[np.ndarray, "runs steps"]  # the same, batch by batch
    test_accuracies: Float[np.ndarray, " runs"]  # of all test images, from 0 to 1
    finite: Bool[np.ndarray, " runs"]  # whether every loss and every parameter still is a number
    seconds: float  # of training all runs; compiling and testing apart


def drawn(recipe: Recipe, seeds: Sequence[int], mnist: Mnist) -> list[Draws]:
    """Return each seed's initial parameters and batch orders, those of `train --stream jax --seed …`.

    Raises:
        ArgumentError: There is no seed, or one twice; or as `draws.native`.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ArgumentError(f"seeds must be one or more, all different, got {list(seeds)}")
    recipes = [recipe.but(seed=seed) for seed in seeds]
    return [look_at(mnist.train_images, one, native(one, len(mnist.train_images))) for one in recipes]


def fit_many(recipe: Recipe, runs: Sequence[Draws], mnist: Mnist) -> Iterator[tuple[EpochOfRuns, Params]]:
    """Train all runs epoch by epoch; each yields its record and the parameters of all runs after it.

    Every run is what `train.fit` makes of the same draws, but for the order in which sums are taken.
    """
    images, labels = jnp.asarray(mnist.train_images), jnp.asarray(mnist.train_labels)
    test_images, test_labels = jnp.asarray(mnist.test_images), jnp.asarray(mnist.test_labels)
    state = stacked([start(one.params, recipe.learning_rate, recipe.optimizer) for one in runs])
    for epoch in range(1, recipe.epochs + 1):
        order = jnp.asarray(np.stack([next(one.orders) for one in runs]))  # (runs, steps, batch)
        train_epoch = compiled_epoch(
            recipe.layers, recipe.dtype, images.shape, order.shape, recipe.activation, recipe.optimizer
        )
        started = time.perf_counter()
        state, found = train_epoch(state, images, labels, order)
        losses = np.asarray(found)  # waits for the device
        seconds = time.perf_counter() - started
        params = jax.tree.map(np.array, state.params)
        correct = _count_all(state.params, test_images, test_labels, recipe.activation)
        yield (
            EpochOfRuns(
                epoch=epoch,
                costs=losses.mean(axis=1, dtype=np.float64),
                losses=losses,
                test_accuracies=np.asarray(correct) / len(test_labels),
                finite=np.isfinite(losses).all(axis=1) & _all_finite(params),
                seconds=seconds,
            ),
            params,
        )


@partial(jax.jit, static_argnames="activation")
def _count_all(params: Params, images: Array, labels: Array, activation: str) -> Array:
    count = jax.vmap(partial(count_correct, activation=activation), in_axes=(0, None, None))
    correct: Array = count(params, images, labels)
    return correct


def _all_finite(params: Params) -> Bool[np.ndarray, " runs"]:
    """Return for each run whether all of its parameters are numbers."""
    leaves = [np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in jax.tree.leaves(params)]
    return np.asarray(np.all(leaves, axis=0))
