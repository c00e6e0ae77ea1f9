"""What a study will cost, told before it starts: hours from two short timings, memory from shapes."""

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
from jax_impl.trainer.ensemble import SHARE

GIB = 2**30
HOURS = 12.0  # that a grid may take unless more is allowed
TIMED_STEPS = 20
COMPILING = 0.3  # seconds a layer for each new shape, training and propagation together; two cores took 0.28
WIDE = Recipe(name="wide", layers=(784, 512, 512, 10))
NARROW = Recipe(name="narrow", layers=(784, *[16] * 12, 10))


class Speed(NamedTuple):
    """Of a training step on this machine."""

    flop: float  # seconds for one more floating-point operation
    layer: float  # seconds for one more layer, however narrow


class Cost(NamedTuple):
    """Of a cell: an estimate, within a factor of about two."""

    seconds: float
    bytes: float  # of one run at a time


def measure() -> Speed:
    """Time some steps of a wide network and of a deep, narrow one; it takes a few seconds with compiling."""
    rows = np.array([[flops(recipe, 1), len(recipe.layers) - 1] for recipe in (WIDE, NARROW)])
    seconds = np.array([_step_seconds(recipe) for recipe in (WIDE, NARROW)])
    flop, layer = np.linalg.solve(rows, seconds)
    return Speed(max(float(flop), 0.0), max(float(layer), 0.0))


def flops(recipe: Recipe, runs: int) -> float:
    """Return the floating-point operations of one training step: three products a weight and image, two each."""
    return 6.0 * runs * recipe.batch_size * weights(recipe)


def weights(recipe: Recipe) -> int:
    """Return the number of a network's weights; biases are few."""
    return sum(fan_in * fan_out for fan_in, fan_out in pairwise(recipe.layers))


def cost(cell: Cell, speed: Speed, n_images: int, new_shape: bool) -> Cost:
    """Estimate what a cell takes, given whether its shapes must be compiled."""
    recipe, runs, depth = cell.recipe, len(cell.seeds), len(cell.recipe.layers) - 1
    steps = recipe.epochs * (n_images // recipe.batch_size)
    step = speed.flop * flops(recipe, runs) + speed.layer * depth * runs
    probe = speed.flop * flops(recipe, runs) * PROBED / recipe.batch_size
    # Parameters, gradients and updates, Adam's moments, and the copies of the draws and of each epoch's result.
    # How many runs train at a time is for `ensemble.split` to say; one must fit.
    copies = 3 + (2 if recipe.optimizer == "adam" else 0) + 2
    units = sum(recipe.layers[1:])
    training = copies * weights(recipe) + 4 * units * recipe.batch_size
    probing = 3 * weights(recipe) + units * (6 * PROBED) + 6 * BINS * depth  # kernels, their Jacobians, activations
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
    """Return each cell's cost.

    Args:
        cells: In the order in which they will run.
        n_images: In the training set.
        max_hours: Of all cells together; None for `HOURS`.
        max_gib: Of memory, in GiB, for the largest cell; None for four fifths of the device's.
        speed: Of this machine; None to measure it, if there is anything to train.
        workers: Among whom the runs are shared out, each as fast as this machine.

    Raises:
        ArgumentError: The cells would take more; the message gives the number.
    """
    if speed is None:
        speed = measure() if any(cell.recipe.epochs for cell in cells) else Speed(0.0, 0.0)
    max_hours = HOURS if max_hours is None else max_hours
    seen: set[object] = set()
    costs = []
    for cell in cells:
        shape = (cell.recipe.layers, len(cell.seeds), cell.recipe.activation, cell.recipe.optimizer, cell.recipe.dtype)
        found = cost(cell, speed, n_images, shape not in seen)
        costs.append(found._replace(seconds=found.seconds / workers))
        seen.add(shape)
    hours = sum(one.seconds for one in costs) / 3600
    if not hours <= max_hours:
        raise ArgumentError(
            f"{len(cells)} cells would take about {hours:.3g} hours here, more than --max-hours {max_hours:g}: take "
            "fewer seeds, epochs or cells, or allow more"
        )
    allowed = devices.memory() * SHARE / GIB if max_gib is None else max_gib
    needed, largest = max((one.bytes / GIB, str(cell)) for one, cell in zip(costs, cells, strict=True))
    if not needed <= allowed:
        raise ArgumentError(
            f"the cell {largest} would take about {needed:.3g} GiB of memory, more than the {allowed:.3g} GiB "
            f"{'that this device has to give' if max_gib is None else 'of --max-gib'}: take a smaller width, or "
            "allow more with --max-gib"
        )
    return costs


def _step_seconds(recipe: Recipe) -> float:
    """Return the seconds of one training step, the better of two timings."""
    images, labels = jnp.zeros((1000, recipe.layers[0]), jnp.uint8), jnp.zeros(1000, jnp.int32)
    order = jnp.arange(TIMED_STEPS * recipe.batch_size, dtype=jnp.int32).reshape(TIMED_STEPS, -1) % 1000
    epoch = compiled_epoch(recipe.layers, recipe.dtype, images.shape, order.shape)
    seconds = []
    for _ in range(3):  # the first warms up
        state = start(init_params(recipe, key=jax.random.key(0)), recipe.learning_rate)
        jax.block_until_ready(state)
        started = time.perf_counter()
        jax.block_until_ready(epoch(state, images, labels, order))
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:]) / TIMED_STEPS
