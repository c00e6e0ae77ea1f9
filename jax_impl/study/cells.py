"""A cell of a study: one recipe, trained once a seed, and what is kept of it.

Cells of one shape train together, as many runs of one program and over all devices; on a CPU that makes no difference
to a cell's record, on an accelerator but for the order in which sums are taken.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jax_impl.data import Mnist
from jax_impl.draws import START, Draws, look_at, native
from jax_impl.errors import UserError
from jax_impl.model import stacked
from jax_impl.recipes import Recipe
from jax_impl.storage import hardware
from jax_impl.storage.records import Record, plain
from jax_impl.study.propagation import Histogram, Propagation, propagate
from jax_impl.study.saving import Saving
from jax_impl.trainer import devices, ensemble
from jax_impl.trainer.trajectories import EpochOfRuns

PROBED = 500  # test images, the first, on which the propagation is measured
POINTS = 20  # of the loss curve, an epoch
HISTOGRAMS = ("pre_histogram", "histogram", "gradient_histogram")
# Raise it when what a record holds or how it is measured changes: older records are then not taken for it.
VERSION = 3
NAME = "study"  # of the recipes of a grid that names none


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One recipe, trained once a seed."""

    recipe: Recipe
    seeds: tuple[int, ...]

    @property
    def key(self) -> str:
        """What names the cell among the records: it changes with every setting that its result depends on."""
        settings = [VERSION, PROBED, POINTS, START, asdict(self)]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.recipe.layers) - 2

    def __str__(self) -> str:
        """Return what a person calls it."""
        recipe = self.recipe
        init = recipe.init if recipe.name == NAME else f"{recipe.name}, {recipe.init}"
        layers = f"{self.depth} hidden layer{'' if self.depth == 1 else 's'}"
        return f"{init}, {layers}, {recipe.activation}, {recipe.optimizer}"


def run(
    cells: Sequence[Cell],
    mnist: Mnist,
    *,
    max_bytes: float | None = None,
    saving: Saving | None = None,
    log: Callable[[str], None] = lambda text: None,  # noqa: ARG005
) -> list[Record]:
    """Train the seeds of some cells of one shape together; return what each cell gave, as plain data by seed and epoch.

    The `loss` curve has up to `POINTS` points an epoch, each the mean of as many steps. A seed for which the
    initialiser fails has its reason in `not_started`, counts as diverged and is NaN throughout. Where several processes
    take part, each trains its own runs and returns the records of all.

    Args:
        cells: Of one shape: they differ in what is data, initialiser, learning rate and seeds.
        mnist: The data.
        max_bytes: Of a device's memory; None for what it has to give.
        saving: Where the training goes on from, and is saved to; None for neither.
        log: Is told if the runs do not fit the memory together.

    Raises:
        UserError: Not even one run fits the memory, or a checkpoint cannot be written.
        Interrupted: As `saving` says.
    """
    started = time.perf_counter()
    recipes = [cell.recipe.but(seed=seed) for cell in cells for seed in cell.seeds]
    mesh = devices.mesh_for(runs=len(recipes))
    here = [recipes[run] for run in devices.mine(len(recipes), mesh)]
    runs, not_started = zip(*(_drawn(recipe, mnist) for recipe in here), strict=True)
    images, labels = jnp.asarray(mnist.test_images[:PROBED]), jnp.asarray(mnist.test_labels[:PROBED])
    activation = cells[0].recipe.activation
    before = [summary(propagate(stacked([one.params]), images, labels, activation)) for one in runs]
    at_once = _at_once(here, mnist, mesh, max_bytes, log) if here[0].epochs else None
    rates = [recipe.learning_rate for recipe in here]
    begun = ensemble.begin(here[0], runs, learning_rates=rates, mesh=mesh, at_once=at_once)
    course = partial(ensemble.advance, here[0], runs, mnist, mesh=mesh, every=saving.every if saving else None)
    if saving:
        epochs = saving.followed([cell.key for cell in cells], begun, here[0].epochs, course)
    else:
        *_, reached = (begun, *course(begun))
        epochs = reached.epochs
    seconds = sum(epoch.seconds for epoch in epochs) / len(here)
    pieces = [
        _piece(run, epochs) | {"not_started": not_started[run], "propagation": before[run], "training_seconds": seconds}
        for run in range(len(here))
    ]
    pieces = devices.gathered(pieces)[: len(recipes)]
    records = []
    for cell in cells:
        own, pieces = pieces[: len(cell.seeds)], pieces[len(cell.seeds) :]
        share = (time.perf_counter() - started) * len(own) / len(recipes)
        records.append(_record(cell, own, share))
    return records


def _at_once(
    here: Sequence[Recipe], mnist: Mnist, mesh: Mesh | None, max_bytes: float | None, log: Callable[[str], None]
) -> int:
    """Return how many of this process's runs train at a time, and tell if the memory does not hold all."""
    plan = ensemble.split(here[0], len(here), mnist, mesh=mesh, max_bytes=max_bytes)
    if plan.at_once < plan.runs and devices.side_by_side(mesh):
        log(str(plan))
    return int(min(devices.gathered([plan.at_once])))  # hosts may have unlike memories, and must do the same


def _piece(run: int, epochs: Sequence[EpochOfRuns]) -> dict[str, Any]:
    """Return what the epochs gave in one run."""
    finite = [bool(epoch.finite[run]) for epoch in epochs]
    return {
        "cost": plain(np.array([epoch.costs[run] for epoch in epochs])),
        "loss": [value for epoch in epochs for value in plain(means(epoch.losses[run : run + 1])[0])],
        "test_accuracy": plain(np.array([epoch.test_accuracies[run] for epoch in epochs])),
        "diverged_in": None if all(finite) else finite.index(False) + 1,
    }


def _record(cell: Cell, pieces: Sequence[dict[str, Any]], seconds: float) -> Record:
    """Put the runs of a cell together."""
    by_seed = {name: [piece[name] for piece in pieces] for name in pieces[0]}
    return by_seed | {
        "key": cell.key,
        "recipe": asdict(cell.recipe) | {"layers": list(cell.recipe.layers)},
        "seeds": list(cell.seeds),
        "propagation": _joined(by_seed["propagation"]),
        "training_seconds": sum(by_seed["training_seconds"]),
        "seconds": seconds,
        "made": hardware.now(),
        "where": hardware.line(),
    }


def _drawn(recipe: Recipe, mnist: Mnist) -> tuple[Draws, str | None]:
    """Return a run's draws, and why there are none: lsuv cannot scale a layer whose units are all off."""
    draws, reason = native(recipe, len(mnist.train_images)), None
    try:
        draws = look_at(mnist.train_images, recipe, draws)
    except UserError as error:
        nothing = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), draws.params)
        draws, reason = draws._replace(params=nothing), str(error)
    return draws._replace(params=jax.device_get(draws.params)), reason  # a device holds only what trains there


def means(losses: np.ndarray, points: int = POINTS) -> np.ndarray:
    """Return (runs, steps) as (runs, points): the means of blocks of steps, whose lengths differ by at most 1."""
    blocks = np.array_split(losses, min(points, losses.shape[1]), axis=1)
    return np.stack([block.mean(axis=1, dtype=np.float64) for block in blocks], axis=1)


def summary(found: Propagation) -> dict[str, Any]:
    """Return what a report draws of a propagation, by seed and layer.

    Of the Jacobians the mean singular value is left, of the histograms the first seed's of the pre-activations.
    """
    columns = found.measured._asdict()
    measured = {name: plain(values) for name, values in columns.items() if name not in {"jacobian", *HISTOGRAMS}}
    measured["pre_histogram"] = plain(Histogram(*(np.asarray(part)[0] for part in found.measured.pre_histogram)))
    jacobian = np.stack([values.mean(axis=(1, 2)) for values in found.measured.jacobian], axis=1)
    return {"measured": measured | {"jacobian": plain(jacobian)}, "predicted": plain(found.predicted)}


def _joined(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the summary of all seeds from those of one each."""
    first = summaries[0]
    histogram = {"pre_histogram": first["measured"]["pre_histogram"]}

    def in_a_row(*seeds: list[Any]) -> list[Any]:
        return [value for one in seeds for value in one]

    joined: dict[str, Any] = jax.tree.map(in_a_row, *summaries, is_leaf=lambda value: isinstance(value, list))
    return joined | {"measured": joined["measured"] | histogram}
