"""Initialisers that use training images (LSUV, a deep belief network), and the draws of many seeds."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from jax_impl.data import Mnist
from jax_impl.draws import Draws, native
from jax_impl.errors import ArgumentError
from jax_impl.model import scale
from jax_impl.rbm import dbn
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.settings import PRETRAINING
from jax_impl.rbm.training import RbmRecord
from jax_impl.recipes import Recipe
from jax_impl.starts import lsuv

USED = 10_000  # first training images; the first 1,000 alone are 2 % darker than all 60,000
# What such a start depends on besides its recipe. It is part of the keys of a study's records.
DEPENDS_ON = (USED, asdict(PRETRAINING))


def start_from_images(
    images: UInt8[np.ndarray, "n pixels"],
    recipe: Recipe,
    draws: Draws,
    *,
    stack: Sequence[Rbm] | None = None,
    held_out: UInt8[np.ndarray, "m pixels"] | None = None,
    watch: Callable[[RbmRecord], None] = lambda _: None,
) -> Draws:
    """Let an initialiser that uses images change the initial parameters. Other recipes' draws are returned unchanged.

    A DBN is `stack`, or else trained on all images with JAX's own random draws: then `held_out`, or else the first
    training images, monitor its training, and `watch` gets each epoch's record.

    Raises:
        UserError: LSUV cannot scale a layer, or the DBN does not fit the hidden layers, or there are none.
    """
    if recipe.init == "lsuv":
        inputs = scale(jnp.asarray(images[:USED]), recipe.dtype)
        return draws._replace(params=lsuv.rescale(draws.params, inputs, recipe.activation))
    if recipe.init != "dbn":
        return draws
    machines = list(stack or ())
    if not machines:
        inputs = scale(jnp.asarray(images), recipe.dtype)
        monitored = inputs[:USED] if held_out is None else scale(jnp.asarray(held_out), recipe.dtype)
        settings = replace(PRETRAINING, seed=recipe.seed, dtype=recipe.dtype)
        for record, so_far in dbn.fit_stack(recipe.layers[1:-1], settings, inputs, monitored):
            machines = so_far
            if record is not None:
                watch(record)
    return draws._replace(params=dbn.unroll(machines, draws.params))


def draw_seeds(recipe: Recipe, seeds: Sequence[int], mnist: Mnist) -> list[Draws]:
    """Return each seed's draws from JAX's own generator, those of `train --stream jax --seed …`.

    Raises:
        ArgumentError: There is no seed, or one appears twice; or as `draws.native`.
        UserError: As `start_from_images`.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ArgumentError(f"seeds must be one or more, all different, got {list(seeds)}")
    of_seeds = [recipe.with_changes(seed=seed) for seed in seeds]
    draws = [native(one, len(mnist.train_images)) for one in of_seeds]
    devices = jax.local_devices()
    if recipe.init != "dbn" or len(devices) == 1:
        return [start_from_images(mnist.train_images, *pair) for pair in zip(of_seeds, draws, strict=True)]

    def started(place: int) -> Draws:
        own = draws[place]._replace(params=jax.device_get(draws[place].params))
        with jax.default_device(devices[place % len(devices)]):
            own = start_from_images(mnist.train_images, of_seeds[place], own)
        return own._replace(params=jax.device_get(own.params))

    with ThreadPoolExecutor(len(devices)) as pool:  # a DBN trains for a while: one on each device at a time
        return list(pool.map(started, range(len(of_seeds))))
