"""Climbs the ladder: all rungs, the trainings of rung 13 and the planted faults, by one process per core."""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jax_impl.data import Mnist
from tests.parity import jax_side, ladder, test_13_accuracy, test_15_speed, torch_side
from tests.parity.cells import computed, kept
from tests.parity.faults import FACTS, FAULTS, caught_by

SIZES = {"full": ladder.FULL, "quick": ladder.QUICK}
ACCURACY, SPEED = (module.__name__.rpartition(".")[2] for module in (test_13_accuracy, test_15_speed))
JAX, TORCH = jax_side.__name__, torch_side.__name__
Work = Callable[[], Any]


def climb_rungs(folder: Path, size: str) -> list[dict[str, Any]]:
    """Measure all rungs but 13 and 15, one after the other: several read the same records."""
    return [measured(folder, stem, size) for stem in ladder.RUNGS if stem not in (ACCURACY, SPEED)]


def measured(folder: Path, stem: str, size: str, **options: Any) -> dict[str, Any]:
    """Return the result of a rung. One that breaks with an error has failed, and is measured again next time."""

    def measure() -> dict[str, Any]:
        started = time.perf_counter()
        found = ladder.rung(stem).measure(SIZES[size], **options)
        return ladder.record(stem, found, time.perf_counter() - started)

    try:
        result: dict[str, Any] = kept(folder, stem, measure)
    except Exception as error:
        broken = ladder.Measured(comparisons=[], note=f"{type(error).__name__}: {error}")
        return ladder.record(stem, broken, 0.0)
    return result


def trainings(folder: Path, size: str) -> dict[str, Work]:
    """Return the trainings of rung 13, which a process per core computes beforehand."""
    seeds = range(SIZES[size].seeds)
    return {
        f"{side} {first + seed}": partial(train_beforehand, folder, size, side, first + seed)
        for side, first in ((TORCH, test_13_accuracy.TORCH_SEED), (JAX, test_13_accuracy.JAX_SEED))
        for seed in seeds
    }


def train_beforehand(folder: Path, size: str, side: str, seed: int) -> None:
    """Train one seed of rung 13. The rung meets an error again, and reports it."""
    with contextlib.suppress(Exception):
        trained(folder, size, side, seed)


def trained(folder: Path, size: str, side: str, seed: int) -> dict[str, Any]:
    """Return costs and accuracies of a training on the side of this module."""

    def train() -> dict[str, Any]:
        mnist = jax_side.load_part(SIZES[size].train_images, SIZES[size].test_images)
        run = import_module(side).fit(test_13_accuracy.RECIPE, mnist, epochs=SIZES[size].epochs, seed=seed)
        return {"cost": run.cost, "accuracy": run.accuracy}

    found: dict[str, Any] = kept(folder, f"{side.rpartition('.')[2]}-seed-{seed}", train)
    return found


def fits(folder: Path, size: str) -> tuple[test_13_accuracy.Fit, test_13_accuracy.Fit]:
    """Return what rung 13 calls to train on either side: both look up what is trained already."""

    def fit(_recipe: str, _mnist: Mnist, *, side: str, seed: int, epochs: int) -> jax_side.Run:
        assert epochs == SIZES[size].epochs
        return jax_side.Run(**trained(folder, size, side, seed), tensors={})

    return partial(fit, side=JAX), partial(fit, side=TORCH)


def plant(folder: Path, number: int) -> list[int]:
    """Plant a fault of the catalogue and list the rungs that catch it."""
    found: list[int] = kept(folder, f"fault-{number:03}", partial(caught_by, FAULTS[number], first_only=False))
    return found


def climb(folder: Path, size: str, jobs: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the results of all rungs and faults. The rungs take longest, so they begin."""
    work: dict[str, Work] = {"rungs": partial(climb_rungs, folder, size)}
    work |= trainings(folder, size) if ACCURACY in ladder.RUNGS else {}
    work |= {f"fault {number}": partial(plant, folder, number) for number in range(len(FAULTS))}
    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("remaining"), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("climbing", total=len(ladder.RUNGS) + len(work) - 1)
        found = {}
        for done, value in computed(work, jobs, folder / "compiled"):
            found[done] = value
            bar.update(task, completed=len(list(folder.glob("*.json"))))
        rungs = found["rungs"]
        for stem, options in ((ACCURACY, {"fits": fits(folder, size)}), (SPEED, {})):  # speed alone on the machine
            if stem in ladder.RUNGS:
                bar.update(task, description=ladder.rung(stem).TITLE)
                rungs.append(measured(folder, stem, size, **options))
                bar.advance(task)
    rungs.sort(key=lambda rung: rung["number"])
    return rungs, [planted(number, found[f"fault {number}"]) for number in range(len(FAULTS))]


def planted(number: int, caught: list[int]) -> dict[str, Any]:
    """Return a fault and the rungs that caught it, for the report."""
    fault = FAULTS[number]
    return {
        "name": fault.name,
        "source": "known" if fault in FACTS else "ours",
        "expected": fault.expected,
        "first": caught[0] if caught else None,
        "caught_by": caught,
    }
