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

from jax_impl import ensemble, files, initializers, recipes
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, UserError, unknown_name
from jax_impl.model import stacked
from jax_impl.propagation import Propagation, propagate
from jax_impl.recipes import NAMES, Recipe

RECORDS = "cells.jsonl"
PROBED = 500  # test images, the first, on which the propagation is measured
LEARNING_RATES = {"adam": 1e-3, "sgd": 1e-2}  # the notebook's, and the one at which depth tells initialisers apart

Record = dict[str, Any]


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
        return f"{recipe.init}, {self.depth} hidden layers, {recipe.activation}, {recipe.optimizer}"


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
    epochs: int = 2
    bias_init: str = "zeros"  # as in the papers, so that the kernels alone decide
    learning_rate: float | None = None  # None: by optimizer, `LEARNING_RATES`

    def __post_init__(self) -> None:
        for axis in ("recipes", "inits", "depths", "activations", "optimizers"):
            if not getattr(self, axis):
                raise ArgumentError(f"{axis} must name at least one, got none")
        for name, least in (("depths", 1), ("width", 1), ("seeds", 1), ("epochs", 1)):
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
            learning_rate=self.learning_rate or LEARNING_RATES[optimizer],
            epochs=self.epochs,
            seed=self.first_seed,
        )


def run(cell: Cell, mnist: Mnist) -> Record:
    """Train the cell's seeds together and return what they gave, as plain data."""
    started = time.perf_counter()
    runs = ensemble.drawn(cell.recipe, cell.seeds, mnist)
    images, labels = jnp.asarray(mnist.test_images[:PROBED]), jnp.asarray(mnist.test_labels[:PROBED])
    before = propagate(stacked([one.params for one in runs]), images, labels, cell.recipe.activation)
    epochs = [epoch for epoch, _ in ensemble.fit_many(cell.recipe, runs, mnist)]
    finite = np.stack([epoch.finite for epoch in epochs], axis=1)  # (seeds, epochs)
    return {
        "key": cell.key,
        "recipe": asdict(cell.recipe) | {"layers": list(cell.recipe.layers)},
        "seeds": list(cell.seeds),
        "cost": _plain(np.stack([epoch.costs for epoch in epochs], axis=1)),
        "test_accuracy": _plain(np.stack([epoch.test_accuracies for epoch in epochs], axis=1)),
        "diverged_in": [None if row.all() else int(np.argmin(row)) + 1 for row in finite],
        "propagation": _summary(before),
        "training_seconds": sum(epoch.seconds for epoch in epochs),
        "seconds": time.perf_counter() - started,
    }


def go_on(cells: Sequence[Cell], mnist: Mnist, out: Path) -> Iterator[tuple[Cell, Record, bool]]:
    """Run the cells that `out` has no record of; each yields its record and whether it had been there.

    Raises:
        UserError: The records cannot be read or written.
    """
    kept = load(out)
    for cell in cells:
        known = cell.key in kept
        if not known:
            kept[cell.key] = run(cell, mnist)
            lines = "".join(json.dumps(record) + "\n" for record in kept.values())
            files.write(out / RECORDS, lines.encode())
        yield cell, kept[cell.key], known


def load(out: Path) -> dict[str, Record]:
    """Return the records of a study's folder by their cells' keys; none where there is none yet.

    Raises:
        UserError: A line is no record.
    """
    path = out / RECORDS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; name another --out") from error
    kept = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            kept[record["key"]] = record
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}, line {number}, is no record of a cell: delete the line or the file") from error
    return kept


def _summary(found: Propagation) -> dict[str, Any]:
    """Return what the report draws of a propagation: by seed and layer; of the Jacobians the mean singular value."""
    plain = {name: _plain(values) for name, values in found.measured._asdict().items() if name != "jacobian"}
    jacobian = np.stack([values.mean(axis=(1, 2)) for values in found.measured.jacobian], axis=1)
    return {
        "measured": plain | {"jacobian": _plain(jacobian)},
        "predicted": {name: _plain(values) for name, values in found.predicted._asdict().items()},
    }


def _plain(values: Any) -> Any:
    """Return arrays as nested lists of 6 digits, a number that is none as None, which JSON can spell."""
    if hasattr(values, "_asdict"):
        return {name: _plain(one) for name, one in values._asdict().items()}
    array = np.asarray(jax.device_get(values), np.float64)
    if array.ndim:
        return [_plain(row) for row in array]
    return float(f"{array:.6g}") if np.isfinite(array) else None
