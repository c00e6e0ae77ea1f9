"""Estimates the time and the memory of a study before it starts: time from two short timings, memory from shapes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jax_impl.errors import ArgumentError
from jax_impl.recipes import Recipe
from jax_impl.study.cells import PROBED, Cell
from jax_impl.study.propagation import BINS
from jax_impl.trainer import estimate
from jax_impl.trainer.estimate import Memory, Speed, flops, weights

HOURS = 12.0  # the longest study without --max-hours
COMPILING = 0.1  # seconds per layer to compile training and propagation for a new shape; two cores took 0.04 to 0.07


class Cost(NamedTuple):
    """The estimated cost of a cell."""

    seconds: float  # correct within a factor of about two
    memory: Memory  # of one run on a device; more may train at the same time. On the host, of all runs


def cost(cell: Cell, speed: Speed, n_images: int, new_shape: bool) -> Cost:
    """Estimate the cost of a cell. `new_shape` says whether its programs must be compiled."""
    recipe, runs, depth = cell.recipe, len(cell.seeds), len(cell.recipe.layers) - 1
    steps = recipe.epochs * (n_images // recipe.batch_size)
    step = speed.flop * flops(recipe, runs) + speed.layer * depth * runs
    probe = speed.flop * flops(recipe, runs) * PROBED / recipe.batch_size
    return Cost(seconds=steps * step + probe + new_shape * COMPILING * depth, memory=memory(recipe, runs))


def memory(recipe: Recipe, runs: int) -> Memory:
    """Return the memory of a cell of `runs` runs: of training it, or of measuring its propagation."""
    depth, units = len(recipe.layers) - 1, sum(recipe.layers[1:])
    probing = 3 * weights(recipe) + units * (6 * PROBED) + 2 * BINS * depth  # kernels, activations, histograms
    training = estimate.network(recipe, runs)
    return training._replace(device=max(training.device, np.dtype(recipe.dtype).itemsize * probing))


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

    `max_hours` limits all cells together, by default to `HOURS`. `max_gib` limits each cell's memory of a device, which
    must also fit into four fifths of what there is. The cells run in this order, shared by `workers` workers (see
    `devices.workers`) of this `speed`, which is measured if it is None and there is anything to train.

    Raises:
        ArgumentError: The cells would exceed a limit. The message gives the estimate.
    """
    for cell in {(cell.recipe.layers, cell.recipe.optimizer, cell.recipe.dtype): cell for cell in cells}.values():
        _check_memory(cell, max_gib)
    if speed is None:
        speed = estimate.measure() if any(cell.recipe.epochs for cell in cells) else Speed(0.0, 0.0)
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
    return costs


def _check_memory(cell: Cell, max_gib: float | int | None) -> None:
    """Raise an ArgumentError if a cell does not fit into the memory. It says which width or number of seeds would."""
    pixels, *hidden, classes = cell.recipe.layers

    def needs(width: int, seeds: int) -> Memory:
        narrowed = (pixels, *(min(units, width) for units in hidden), classes)
        return memory(cell.recipe.with_changes(layers=narrowed), seeds)

    width = max(hidden, default=1)
    estimate.refuse(needs, f"the cell {cell}", max_gib, width=width, seeds=len(cell.seeds))
