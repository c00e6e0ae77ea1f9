"""What S seeds of a cell cost together, in single runs: `python -m tests.bench.seeds`.

Both train with the same code in one process, an epoch at a time and in turns; compiling stays apart. A single run uses
all cores; several share one device per core.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

from jax_impl import data, recipes
from jax_impl.commands.shared.cores import use_every_core
from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from jax_impl.starts.from_images import draw_seeds
from jax_impl.study import grid as study
from jax_impl.trainer import engine


def epochs(recipe: Recipe, seeds: int, mnist: Mnist) -> Iterator[float]:
    """Train for ever, yielding each epoch's seconds of all seeds together."""
    endless = recipe.with_changes(epochs=10**9)
    for epoch, _ in engine.fit_many(endless, draw_seeds(endless, range(seeds), mnist), mnist):
        yield epoch.seconds


def contenders() -> dict[str, Recipe]:
    """The cells of the study's default grid by depth, and the notebook's network."""
    grid = study.Grid(inits=("kaiming_normal",))
    cells = {f"study, {cell.depth} hidden layers": cell.recipe for cell in grid.cells()}
    return cells | {"mnist_nn_xavier": recipes.named("mnist_nn_xavier")}


def main(
    seeds: Annotated[int, tyro.conf.arg(help="Trained together.")] = 8,
    rounds: Annotated[int, tyro.conf.arg(help="Epochs of each that count.")] = 3,
) -> None:
    """Time an epoch of one seed and of several together, in turns."""
    use_every_core()
    mnist = data.load()
    where = f"{platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"
    table = Table(title=f"{seeds} seeds together, {where}")
    for heading in (
        "cell",
        "one seed, median s",
        f"{seeds} seeds, median s",
        f"of {seeds} single runs (median, range)",
    ):
        table.add_column(heading, justify="left" if heading == "cell" else "right")
    for name, recipe in track(
        contenders().items(), "cells", console=Console(stderr=True), disable=not sys.stderr.isatty()
    ):
        single, many = epochs(recipe, 1, mnist), epochs(recipe, seeds, mnist)
        next(single), next(many)  # warms up
        pairs = [(next(single), next(many)) for _ in range(rounds)]
        shares = [together / (seeds * alone) for alone, together in pairs]
        alone, together = (statistics.median(values) for values in zip(*pairs, strict=True))
        spread = f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
        table.add_row(name, f"{alone:.2f}", f"{together:.2f}", spread)
    Console(width=120).print(table)


if __name__ == "__main__":
    tyro.cli(main)
