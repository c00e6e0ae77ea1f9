"""Many runs of one shape as one program: seeds, learning rates, initialisers, sizes of the start and data orders.

What differs from run to run is data: its initial parameters and batch orders (`Draws`) and its learning rate. The runs
of a program share layers, activation, optimizer, batch size and dtype.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float

from jax_impl.data import Mnist
from jax_impl.draws import Draws, Stream, look_at, native, next_of_all
from jax_impl.errors import ArgumentError, UserError
from jax_impl.model import Params
from jax_impl.recipes import Recipe
from jax_impl.train import compiled_epoch, count_correct, start
from jax_impl.trainer import devices, segments
from jax_impl.trainer.trajectories import EpochOfRuns, Reached

GIB = 2**30
SHARE = 0.8  # of a device's memory: the rest is for the test images, the results, and whoever else computes there
TESTED_AT_ONCE = 16  # runs, on an accelerator: what 10,000 test images need is not what a batch needs


class Split(NamedTuple):
    """How many of a process's runs train at a time, so that its devices' memory holds them."""

    runs: int
    at_once: int
    bytes: int  # on each device, as XLA plans

    def __str__(self) -> str:
        """Return what a person is told."""
        return f"{self.runs} runs train {self.at_once} at a time, in {self.bytes / GIB:.2g} GiB of each device's memory"


def drawn(recipe: Recipe, seeds: Sequence[int], mnist: Mnist) -> list[Draws]:
    """Return each seed's initial parameters and batch orders, those of `train --stream jax --seed …`.

    Raises:
        ArgumentError: There is no seed, or one twice; or as `draws.native`.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ArgumentError(f"seeds must be one or more, all different, got {list(seeds)}")
    recipes = [recipe.but(seed=seed) for seed in seeds]
    return [look_at(mnist.train_images, one, native(one, len(mnist.train_images))) for one in recipes]


def scaled(run: Draws, factor: float) -> Draws:
    """Return the run from kernels `factor` times as large; the biases stay."""
    layers = {name: layer | {"kernel": layer["kernel"] * factor} for name, layer in run.params.items()}
    return run._replace(params=layers)


def split(
    recipe: Recipe, runs: int, mnist: Mnist, *, mesh: Mesh | None = None, max_bytes: float | None = None
) -> Split:
    """Return how many of this process's `runs` fit at a time, from the memory that XLA plans for their program.

    Raises:
        UserError: Not even one run a device fits.
    """
    here = 1 if mesh is None else len(devices.mine(mesh.shape[devices.RUNS], mesh))  # devices
    shared = len(jax.local_devices()) if jax.default_backend() == "cpu" else 1  # by how many a memory is shared
    allowed = SHARE * devices.memory() / shared if max_bytes is None else max_bytes
    steps = len(mnist.train_images) // recipe.batch_size
    share = -(-runs // here) if devices.side_by_side(mesh) else 1  # on each device
    while True:
        order_shape = ((share if mesh is None else share * mesh.shape[devices.RUNS]), steps, recipe.batch_size)
        planned: Any = compiled_epoch(
            recipe.layers,
            recipe.dtype,
            mnist.train_images.shape,
            order_shape,
            recipe.activation,
            recipe.optimizer,
            mesh,
        ).memory_analysis()
        needed = planned.argument_size_in_bytes + planned.temp_size_in_bytes + planned.output_size_in_bytes
        needed -= planned.alias_size_in_bytes
        if needed <= allowed:
            return Split(runs, min(share * here, runs), needed)
        if share == 1:
            raise UserError(
                f"one run of {recipe.name} would take {needed / GIB:.3g} GiB of a device's memory, more than the "
                f"{allowed / GIB:.3g} GiB that it has to give: take a smaller network or batch"
            )
        share = max(1, min(share - 1, int(share * allowed / needed)))


def fit_many(
    recipe: Recipe,
    runs: Sequence[Draws],
    mnist: Mnist,
    *,
    learning_rates: Sequence[float] | None = None,
    mesh: Mesh | None = None,
    at_once: int | None = None,
) -> Iterator[tuple[EpochOfRuns, Params]]:
    """Train all runs epoch by epoch; each yields its record and the parameters of all runs after it.

    Every run is what `train.fit` makes of the same draws: on a CPU to the last bit, on an accelerator but for the order
    in which sums are taken.

    Args:
        recipe: What the runs have in common; its seed and initialiser have done their work in `runs`.
        runs: Of this process: those that `devices.mine` names.
        mnist: The data.
        learning_rates: Of each run; None for the recipe's.
        mesh: Over whose axis `runs` the runs are shared out; then every process calls this.
        at_once: How many train at a time, the others waiting in the host's memory; None for all, but on one CPU, where
            nothing is gained by it, for one. See `split`.
    """
    begun = begin(recipe, runs, learning_rates=learning_rates, mesh=mesh, at_once=at_once)
    for reached in advance(recipe, runs, mnist, begun, mesh=mesh):
        yield reached.epochs[-1], reached.params


def begin(
    recipe: Recipe,
    runs: Sequence[Draws],
    *,
    learning_rates: Sequence[float] | None = None,
    mesh: Mesh | None = None,
    at_once: int | None = None,
) -> Reached:
    """Return where the runs begin; the arguments are those of `fit_many`."""
    rates = [recipe.learning_rate] * len(runs) if learning_rates is None else learning_rates
    # All in the host's memory: a device is to hold no more than trains there at a time.
    states = [jax.device_get(start(run.params, rate, recipe.optimizer)) for run, rate in zip(runs, rates, strict=True)]
    size = at_once or (len(runs) if devices.side_by_side(mesh) else 1)
    parts = [states[first : first + size] for first in range(0, len(runs), size)]
    together = [jax.tree.map(lambda *leaves: np.stack(leaves), *part) for part in parts]
    return Reached(together, _where(runs), (), np.zeros((len(runs), 0), recipe.dtype), 0.0)


def advance(
    recipe: Recipe,
    runs: Sequence[Draws],
    mnist: Mnist,
    since: Reached,
    *,
    mesh: Mesh | None = None,
    every: int | None = None,
) -> Iterator[Reached]:
    """Train as `fit_many` does, from where `since` says; yield also within an epoch, where `cuts` says."""
    images, labels = devices.everywhere((mnist.train_images, mnist.train_labels), mesh)
    test_images, test_labels = devices.everywhere((mnist.test_images, mnist.test_labels), mesh)
    for run, stream in zip(runs, since.streams, strict=True):
        if isinstance(run.orders, Stream):
            run.orders.go_to(stream)
    states, streams, epochs, losses, seconds = since
    waiting = list(states)
    sizes = [len(jax.tree.leaves(state)[0]) for state in waiting]
    parts = [slice(sum(sizes[:place]), sum(sizes[: place + 1])) for place in range(len(sizes))]
    on_device: Any = None  # the state of the only part stays there from epoch to epoch
    orders: dict[int, Any] = {}  # of the parts, while an epoch is under way: in the host's memory
    while len(epochs) < recipe.epochs:
        first, found, tested = losses.shape[1], [], []
        for place, part in enumerate(parts):
            order = orders.pop(place) if place in orders else next_of_all([run.orders for run in runs[part]])
            steps = order.shape[1]  # of (runs, steps, batch)
            last = segments.end(first, steps, every)
            if last < steps:
                orders[place] = order = np.asarray(order)
            batches = devices.by_run(order if last - first == steps else order[:, first:last], mesh)
            train_steps = compiled_epoch(
                recipe.layers, recipe.dtype, images.shape, batches.shape, recipe.activation, recipe.optimizer, mesh
            )
            state = devices.by_run(waiting[place], mesh) if on_device is None else on_device
            started = time.perf_counter()
            state, of_steps = train_steps(state, images, labels, batches)
            found.append(devices.rows(of_steps))  # waits for the device
            seconds += time.perf_counter() - started
            waiting[place] = jax.tree.map(devices.rows, state)
            if last == steps:
                correct = devices.rows(_count_all(state.params, test_images, test_labels, recipe.activation, mesh))
                tested.append((correct, _all_finite(waiting[place].params)))
            on_device = state if len(parts) == 1 else None
        losses = np.concatenate([losses, np.concatenate(found)], axis=1)
        if tested:
            correct, finite = (np.concatenate(rows) for rows in zip(*tested, strict=True))
            epochs = (*epochs, _record(len(epochs) + 1, losses, correct / len(test_labels), finite, seconds))
            streams, losses, seconds = _where(runs), losses[:, :0], 0.0
        yield Reached(list(waiting), streams, epochs, losses, seconds)


def _record(
    epoch: int,
    losses: Float[np.ndarray, "runs steps"],
    accuracies: Float[np.ndarray, " runs"],
    finite: Bool[np.ndarray, " runs"],
    seconds: float,
) -> EpochOfRuns:
    """Return what an epoch gave."""
    return EpochOfRuns(
        epoch=epoch,
        costs=losses.mean(axis=1, dtype=np.float64),
        losses=losses,
        test_accuracies=accuracies,
        finite=np.isfinite(losses).all(axis=1) & finite,
        seconds=seconds,
    )


def _where(runs: Sequence[Draws]) -> list[dict[str, np.ndarray]]:
    """Return where each run's orders are, if they can tell."""
    return [run.orders.state() if isinstance(run.orders, Stream) else {} for run in runs]


@partial(jax.jit, static_argnames=("activation", "mesh"))
def _count_all(params: Params, images: Array, labels: Array, activation: str, mesh: Mesh | None) -> Array:
    """Return how many test images each run gets right."""

    def count(params: Params, images: Array, labels: Array) -> Any:
        at_once = None if jax.default_backend() == "cpu" else TESTED_AT_ONCE
        return jax.lax.map(lambda one: count_correct(one, images, labels, activation), params, batch_size=at_once)

    by_run, everywhere = PartitionSpec(devices.RUNS), PartitionSpec()
    correct: Array = devices.sharded(count, mesh, (by_run, everywhere, everywhere), by_run)(params, images, labels)
    return correct


def _all_finite(params: Params) -> Bool[np.ndarray, " runs"]:
    """Return for each run whether all of its parameters are numbers."""
    leaves = [np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in jax.tree.leaves(params)]
    return np.asarray(np.all(leaves, axis=0))
