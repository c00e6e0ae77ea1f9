"""A cell of a study: one recipe, trained once per seed, and the record of it.

Cells of one shape train together on all devices. A CPU gives each cell the same record as alone; on an accelerator only
the order of sums differs.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jax_impl.data import Mnist
from jax_impl.draws import Draws, native
from jax_impl.errors import UserError
from jax_impl.recipes import Recipe
from jax_impl.starts import from_images
from jax_impl.storage import hardware
from jax_impl.storage.records import Record, plain
from jax_impl.study.propagation import Histogram, Propagation, propagate
from jax_impl.study.saving import Session
from jax_impl.trainer import devices, engine, estimate, memory, processes
from jax_impl.trainer.progress import EpochOfRuns
from jax_impl.trainer.trees import stacked

PROBED = 500  # first test images, on which propagation is measured
POINTS = 20  # of the loss curve, per epoch
# Increase it when the content of a record or its measurement changes: older records are then not used.
VERSION = 3
NAME = "study"  # the name of a grid's recipes, unless the grid names recipes


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One recipe, trained once per seed."""

    recipe: Recipe
    seeds: tuple[int, ...]

    @property
    def key(self) -> str:
        """The key of the cell's record. It changes with every setting that the result depends on."""
        settings = [VERSION, PROBED, POINTS, from_images.DEPENDS_ON, asdict(self)]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.recipe.layers) - 2

    def __str__(self) -> str:
        """Return the cell's settings in words."""
        recipe = self.recipe
        return f"{label(asdict(recipe))}, {layers_text(self.depth)}, {recipe.activation}, {recipe.optimizer}"


def label(recipe: Mapping[str, Any]) -> str:
    """Return the initialiser of a recipe, given as plain data, with the recipe's name if the grid named it."""
    return str(recipe["init"]) if recipe["name"] == NAME else f"{recipe['name']}, {recipe['init']}"


def layers_text(depth: int) -> str:
    """Return the number of hidden layers in words."""
    return f"{depth} hidden layer{'' if depth == 1 else 's'}"


def run(cells: Sequence[Cell], mnist: Mnist, session: Session | None = None) -> list[Record]:
    """Train the seeds of cells of one shape together; return each cell's record, as plain data by seed and epoch.

    The cells differ in initialiser, learning rate and seeds only. The `loss` curve has up to `POINTS` points per epoch,
    each the mean of equally many steps. If the initialiser fails for a seed, `not_started` holds the reason; the seed
    counts as diverged and all its numbers are NaN. With several processes, each trains its own runs and returns the
    records of all. Without a `session` nothing is saved.

    Raises:
        UserError: Not even one run fits into the memory, or a checkpoint cannot be written.
        Interrupted: The session was asked to stop.
    """
    started = time.perf_counter()
    recipes = [cell.recipe.with_changes(seed=seed) for cell in cells for seed in cell.seeds]
    mesh = devices.mesh_for_runs(len(recipes), estimate.devices_at_once(recipes[0]))
    local = [recipes[run] for run in devices.local_runs(len(recipes), mesh)]
    draws, not_started = zip(*(_draws(recipe, mnist) for recipe in local), strict=True)
    images, labels = jnp.asarray(mnist.test_images[:PROBED]), jnp.asarray(mnist.test_labels[:PROBED])
    activation = cells[0].recipe.activation
    before = [summary(propagate(stacked([of_run.params]), images, labels, activation)) for of_run in draws]
    epochs = _train(local, draws, mnist, mesh, [cell.key for cell in cells], session)
    seconds = sum(epoch.seconds for epoch in epochs) / len(local)
    results = [
        _by_epoch(run, epochs)
        | {"not_started": not_started[run], "propagation": before[run], "training_seconds": seconds}
        for run in range(len(local))
    ]
    results = processes.gathered(results)[: len(recipes)]
    per_run = (time.perf_counter() - started) / len(recipes)
    of_runs = iter(results)
    return [_record(cell, list(islice(of_runs, len(cell.seeds))), per_run) for cell in cells]


def _train(
    recipes: Sequence[Recipe],
    draws: Sequence[Draws],
    mnist: Mnist,
    mesh: Mesh | None,
    keys: Sequence[str],
    session: Session | None,
) -> Sequence[EpochOfRuns]:
    """Train this process's runs and return the records of their epochs."""
    shared = recipes[0]
    begun = engine.begin(shared, draws, learning_rates=[recipe.learning_rate for recipe in recipes])
    if not shared.epochs:
        return ()
    max_bytes, every = (session.max_bytes, session.every) if session else (None, None)
    plan = memory.split(shared, begun.state, mnist, mesh=mesh, max_bytes=max_bytes)
    if session and plan.at_once < plan.runs and devices.side_by_side(mesh):
        session.log(str(plan))
    at_once = int(min(processes.gathered([plan.at_once])))  # hosts with different memories must do the same
    advance = partial(engine.advance, shared, draws, mnist, mesh=mesh, at_once=at_once, every=every)
    if session is None:
        *_, last = advance(begun)
        return last.records
    steps = len(mnist.train_images) // shared.batch_size
    return session.train(keys, begun, advance, epochs=shared.epochs, steps=steps)


def _by_epoch(run: int, epochs: Sequence[EpochOfRuns]) -> dict[str, Any]:
    """Return the numbers of one run, by epoch."""
    finite = [bool(epoch.finite[run]) for epoch in epochs]
    return {
        "cost": plain(np.array([epoch.costs[run] for epoch in epochs])),
        "loss": [value for epoch in epochs for value in plain(means(epoch.losses[run : run + 1])[0])],
        "test_accuracy": plain(np.array([epoch.test_accuracies[run] for epoch in epochs])),
        "diverged_in": None if all(finite) else finite.index(False) + 1,
    }


def _record(cell: Cell, results: Sequence[dict[str, Any]], seconds: float) -> Record:
    """Return the record of a cell from the results of its runs, each of which took these seconds."""
    by_seed = {name: [result[name] for result in results] for name in results[0]}
    return by_seed | {
        "key": cell.key,
        "recipe": asdict(cell.recipe) | {"layers": list(cell.recipe.layers)},
        "seeds": list(cell.seeds),
        "propagation": _joined(by_seed["propagation"]),
        "training_seconds": sum(by_seed["training_seconds"]),
        "seconds": seconds * len(results),
        "made": hardware.now(),
        "where": hardware.line(),
    }


def _draws(recipe: Recipe, mnist: Mnist) -> tuple[Draws, str | None]:
    """Return a run's draws. If its initialiser fails, as lsuv does for dead layers, return NaN and the reason."""
    draws, reason = native(recipe, len(mnist.train_images)), None
    try:
        draws = from_images.start_from_images(mnist.train_images, recipe, draws)
    except UserError as error:
        nans = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), draws.params)
        draws, reason = draws._replace(params=nans), str(error)
    return draws._replace(params=jax.device_get(draws.params)), reason  # a device holds only the runs that train


def means(losses: np.ndarray, points: int = POINTS) -> np.ndarray:
    """Reduce losses (runs, steps) to (runs, points): means of blocks of steps whose lengths differ by at most 1."""
    blocks = np.array_split(losses, min(points, losses.shape[1]), axis=1)
    return np.stack([block.mean(axis=1, dtype=np.float64) for block in blocks], axis=1)


def summary(propagation: Propagation) -> dict[str, Any]:
    """Return the part of a propagation that a record holds, as plain data by seed and layer.

    The Jacobian is reduced to its mean singular value. Only the pre-activations of the first seed have a histogram.
    """
    signal = propagation.measured
    measured = signal._asdict() | {
        "pre_histogram": Histogram(*(part[0] for part in signal.pre_histogram)),
        "jacobian": np.stack([values.mean(axis=(1, 2)) for values in signal.jacobian], axis=1),
    }
    measured = {name: plain(values) for name, values in measured.items()}
    return {"measured": measured, "predicted": plain(propagation.predicted)}


def _joined(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the summary of several seeds from those of single seeds."""
    joined: dict[str, Any] = jax.tree.map(
        lambda *seeds: list(chain(*seeds)), *summaries, is_leaf=lambda value: isinstance(value, list)
    )
    joined["measured"]["pre_histogram"] = summaries[0]["measured"]["pre_histogram"]
    return joined
