"""One run that can be saved, resumed, and shared by several devices: `train.fit` with more around it."""

from collections.abc import Iterator
from dataclasses import replace

import jax
import numpy as np
from jax.sharding import Mesh

from jax_impl import train
from jax_impl.data import Mnist
from jax_impl.draws import Draws
from jax_impl.recipes import Recipe
from jax_impl.storage.checkpoints import Checkpoint
from jax_impl.trainer import engine
from jax_impl.trainer.progress import EpochOfRuns, Progress, from_first_process, unpack


def advance(
    recipe: Recipe,
    mnist: Mnist,
    draws: Draws,
    since: Progress | None = None,
    *,
    mesh: Mesh | None = None,
    every: int | None = None,
) -> Iterator[Progress]:
    """Train one run; yield its progress after each epoch, with `train.EpochRecord`s and a state of one run.

    From the beginning, without `mesh` and `every`, this is `train.fit`. On one device the bits are always the same.
    `draws` has fresh orders, also if `since` is where to continue, as `begin` returns it. The devices of `mesh` share
    each batch. With `every`, the progress within an epoch is yielded, too, as `segments` divides it.

    Raises:
        DivergedError: A loss or a parameter is not finite. What was yielded before stays valid.
    """
    resumed = since is not None and (since.records or since.steps)
    if not resumed and mesh is None and every is None:
        yield from _fit(recipe, mnist, draws)
        return
    since = since or begin(recipe, draws)
    records = since.records
    for progress in engine.advance(recipe, [draws], mnist, since, mesh=mesh, every=every):
        losses, epoch = progress.losses, len(records) + 1
        if not progress.steps:
            of_runs: EpochOfRuns = progress.records[-1]
            records, losses = (*records, of_runs.of_run(0)), of_runs.losses
        assert losses is not None  # noqa: S101 - the engine sets them
        train.check_finite(epoch, losses[0], progress.state.params, recipe.learning_rate)
        yield replace(progress, records=records)


def begin(recipe: Recipe, draws: Draws, saved: Checkpoint | None = None) -> Progress:
    """Return the progress before the first step, or that of a checkpoint.

    Every process must call this; the first process's checkpoint counts.
    """
    initial = engine.begin(recipe, [draws])
    since = None if saved is None else unpack(*saved, like=initial.state, record=train.EpochRecord)
    return from_first_process(since, initial.state, train.EpochRecord) or initial


def _fit(recipe: Recipe, mnist: Mnist, draws: Draws) -> Iterator[Progress]:
    records: tuple[train.EpochRecord, ...] = ()
    for record, state in train.fit(recipe, mnist, draws):
        records = (*records, record)
        state = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
        yield Progress(state=state, records=records, losses=np.zeros((1, 0), recipe.dtype))
