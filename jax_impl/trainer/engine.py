"""Many runs of one shape as one program: seeds, learning rates, initialisers and data orders.

The runs differ in data only: initial parameters and batch orders (`Draws`), and learning rates. They share layers,
activation, optimizer, batch size and dtype. A single run is a group of one (`one_run`).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int32

from jax_impl.data import Mnist
from jax_impl.draws import Draws, Orders, Shuffles, shuffled
from jax_impl.model import Params
from jax_impl.recipes import Recipe
from jax_impl.train import State, start
from jax_impl.trainer import devices, epochs, estimate
from jax_impl.trainer.devices import DATA
from jax_impl.trainer.progress import EpochOfRuns, Progress, joined
from jax_impl.trainer.segments import segments


def fit_many(
    recipe: Recipe,
    runs: Sequence[Draws],
    mnist: Mnist,
    *,
    learning_rates: Sequence[float] | None = None,
    mesh: Mesh | None = None,
    at_once: int | None = None,
) -> Iterator[tuple[EpochOfRuns, Params]]:
    """Train all runs epoch by epoch; yield each epoch's record and the parameters of all runs after it.

    Each run computes what `train.fit` computes from the same draws: to the last bit on a CPU, and up to the order of
    sums on an accelerator.

    `recipe` is what the runs share; its seed and initialiser are not used. `runs` are the draws of this process's runs,
    those that `devices.local_runs` names. `learning_rates` are one per run; None for the recipe's. Devices of `mesh`
    share the runs; every process must then call this. Without a mesh, the devices of a CPU share them, in a process
    without others. `at_once` runs train at the same time, see `memory.split`; None for all of them, or for one on a
    single CPU device, which gains nothing from more.
    """
    rates = learning_rates or [recipe.learning_rate] * len(runs)
    parts, most = [slice(len(runs))], 1
    if mesh is None and jax.process_count() == 1 and jax.default_backend() == "cpu":
        most = estimate.devices_at_once(recipe)
        parts = even_parts(len(runs), most)
    courses = []
    for part in parts:
        own = mesh if most == 1 else devices.mesh_for_runs(len(runs[part]), most)
        begun = begin(recipe, runs[part], learning_rates=rates[part])
        courses.append(advance(recipe, runs[part], mnist, begun, mesh=own, at_once=at_once))
    for progress in zip(*courses, strict=True):
        params = [one.state.params for one in progress]
        yield (
            joined([one.records[-1] for one in progress]),
            jax.tree.map(lambda *leaves: np.concatenate(leaves), *params),
        )


def even_parts(runs: int, n_devices: int) -> list[slice]:
    """Return the runs that occupy all devices evenly, and the rest, which trains after them."""
    evenly = runs - runs % n_devices
    return [slice(first, end) for first, end in ((0, evenly), (evenly, runs)) if first < end]


def begin(recipe: Recipe, runs: Sequence[Draws], *, learning_rates: Sequence[float] | None = None) -> Progress:
    """Return the progress of runs before their first step. Its state has an axis of runs."""
    rates = [recipe.learning_rate] * len(runs) if learning_rates is None else learning_rates
    # In the host's memory: a device holds only the runs that train at the moment.
    states = [jax.device_get(start(run.params, rate, recipe.optimizer)) for run, rate in zip(runs, rates, strict=True)]
    state = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    return Progress(state=state, losses=np.zeros((len(runs), 0), recipe.dtype))


class _Trained(NamedTuple):
    """One segment of the runs that train at the same time, as NumPy arrays."""

    state: State
    losses: Float[np.ndarray, "runs steps"]
    correct: Int32[np.ndarray, " runs"] | None  # test images, after the last segment of an epoch


def advance(
    recipe: Recipe,
    runs: Sequence[Draws],
    mnist: Mnist,
    since: Progress,
    *,
    mesh: Mesh | None = None,
    at_once: int | None = None,
    every: int | None = None,
) -> Iterator[Progress]:
    """Continue the runs from `since`; yield the progress after each segment of `every` steps, and after each epoch.

    The other arguments are those of `fit_many`. The orders in `runs` must not have been
    advanced: this skips those of the finished epochs.
    """
    images, labels, test_images, test_labels = devices.everywhere(tuple(mnist), mesh)
    for run in runs:
        next(islice(run.orders, len(since.records), len(since.records)), None)  # skips the finished epochs
    size = at_once or (len(runs) if devices.side_by_side(mesh) else 1)
    groups = [slice(first, first + size) for first in range(0, len(runs), size)]
    state: Any = None  # on the devices; it stays there if all runs train at the same time
    progress = since
    while len(progress.records) < recipe.epochs:
        orders: Any = next_orders([run.orders for run in runs])  # (runs, steps, batch)
        for first, end in segments(progress.steps, orders.shape[1], every):
            trained, seconds = [], progress.seconds
            for group in groups:
                if state is None or len(groups) > 1:
                    state = devices.by_run(jax.tree.map(itemgetter(group), progress.state), mesh)
                order = _on_devices(orders[group, first:end], mesh)
                shape: Any = order.shape
                train_steps = epochs.compiled(recipe, state, images.shape, shape, mesh)
                started = time.perf_counter()
                state, losses = train_steps(state, images, labels, order)
                losses = devices.local_rows(losses)  # waits for the devices
                seconds += time.perf_counter() - started
                correct = None
                if end == orders.shape[1]:
                    counted = epochs.count_correct(state.params, test_images, test_labels, recipe.activation, mesh)
                    correct = devices.local_rows(counted)
                trained.append(_Trained(jax.tree.map(devices.local_rows, state), losses, correct))
            progress = _joined(progress, trained, len(mnist.test_labels), seconds)
            yield progress


def _joined(progress: Progress, trained: Sequence[_Trained], n_test: int, seconds: float) -> Progress:
    """Return the progress after a segment of all groups of runs. The epoch's last segment completes a record."""
    found = trained[0]
    if len(trained) > 1:
        found = jax.tree.map(lambda *parts: np.concatenate(parts), *trained)
    assert progress.losses is not None  # noqa: S101 - `begin` sets them
    losses = np.concatenate([progress.losses, found.losses], axis=1)
    if found.correct is None:
        return replace(progress, state=found.state, steps=losses.shape[1], losses=losses, seconds=seconds)
    finite = [np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in jax.tree.leaves(found.state.params)]
    record = EpochOfRuns(
        epoch=len(progress.records) + 1,
        costs=losses.mean(axis=1, dtype=np.float64),
        losses=losses,
        test_accuracies=found.correct / n_test,
        finite=np.isfinite(losses).all(axis=1) & np.all(finite, axis=0),
        seconds=seconds,
    )
    none = losses[:, :0]  # of the next epoch
    return Progress(state=found.state, records=(*progress.records, record), losses=none)


def next_orders(orders: Sequence[Orders]) -> Int32[Array | np.ndarray, "runs steps batch"]:
    """Return the next order of every run. Those of JAX's own generator are drawn together, on the device."""
    shuffles = [one for one in orders if isinstance(one, Shuffles)]
    alike = len({(one.epoch, one.n_images, one.batch_size) for one in shuffles}) == 1
    if len(shuffles) < len(orders) or not alike:
        return np.stack([next(one) for one in orders])
    first = shuffles[0]
    keys = jnp.stack([one.key for one in shuffles])
    draw = jax.vmap(shuffled, in_axes=(0, None, None, None))
    drawn: Array = draw(keys, first.epoch, first.n_images, first.batch_size)
    for one in shuffles:
        one.epoch += 1
    return drawn


def _on_devices(orders: Int32[Array | np.ndarray, "runs steps batch"], mesh: Mesh | None) -> Array:
    if mesh is not None and mesh.shape[DATA] > 1:
        shared: Array = devices.placed(orders, mesh, epochs.batches_spec())
        return shared
    by_run: Array = devices.by_run(orders, mesh)
    return by_run
