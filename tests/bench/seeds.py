"""The part `seeds`: what several seeds of a cell cost together, in single runs (`python -m tests.bench.seeds`).

Both train with the same code in one process, an epoch at a time and in turns; compiling stays apart. A single run uses
all cores; several share one device per core.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro

from jax_impl import data, recipes
from jax_impl.commands.shared.cores import use_every_core
from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from tests.bench import turns
from tests.bench.settings import SHORT, Settings
from tests.bench.tables import Table, with_range

SEEDS = 8
Results = dict[str, Any]


def measure(settings: Settings) -> Iterator[Results]:
    """Time all cells and yield the results once. A new process does it: this one may have started JAX already."""
    images = settings.images or SHORT
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "seeds.json"
        options = ("--rounds", str(settings.rounds), "--images", str(images), "--out", str(file))
        command = [sys.executable, "-m", "tests.bench.seeds", *options]
        if code := subprocess.run(command, check=False).returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {code}; what it said is above")
        yield json.loads(file.read_text(encoding="utf-8"))


def epochs(recipe: Recipe, seeds: int, mnist: Mnist) -> Iterator[float]:
    """Train for ever, yielding each epoch's seconds of all seeds together."""
    from jax_impl.starts.from_images import draw_seeds
    from jax_impl.trainer import engine

    endless = recipe.with_changes(epochs=10**9)
    for epoch, _ in engine.fit_many(endless, draw_seeds(endless, range(seeds), mnist), mnist):
        yield epoch.seconds


def cells() -> dict[str, Recipe]:
    """Return the cells of the study's default grid by depth, and the notebook's network."""
    from jax_impl.study import grid as study

    grid = study.Grid(inits=("kaiming_normal",))
    found = {f"study, {cell.depth} hidden layers": cell.recipe for cell in grid.cells()}
    return found | {"mnist_nn_xavier": recipes.named("mnist_nn_xavier")}


def time_cell(recipe: Recipe, seeds: int, rounds: int, mnist: Mnist) -> Results:
    """Time epochs of one seed and of several together, in turns; the first round warms up and is not counted."""
    single, together = epochs(recipe, 1, mnist), epochs(recipe, seeds, mnist)
    next(single), next(together)
    pairs = [(next(single), next(together)) for _ in range(rounds)]
    return summary([alone for alone, _ in pairs], [many for _, many in pairs], seeds)


def summary(single: list[float], together: list[float], seeds: int) -> Results:
    """Return the seconds of every round, their medians and ranges, and the ratio to `seeds` single runs."""
    return {
        "single": {"seconds": single, **turns.spread(single)._asdict()},
        "together": {"seconds": together, **turns.spread(together)._asdict()},
        "share": turns.ratio(together, [seeds * seconds for seconds in single])._asdict(),
    }


def tables(found: Results) -> list[Table]:
    """Return the table of all cells."""
    seeds, cells = found["seeds"], found["cells"]
    headings = ("cell", "one run, s", f"{seeds} runs, s", f"of {seeds} single runs")
    rows = [
        (name, *(f"{cell[kind]['median']:.2f}" for kind in ("single", "together")), with_range(cell["share"].values()))
        for name, cell in cells.items()
    ]
    rounds = turns.counted(next(iter(cells.values()))["single"]["seconds"])
    words = f"Seconds per epoch of {found['images']:,} images, median and range of {rounds}:"
    return [Table("Several seeds together", headings, rows, words)]


def main(
    seeds: Annotated[int, tyro.conf.arg(help="Trained together.")] = SEEDS,
    rounds: Annotated[int, tyro.conf.arg(help="Epochs of each that count.")] = 5,
    images: Annotated[int, tyro.conf.arg(help="Number of training images, from the first one.")] = SHORT,
    out: Annotated[Path | None, tyro.conf.arg(help="Write JSON to this file, and print nothing.")] = None,
) -> None:
    """Time an epoch of one seed and of several together, in turns."""
    use_every_core()
    mnist = data.load()
    part = mnist._replace(train_images=mnist.train_images[:images], train_labels=mnist.train_labels[:images])
    timed = {name: time_cell(cells()[name], seeds, rounds, part) for name in turns.shown(list(cells()), "cells")}
    found = {"seeds": seeds, "images": images, "cells": timed}
    if out:
        out.write_text(json.dumps(found), encoding="utf-8")
        return
    for table in tables(found):
        table.show()


if __name__ == "__main__":
    tyro.cli(main, prog="python -m tests.bench.seeds")
