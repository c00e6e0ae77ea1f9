"""A grid of experiments, cell by cell: initialiser × depth × activation × optimizer, each trained from several seeds.

A cell is one recipe and its seeds; its record holds what every seed's every epoch gave, and what signal and gradient
did before the first step. Records are kept in `cells.jsonl`, one line a cell, so that a study goes on where it was
stopped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import jax

from jax_impl import initializers, recipes
from jax_impl.data import Mnist, digest
from jax_impl.errors import ArgumentError, unknown_name
from jax_impl.recipes import NAMES, Recipe
from jax_impl.storage import records
from jax_impl.storage.records import Record
from jax_impl.study.cells import NAME, Cell, run
from jax_impl.study.saving import Saving
from jax_impl.trainer import devices

RECORDS = "cells.jsonl"
LEARNING_RATES = {"adam": 1e-3, "sgd": 1e-2}  # the notebook's, and the one at which depth tells initialisers apart


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


def go_on(
    cells: Sequence[Cell],
    mnist: Mnist,
    out: Path,
    *,
    max_bytes: float | None = None,
    log: Callable[[str], None] = lambda text: None,  # noqa: ARG005
    heed: Callable[[], None] = lambda: None,
    every: int | None = None,
) -> Iterator[tuple[Cell, Record, bool]]:
    """Run the cells that `out` has no record of; each yields its record and whether it had been there.

    Cells that were interrupted go on after their last checkpoint. There is one after every epoch and, given `every`,
    after so many steps within it; `heed` is then called, too, and ends the study by what it raises.

    Where several processes take part, what counts is what the first of them finds in `out`, and it alone writes; the
    others get what is new.

    Raises:
        UserError: The records cannot be read or written.
    """
    leads = jax.process_index() == 0
    saving = Saving(out, digest(mnist), heed, log, every)
    kept = records.load(out / RECORDS) if leads else {}
    known = set(devices.from_first(list(kept)))
    groups = grouped([cell for cell in cells if cell.key not in known], devices.room())
    ran = False
    for cell in cells:
        if cell.key in known and not leads:
            continue
        if cell.key not in kept:
            if ran:
                heed()
            found = run(next(groups), mnist, max_bytes=max_bytes, saving=saving, log=log)
            for record in found:
                kept[record["key"]] = record
                if leads:
                    records.add(out / RECORDS, record)
            if leads:
                saving.forget(record["key"] for record in found)
            ran = True
        yield cell, kept[cell.key], cell.key in known


def grouped(cells: Sequence[Cell], room: int) -> Iterator[list[Cell]]:
    """Yield the cells in their order, those of one shape that follow each other together, until `room` runs are met."""
    group: list[Cell] = []
    for cell in cells:
        full = sum(len(one.seeds) for one in group) >= room
        if group and (full or _shape(cell) != _shape(group[0])):
            yield group
            group = []
        group.append(cell)
    if group:
        yield group


def _shape(cell: Cell) -> Recipe:
    """Return what the runs of one program have in common: all but what is data."""
    return replace(cell.recipe, name=NAME, init="", bias_init="", learning_rate=1.0, seed=0, init_passes=1)
