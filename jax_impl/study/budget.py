"""Estimates the time and the memory of a study before it starts: time from two short timings, memory from shapes."""

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.errors import ArgumentError
from jax_impl.model import init_params
from jax_impl.recipes import Recipe
from jax_impl.study.cells import PROBED, Cell
from jax_impl.study.propagation import BINS
from jax_impl.train import compiled_epoch, start
from jax_impl.trainer import devices
from jax_impl.trainer.memory import GIB, SHARE

HOURS = 12.0  # the longest study without --max-hours
TIMED_STEPS = 20
COMPILING = 0.1  # seconds per layer to compile training and propagation for a new shape; two cores took 0.04 to 0.07
WIDE = Recipe(name="wide", layers=(784, 512, 512, 10))
NARROW = Recipe(name="narrow", layers=(784, *[16] * 12, 10))


class Speed(NamedTuple):
    """The speed of training steps on this machine."""

    flop: float  # seconds per floating-point operation
    layer: float  # additional seconds per layer, whatever its width


class Cost(NamedTuple):
    """The estimated cost of a cell, correct within a factor of about two."""

    seconds: float
    bytes: float  # for one run; more may train at the same time


def measure() -> Speed:
    """Time steps of a wide network and of a deep, narrow one. This takes a few seconds, including compilation."""
    recipes = (WIDE, NARROW)
    rows = [[flops(recipe, 1), len(recipe.layers) - 1] for recipe in recipes]
    flop, layer = np.linalg.solve(rows, [_step_seconds(recipe) for recipe in recipes])
    return Speed(max(float(flop), 0.0), max(float(layer), 0.0))


def flops(recipe: Recipe, runs: int) -> float:
    """Return the floating-point operations of a training step.

    There are three matrix products, with two operations per weight and image each.
    """
    return 6.0 * runs * recipe.batch_size * weights(recipe)


def weights(recipe: Recipe) -> int:
    """Return the number of a network's weights, without the few biases."""
    return sum(fan_in * fan_out for fan_in, fan_out in pairwise(recipe.layers))


def cost(cell: Cell, speed: Speed, n_images: int, new_shape: bool) -> Cost:
    """Estimate the cost of a cell. `new_shape` says whether its programs must be compiled."""
    recipe, runs, depth = cell.recipe, len(cell.seeds), len(cell.recipe.layers) - 1
    steps = recipe.epochs * (n_images // recipe.batch_size)
    step = speed.flop * flops(recipe, runs) + speed.layer * depth * runs
    probe = speed.flop * flops(recipe, runs) * PROBED / recipe.batch_size
    # Parameters, gradients and updates; Adam's two moments; copies of the initial parameters and of an epoch's result.
    copies = 3 + (2 if recipe.optimizer == "adam" else 0) + 2
    units = sum(recipe.layers[1:])
    training = copies * weights(recipe) + 4 * units * recipe.batch_size
    probing = 3 * weights(recipe) + units * (6 * PROBED) + 2 * BINS * depth  # kernels, activations, histograms
    data = 784 * 70_000
    return Cost(
        seconds=steps * step + probe + new_shape * COMPILING * depth,
        bytes=data + np.dtype(recipe.dtype).itemsize * max(training, probing),
    )


def plan(
    cells: Sequence[Cell],
    n_images: int,
    *,
    max_hours: float | int | None = None,
    max_gib: float | int | None = None,
    speed: Speed | None = None,
    workers: int = 1,
) -> list[Cost]:
    """Return the cost of each cell, after checking that time and memory are within their limits.

    `max_hours` limits all cells together, by default to `HOURS`. `max_gib` limits the largest cell, by default to four
    fifths of the device's memory. The cells run in this order, shared by `workers` workers (see `devices.workers`) of
    this `speed`, which is measured if it is None and there is anything to train.

    Raises:
        ArgumentError: The cells would exceed a limit. The message gives the estimate.
    """
    if speed is None:
        speed = measure() if any(cell.recipe.epochs for cell in cells) else Speed(0.0, 0.0)
    max_hours = HOURS if max_hours is None else max_hours
    seen: set[object] = set()
    costs = []
    for cell in cells:
        shape = (cell.recipe.layers, len(cell.seeds), cell.recipe.activation, cell.recipe.optimizer, cell.recipe.dtype)
        of_cell = cost(cell, speed, n_images, shape not in seen)
        costs.append(of_cell._replace(seconds=of_cell.seconds / workers))
        seen.add(shape)
    hours = sum(of_cell.seconds for of_cell in costs) / 3600
    if not hours <= max_hours:
        raise ArgumentError(
            f"{len(cells)} cells would take about {hours:.3g} hours here, more than --max-hours {max_hours:g}: use "
            "fewer seeds, epochs or cells, or raise --max-hours"
        )
    allowed = devices.memory() * SHARE / GIB if max_gib is None else max_gib
    needed, largest = max((of_cell.bytes / GIB, str(cell)) for of_cell, cell in zip(costs, cells, strict=True))
    if not needed <= allowed:
        raise ArgumentError(
            f"the cell {largest} would need about {needed:.3g} GiB of memory, more than the {allowed:.3g} GiB "
            f"{'available on this device' if max_gib is None else 'of --max-gib'}: use a smaller width, or raise "
            "--max-gib"
        )
    return costs


def _step_seconds(recipe: Recipe) -> float:
    """Return the seconds of a training step, the shorter of two timings."""
    images, labels = jnp.zeros((1000, recipe.layers[0]), jnp.uint8), jnp.zeros(1000, jnp.int32)
    order = jnp.arange(TIMED_STEPS * recipe.batch_size, dtype=jnp.int32).reshape(TIMED_STEPS, -1) % 1000
    epoch = compiled_epoch(recipe.layers, recipe.dtype, recipe.activation, recipe.optimizer, images.shape, order.shape)
    seconds = []
    for _ in range(3):  # the first one warms up
        state = start(init_params(recipe, key=jax.random.key(0)), recipe.learning_rate)
        jax.block_until_ready(state)
        started = time.perf_counter()
        jax.block_until_ready(epoch(state, images, labels, order))
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:]) / TIMED_STEPS
