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

import jax.numpy as jnp
import numpy as np

from jax_impl import ensemble, initializers, recipes, records
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, unknown_name
from jax_impl.model import stacked
from jax_impl.propagation import Histogram, Propagation, propagate
from jax_impl.recipes import NAMES, Recipe
from jax_impl.records import Record, plain

RECORDS = "cells.jsonl"
PROBED = 500  # test images, the first, on which the propagation is measured
POINTS = 20  # of the loss curve, an epoch
LEARNING_RATES = {"adam": 1e-3, "sgd": 1e-2}  # the notebook's, and the one at which depth tells initialisers apart


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One recipe, trained once a seed."""

    recipe: Recipe
    seeds: tuple[int, ...]

    @property
    def key(self) -> str:
        """What names the cell among the records: it changes with anything that changes its result."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.recipe.layers) - 2

    def __str__(self) -> str:
        """Return what a person calls it."""
        recipe = self.recipe
        layers = f"{self.depth} hidden layer{'' if self.depth == 1 else 's'}"
        return f"{recipe.init}, {layers}, {recipe.activation}, {recipe.optimizer}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The axes of a study; the defaults ask which of eight initialisers carries a ReLU network of which depth.

    Raises:
        ArgumentError: An axis is empty, or a value lies outside what is allowed.
    """

    recipes: tuple[str, ...] = (recipes.DEFAULT,)  # where batch size, biases and dtype come from
    inits: tuple[str, ...] = (
        "zeros", "small_normal", "normal", "linear_default", "xavier_normal", "kaiming_normal", "orthogonal", "lsuv",
    )  # fmt: skip
    depths: tuple[int, ...] = (2, 10, 30)  # hidden layers
    activations: tuple[str, ...] = ("relu",)
    optimizers: tuple[str, ...] = ("sgd",)
    width: int = 128  # units of a hidden layer
    seeds: int = 3
    first_seed: int = 0
    epochs: int = 3  # 0: only what signal and gradient do before training
    bias_init: str = "zeros"  # as in the papers, so that the kernels alone decide
    learning_rate: float | None = None  # None: by optimizer, `LEARNING_RATES`

    def __post_init__(self) -> None:
        for axis in ("recipes", "inits", "depths", "activations", "optimizers"):
            if not getattr(self, axis):
                raise ArgumentError(f"{axis} must name at least one, got none")
        for name, least in (("depths", 1), ("width", 1), ("seeds", 1), ("epochs", 0)):
            values = getattr(self, name)
            if min(values if isinstance(values, tuple) else (values,)) < least:
                raise ArgumentError(f"{name} must be an integer >= {least}, got {values}")
        for field, values in (("activation", self.activations), ("optimizer", self.optimizers)):
            for value in values:
                if value not in NAMES[field]:
                    raise unknown_name(field, value, NAMES[field])
        for init in self.inits:
            initializers.named(init, self.bias_init)

    def cells(self) -> list[Cell]:
        """Return the cells, the deep ones last, so that the first results come soon."""
        seeds = tuple(range(self.first_seed, self.first_seed + self.seeds))
        axes = product(self.depths, self.recipes, self.activations, self.optimizers, self.inits)
        return [
            Cell(recipe=self._recipe(name, init, depth, activation, optimizer), seeds=seeds)
            for depth, name, activation, optimizer, init in axes
        ]

    def _recipe(self, name: str, init: str, depth: int, activation: str, optimizer: str) -> Recipe:
        base = recipes.named(name)
        return base.but(
            layers=(base.layers[0], *[self.width] * depth, base.layers[-1]),
            init=init,
            bias_init=self.bias_init,
            activation=activation,
            optimizer=optimizer,
            learning_rate=LEARNING_RATES[optimizer] if self.learning_rate is None else self.learning_rate,
            epochs=self.epochs,
            seed=self.first_seed,
        )


def run(cell: Cell, mnist: Mnist) -> Record:
    """Train the cell's seeds together and return what they gave, as plain data by seed and epoch.

    The `loss` curve has up to `POINTS` points an epoch, each the mean of as many steps.
    """
    started = time.perf_counter()
    runs = ensemble.drawn(cell.recipe, cell.seeds, mnist)
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
        "diverged_in": [None if row.all() else int(np.argmin(row)) + 1 for row in finite],
        "propagation": summary(before),
        "training_seconds": sum(epoch.seconds for epoch in epochs),
        "seconds": time.perf_counter() - started,
    }


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

    Of the Jacobians the mean singular value is left, of the histograms those of the first seed.
    """
    measured = {
        name: plain(Histogram(*(np.asarray(part)[0] for part in values)) if isinstance(values, Histogram) else values)
        for name, values in found.measured._asdict().items()
        if name != "jacobian"
    }
    jacobian = np.stack([values.mean(axis=(1, 2)) for values in found.measured.jacobian], axis=1)
    return {"measured": measured | {"jacobian": plain(jacobian)}, "predicted": plain(found.predicted)}
