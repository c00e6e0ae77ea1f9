"""A grid of experiments, cell by cell: initialiser × depth × activation × optimizer, each trained from several seeds.

A cell is one recipe and its seeds; its record holds what every seed's every epoch gave, and what signal and gradient
did before the first step. Records are kept in `cells.jsonl`, one line a cell, so that a study goes on where it was
stopped.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl import ensemble, initializers, machine, recipes, records
from jax_impl.data import Mnist
from jax_impl.draws import START, Draws, look_at, native
from jax_impl.errors import ArgumentError, UserError, unknown_name
from jax_impl.model import stacked
from jax_impl.propagation import Histogram, Propagation, propagate
from jax_impl.recipes import NAMES, Recipe
from jax_impl.records import Record, plain

RECORDS = "cells.jsonl"
PROBED = 500  # test images, the first, on which the propagation is measured
POINTS = 20  # of the loss curve, an epoch
HISTOGRAMS = ("pre_histogram", "histogram", "gradient_histogram")
LEARNING_RATES = {"adam": 1e-3, "sgd": 1e-2}  # the notebook's, and the one at which depth tells initialisers apart


# Raise it when what a record holds or how it is measured changes: older records are then not taken for it.
VERSION = 2
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


# The default grid: which of eight initialisers carries a ReLU network of which depth?
AXES: dict[str, Any] = {
    "inits": (
        "zeros", "small_normal", "normal", "linear_default", "xavier_normal", "kaiming_normal", "orthogonal", "lsuv",
    ),
    "depths": (2, 10, 30),
    "activations": ("relu",),
    "optimizers": ("sgd",),
    "width": 128,
    "epochs": 3,
    "bias_init": "zeros",  # as in the papers, so that the kernels alone decide
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The axes of a study. What is None is that of `AXES`, or of each recipe where recipes are named.

    Raises:
        ArgumentError: An axis is empty, or a value lies outside what is allowed.
    """

    recipes: tuple[str, ...] = ()
    inits: tuple[str, ...] | None = None
    depths: tuple[int, ...] | None = None  # hidden layers
    activations: tuple[str, ...] | None = None
    optimizers: tuple[str, ...] | None = None
    width: int | None = None  # units of a hidden layer
    seeds: int = 3
    first_seed: int = 0
    epochs: int | None = None  # 0: only what signal and gradient do before training
    bias_init: str | None = None
    learning_rate: float | None = None  # None: `LEARNING_RATES`, or the recipe's where no optimizer is named either

    def __post_init__(self) -> None:
        for axis in ("inits", "depths", "activations", "optimizers"):
            if getattr(self, axis) == ():
                raise ArgumentError(f"{axis} must name at least one, got none")
        for name, least in (("depths", 1), ("width", 1), ("seeds", 1), ("epochs", 0)):
            values = getattr(self, name)
            if values is not None and min(values if isinstance(values, tuple) else (values,)) < least:
                raise ArgumentError(f"{name} must be an integer >= {least}, got {values}")
        for field, values in (("activation", self.activations), ("optimizer", self.optimizers)):
            for value in values or ():
                if value not in NAMES[field]:
                    raise unknown_name(field, value, NAMES[field])

    def cells(self) -> list[Cell]:
        """Return the cells, each once, the deep ones last, so that the first results come soon."""
        seeds = tuple(range(self.first_seed, self.first_seed + self.seeds))
        bases = [recipes.named(name) for name in self.recipes] or [Recipe(name=NAME)]
        axes = product(self._axis("depths"), bases, *map(self._axis, ("activations", "optimizers", "inits")))
        cells = [Cell(recipe=self._recipe(*place), seeds=seeds) for place in axes]
        return list({cell.key: cell for cell in cells}.values())

    def _axis(self, name: str) -> Any:
        """Return what was given, else the default grid's, or None, which keeps each named recipe's own."""
        given = getattr(self, name)
        if given is not None:
            return given
        if not self.recipes:
            return AXES[name]
        return (None,) if isinstance(AXES[name], tuple) else None

    def _recipe(
        self, depth: int | None, base: Recipe, activation: str | None, optimizer: str | None, init: str | None
    ) -> Recipe:
        rate = self.learning_rate
        if rate is None and optimizer is not None:
            rate = LEARNING_RATES[optimizer]
        recipe = base.but(
            layers=_layers(base.layers, depth, self._axis("width")),
            init=init,
            bias_init=self._axis("bias_init"),
            activation=activation,
            optimizer=optimizer,
            learning_rate=rate,
            epochs=self._axis("epochs"),
            seed=self.first_seed,
        )
        initializers.named(recipe.init, recipe.bias_init)
        return recipe


def _layers(layers: tuple[int, ...], depth: int | None, width: int | None) -> tuple[int, ...]:
    """Return the layers with so many hidden ones, of the width that is given or of the first one's."""
    if depth is None and width is None:
        return layers
    hidden = len(layers) - 2 if depth is None else depth
    return (layers[0], *[layers[1] if width is None else width] * hidden, layers[-1])


def run(cell: Cell, mnist: Mnist) -> Record:
    """Train the cell's seeds together and return what they gave, as plain data by seed and epoch.

    The `loss` curve has up to `POINTS` points an epoch, each the mean of as many steps. A seed for which the
    initialiser fails has its reason in `not_started`, counts as diverged and is NaN throughout.
    """
    started = time.perf_counter()
    runs, not_started = _drawn(cell, mnist)
    images, labels = jnp.asarray(mnist.test_images[:PROBED]), jnp.asarray(mnist.test_labels[:PROBED])
    before = propagate(stacked([one.params for one in runs]), images, labels, cell.recipe.activation)
    epochs = [epoch for epoch, _ in ensemble.fit_many(cell.recipe, runs, mnist)]

    def by_epoch(columns: Sequence[Any]) -> np.ndarray:
        return np.stack([np.empty(0)] * len(cell.seeds)) if not columns else np.stack(columns, axis=1)

    finite = by_epoch([epoch.finite for epoch in epochs]).astype(bool)  # (seeds, epochs)
    return {
        "key": cell.key,
        "recipe": asdict(cell.recipe) | {"layers": list(cell.recipe.layers)},
        "seeds": list(cell.seeds),
        "cost": plain(by_epoch([epoch.costs for epoch in epochs])),
        "loss": plain(by_epoch([means(epoch.losses) for epoch in epochs]).reshape(len(runs), -1)),
        "test_accuracy": plain(by_epoch([epoch.test_accuracies for epoch in epochs])),
        "not_started": not_started,
        "diverged_in": [None if row.all() else int(np.argmin(row)) + 1 for row in finite],
        "propagation": summary(before),
        "training_seconds": sum(epoch.seconds for epoch in epochs),
        "seconds": time.perf_counter() - started,
        "made": machine.now(),
        "where": machine.line(),
    }


def _drawn(cell: Cell, mnist: Mnist) -> tuple[list[Draws], list[str | None]]:
    """Return each seed's draws, and why there are none: lsuv cannot scale a layer whose units are all off."""
    runs, reasons = [], []
    for seed in cell.seeds:
        recipe, reason = cell.recipe.but(seed=seed), None
        draws = native(recipe, len(mnist.train_images))
        try:
            draws = look_at(mnist.train_images, recipe, draws)
        except UserError as error:
            reason = str(error)
            draws = draws._replace(params=jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), draws.params))
        runs.append(draws)
        reasons.append(reason)
    return runs, reasons


def go_on(cells: Sequence[Cell], mnist: Mnist, out: Path) -> Iterator[tuple[Cell, Record, bool]]:
    """Run the cells that `out` has no record of; each yields its record and whether it had been there.

    Raises:
        UserError: The records cannot be read or written.
    """
    kept = records.load(out / RECORDS)
    for cell in cells:
        known = cell.key in kept
        if not known:
            kept[cell.key] = run(cell, mnist)
            records.add(out / RECORDS, kept[cell.key])
        yield cell, kept[cell.key], known


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
