"""A grid of experiments, cell by cell: initialiser × depth × activation × optimizer, each trained from several seeds.

A cell is one recipe and its seeds. Its record holds each seed's numbers by epoch, and the propagation of signal and
gradient before the first step. `cells.jsonl` has one record per line, so an interrupted study can continue.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from pathlib import Path
from typing import Any

import jax

from jax_impl import recipes
from jax_impl.data import Mnist, digest
from jax_impl.errors import ArgumentError, Log, require_integer
from jax_impl.recipes import Recipe, check_seeds
from jax_impl.storage import records
from jax_impl.storage.records import Record
from jax_impl.study.cells import NAME, Cell, run
from jax_impl.study.saving import Session
from jax_impl.trainer import devices, processes

RECORDS = "cells.jsonl"
DEEPEST = 10_000  # hidden layers; XLA needs about 0.1 s to compile each
IDLE = 0.1  # of the devices' time, that a group of cells may leave unused because its runs do not fill them evenly
LEARNING_RATES = {"adam": 1e-3, "sgd": 1e-2}  # the notebook's, and the one at which depth separates the initialisers


# The default grid: which of eight initialisers trains a ReLU network of which depth?
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
    """The axes of a study. An axis that is None has the values of `AXES`, or of each recipe if recipes are named.

    Raises:
        ArgumentError: An axis is empty, or a value is out of range.
    """

    recipes: tuple[str, ...] = ()
    inits: tuple[str, ...] | None = None
    depths: tuple[int, ...] | None = None  # hidden layers
    activations: tuple[str, ...] | None = None
    optimizers: tuple[str, ...] | None = None
    width: int | None = None  # units of a hidden layer
    seeds: int = 3
    first_seed: int = 0
    epochs: int | None = None  # 0 measures the propagation before training only
    bias_init: str | None = None
    learning_rate: float | None = None  # None for that of `LEARNING_RATES`, or of the recipe if no optimizer is named

    def __post_init__(self) -> None:
        for axis in ("inits", "depths", "activations", "optimizers"):
            if getattr(self, axis) == ():
                raise ArgumentError(f"{axis} must name at least one, got none")
        for depth in self.depths or ():
            require_integer(depth, "depths", 1, DEEPEST)
        for name, least in (("width", 1), ("epochs", 0)):
            if (value := getattr(self, name)) is not None:
                require_integer(value, name, least)
        check_seeds(self.seeds, self.first_seed)

    def cells(self) -> list[Cell]:
        """Return the cells without repetitions. Deep networks come last, so that the first results appear soon.

        Raises:
            ArgumentError: A name is unknown, or a value is out of range.
        """
        seeds = tuple(range(self.first_seed, self.first_seed + self.seeds))
        bases = [recipes.named(name) for name in self.recipes] or [Recipe(name=NAME)]
        axes = product(self._axis("depths"), bases, *map(self._axis, ("activations", "optimizers", "inits")))
        cells = [Cell(recipe=self._recipe(*settings), seeds=seeds) for settings in axes]
        return list({cell.key: cell for cell in cells}.values())

    def _axis(self, name: str) -> Any:
        """Return the values of an axis: those given, else the default grid's. None keeps the named recipes' own."""
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
        if rate is None:
            rate = LEARNING_RATES.get(optimizer or "")
        return base.with_changes(
            layers=_layers(base.layers, depth, self._axis("width")),
            init=init,
            bias_init=self._axis("bias_init"),
            activation=activation,
            optimizer=optimizer,
            learning_rate=rate,
            epochs=self._axis("epochs"),
            seed=self.first_seed,
        )


def _layers(layers: tuple[int, ...], depth: int | None, width: int | None) -> tuple[int, ...]:
    """Return the layers with `depth` hidden ones of this width. None keeps the depth, or the first one's width."""
    if depth is None and width is None:
        return layers
    hidden = len(layers) - 2 if depth is None else depth
    return (layers[0], *[layers[1] if width is None else width] * hidden, layers[-1])


def run_remaining(
    cells: Sequence[Cell],
    mnist: Mnist,
    out: Path,
    *,
    max_bytes: float | None = None,
    log: Log = lambda text: None,  # noqa: ARG005
    raise_if_stopped: Callable[[], None] = lambda: None,
    every: int | None = None,
) -> Iterator[tuple[Cell, Record, bool]]:
    """Run the cells without a record in `out`; yield each cell, its record, and whether the record existed.

    Interrupted cells continue from their last checkpoint. `raise_if_stopped` is called after each epoch, and after
    each segment of `every` steps if that is given; it ends the study by raising.

    With several processes the first one's records count, and it alone writes. The others yield new records only.

    Raises:
        UserError: The records cannot be read or written.
    """
    leads = jax.process_index() == 0
    session = Session(out, digest(mnist), raise_if_stopped, log, every, max_bytes)
    by_key = records.load(out / RECORDS) if leads else {}
    saved = set(processes.from_first(list(by_key)))
    left = [cell for cell in cells if cell.key not in saved]
    groups = grouped(left, devices.runs_to_fill_devices(), jax.device_count())
    measured: list[Record] = []
    for cell in cells:
        if cell.key in saved and not leads:
            continue
        if cell.key not in by_key:
            if measured:
                raise_if_stopped()
            measured = run(next(groups), mnist, session)
            for record in measured:
                by_key[record["key"]] = record
                if leads:
                    records.add(out / RECORDS, record)
            if leads:
                session.forget(record["key"] for record in measured)
        yield cell, by_key[cell.key], cell.key in saved


def grouped(cells: Sequence[Cell], runs: int, n_devices: int = 1) -> Iterator[list[Cell]]:
    """Yield the cells in order, in groups of one shape.

    A group is complete when it has at least `runs` runs, which occupy the devices about evenly.

    All cells have the same number of seeds.
    """
    for _, members in groupby(cells, _shape):
        of_shape = list(members)
        size = cells_at_once(runs, len(of_shape[0].seeds), n_devices)
        for start in range(0, len(of_shape), size):
            yield of_shape[start : start + size]


def cells_at_once(runs: int, seeds: int, n_devices: int) -> int:
    """Return the size of a group of cells with `seeds` seeds each: at least `runs` runs, and few idle devices."""
    fewest = -(-runs // seeds)
    sizes = range(fewest, fewest + n_devices)  # one of them divides evenly
    return next(size for size in sizes if (-size * seeds) % n_devices <= IDLE * size * seeds)


def _shape(cell: Cell) -> Recipe:
    """Return the settings that runs of one program share."""
    return replace(cell.recipe, name=NAME, init="zeros", bias_init="zeros", learning_rate=1.0, seed=0, init_passes=1)
