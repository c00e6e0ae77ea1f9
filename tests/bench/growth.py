"""How seconds and memory of an epoch grow with width, depth and batch: `python -m tests.bench.growth`.

Beside the floor, the matrix products alone, and beside the arithmetic: if nothing grows faster than that, the code has
no cost of its own that would catch up with a larger network.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from tyro.conf import arg

from tests.bench import turns

# A child's peak of memory starts at that of the process that made it, so that this one stays small: JAX and matplotlib
# are imported after the last point.

PIXELS, CLASSES, WIDTH, BATCH = 784, 10, 256, 100
AXES = {
    "width": tuple(2**k for k in range(6, 13)),
    "depth": tuple(2**k for k in range(1, 7)),
    "batch": tuple(10**k for k in range(5)),
}
TITLES = {
    "width": "units of each of two hidden layers, batch 100",
    "depth": "hidden layers of 256 units, batch 100",
    "batch": "images per step, 784-256-256-10",
}
Axis = Literal["width", "depth", "batch"]
Point = dict[str, Any]  # what `growth_point.measure` returns


def shape(axis: str, value: int) -> tuple[tuple[int, ...], int]:
    """Return the layers and the batch of a point."""
    width = value if axis == "width" else WIDTH
    depth = value if axis == "depth" else 2
    return (PIXELS, *[width] * depth, CLASSES), value if axis == "batch" else BATCH


def measure(axis: str, value: int, seconds: float) -> Point:
    """Measure a point in a process of its own.

    Raises:
        subprocess.CalledProcessError: It ended without an answer; what it said is on standard error.
    """
    layers, batch = shape(axis, value)
    options = ["--layers", *map(str, layers), "--batch", str(batch), "--seconds", str(seconds)]
    command = [sys.executable, "-m", "tests.bench.growth_point", *options]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def steepest(points: Sequence[Point], field: str = "seconds") -> float:
    """Return the largest growth of time over growth of arithmetic between neighbouring points; 1 is in step."""
    return max((after[field] / before[field]) / (after["flop"] / before["flop"]) for before, after in pairwise(points))


def summary(points: dict[str, dict[int, Point]]) -> dict[str, Any]:
    """Return all points by axis, and how fast each axis grows against the arithmetic."""
    return {
        axis: {
            "points": along,
            "steepest": steepest(list(along.values())) if len(along) > 1 else None,
            "floor_steepest": steepest(list(along.values()), "floor_seconds") if len(along) > 1 else None,
        }
        for axis, along in points.items()
    }


def main(
    axes: Annotated[tuple[Axis, ...], arg(help="What grows.")] = ("width", "depth", "batch"),
    seconds: Annotated[float, arg(help="Of training a point, about.")] = 2.0,
    out: Annotated[Path, arg(metavar="DIR", help="Where growth.json, growth.md and growth.png go.")] = Path(
        "reports/bench"
    ),
) -> None:
    """Measure every point, and write a table and a figure."""
    out.mkdir(parents=True, exist_ok=True)  # what cannot be made is told before minutes are spent
    wanted = [(axis, value) for axis in axes for value in AXES[axis]]
    points: dict[str, dict[int, Point]] = {axis: {} for axis in axes}
    for axis, value in turns.shown(wanted, "points"):
        points[axis][value] = measure(axis, value, seconds)

    from tests.bench import growth_report

    found = growth_report.described(summary(points))
    growth_report.write(out, found)
    for axis in axes:
        Console(width=160).print(growth_report.sentence(axis, found["axes"][axis]), highlight=False)
    print(f"written to {out}")


if __name__ == "__main__":
    tyro.cli(main, prog="python -m tests.bench.growth")
