"""`make parity`: climb the whole ladder, plant every fault, and write the report.

Finished parts are kept in a folder whose name depends on the code. An interrupted climb continues from them; changed
code starts from the beginning.
"""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jax_impl.data import Mnist
from jax_impl.storage import files, hardware
from tests.parity import jax_side, ladder, report, test_13_accuracy, torch_side
from tests.parity.faults import FACTS, FAULTS, caught_by

ROOT = Path(__file__).parents[2]
SOURCES = (
    "jax_impl/**/*.py",
    "torch_ref/**/*.py",
    "tests/parity/**/*.py",
    "tests/laws.py",
    "tests/bench/*.py",
    "constraints.txt",
)
PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch", "torchvision", "numpy")
SIZES = {"full": ladder.FULL, "quick": ladder.QUICK}


class Cells:
    """Finished parts of the work, each a JSON file with its value and its seconds. No part is computed twice."""

    def __init__(self, folder: Path, size: str, bar: Progress) -> None:
        fingerprint = hashlib.sha256(json.dumps(hardware.describe(PACKAGES)).encode())
        for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
            fingerprint.update(path.read_bytes())
        self.folder = folder / f"{size}-{fingerprint.hexdigest()[:16]}"
        for stale in folder.glob(f"{size}-*/"):
            if stale != self.folder:
                shutil.rmtree(stale)
        self.bar, self.task = bar, bar.add_task("starting", total=None)

    def get(self, name: str, work: Callable[[], Any]) -> Any:
        """Return the value of the cell of this name. It is computed unless its file exists."""
        path = self.folder / f"{name}.json"
        self.bar.update(self.task, description=name)
        if not path.exists():
            before = self.seconds()
            started = time.perf_counter()
            value = work()
            inner = self.seconds() - before  # of cells computed meanwhile, which have their own seconds
            seconds = time.perf_counter() - started - inner
            files.write(path, json.dumps({"value": value, "seconds": seconds}).encode())
        self.bar.advance(self.task)
        return json.loads(path.read_text(encoding="utf-8"))["value"]

    def seconds(self) -> float:
        """Return the seconds of all cells together."""
        return sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in self.folder.glob("*.json"))


def climb(size: ladder.Size, cells: Cells) -> list[dict[str, Any]]:
    """Measure every rung. The trainings of rung 13 take longest, so each is a cell of its own."""

    def kept(side: Any) -> test_13_accuracy.Fit:
        def fit(recipe: str, mnist: Mnist, *, epochs: int, seed: int) -> jax_side.Run:
            def train() -> dict[str, Any]:
                run = side.fit(recipe, mnist, epochs=epochs, seed=seed)
                return {"cost": run.cost, "accuracy": run.accuracy}

            return jax_side.Run(**cells.get(f"{side.__name__.rpartition('.')[2]}-seed-{seed}", train), tensors={})

        return fit

    def measure(stem: str) -> dict[str, Any]:
        started = time.perf_counter()
        if stem == test_13_accuracy.__name__.rpartition(".")[2]:
            measured = test_13_accuracy.measure(size, (kept(jax_side), kept(torch_side)))
        else:
            measured = ladder.rung(stem).measure(size)
        return ladder.record(stem, measured, time.perf_counter() - started)

    rungs = []
    for stem in ladder.RUNGS:
        try:
            rungs.append(cells.get(stem, lambda stem=stem: measure(stem)))
        except Exception as error:  # the rung has failed; the report gives the error
            broken = ladder.Measured(comparisons=[], note=f"{type(error).__name__}: {error}")
            rungs.append(ladder.record(stem, broken, 0.0))
    return rungs


def plant(cells: Cells) -> list[dict[str, Any]]:
    """Plant every fault of the catalogue and list the rungs that catch it."""
    found = []
    for number, fault in enumerate(FAULTS):
        caught = cells.get(f"fault-{number:02}", lambda fault=fault: caught_by(fault, first_only=False))
        first = caught[0] if caught else None
        source = "known" if fault in FACTS else "ours"
        found.append(
            {"name": fault.name, "source": source, "expected": fault.expected, "first": first, "caught_by": caught}
        )
    return found


def main(
    size: Annotated[Literal["full", "quick"], tyro.conf.arg(help="How much to measure.")] = "full",
    out: Annotated[Path, tyro.conf.arg(metavar="DIR", help="Folder of the report.")] = Path("reports/parity"),
) -> int:
    """Climb the parity ladder, plant every fault, and write parity.json, parity.md and index.html."""
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("remaining"), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        cells = Cells(out / "cells", size, bar)
        bar.update(cells.task, total=len(ladder.RUNGS) + 2 * SIZES[size].seeds + len(FAULTS))
        rungs = climb(SIZES[size], cells)
        faults = plant(cells)
    result = {
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "size": size,
        "seconds": cells.seconds(),
        "machine": hardware.describe(PACKAGES),
        "rungs": rungs,
        "faults": faults,
    }
    report.write(result, out)
    failed = [f"rung {rung['number']} ({rung['title']})" for rung in rungs if not rung["passed"]]
    missed = [f"the fault {fault['name']!r}" for fault in faults if fault["first"] != fault["expected"]]
    print(f"{len(rungs) - len(failed)} of {len(rungs)} rungs pass")
    print(f"{len(faults) - len(missed)} of {len(faults)} planted faults are caught first by the rung that should")
    print(f"written to {out / 'index.html'}")
    for what in (*failed, *missed):
        print(f"failed: {what}", file=sys.stderr)
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
