"""The growth of an epoch's cost as Markdown, as a figure and in files."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from jax_impl.figures.canvas import INK, MUTED, Picture, floats, short
from jax_impl.figures.colors import BLUE, BROWN, GREEN, PURPLE
from jax_impl.storage import files, hardware
from tests.bench import tables, turns
from tests.bench.growth import TITLES

HEADINGS = (
    "", "seconds per epoch", "floor, s", "times the floor", "GFLOP per epoch", "GFLOP/s", "floor's GFLOP/s",
    "peak memory, MiB", "before training, MiB", "planned by XLA, MiB", "state, MiB",
)  # fmt: skip
MIB = 2**20
Found = Mapping[str, Any]
Along = Mapping[str | int, Mapping[str, Any]]  # points of an axis by its value, a string if read from JSON


def described(axes: Found) -> dict[str, Any]:
    """Return the points of all axes, with the machine and the date."""
    return {"machine": hardware.describe(), "threads": turns.THREADS, "date": hardware.now(), "axes": dict(axes)}


def sentence(axis: str, found: Found) -> str:
    """Compare the growth of an epoch's seconds with that of the arithmetic, in a sentence."""
    if found["steepest"] is None:
        return f"{axis}: one point only"
    return (
        f"{axis}: from one point to the next, the seconds of an epoch grow at most {found['steepest']:.2f} times as "
        f"much as the arithmetic, and those of the floor {found['floor_steepest']:.2f} times"
    )


def row(value: str | int, point: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells under `HEADINGS`."""
    memory = (f"{point[field] / MIB:,.0f}" for field in ("peak_bytes", "start_bytes", "planned_bytes"))
    return (
        f"{int(value):,}",
        short(point["seconds"], 3),
        short(point["floor_seconds"], 3),
        f"{point['seconds'] / point['floor_seconds']:.2f}",
        f"{point['flop'] / 1e9:,.0f}",
        f"{point['gflop_per_second']:.1f}",
        f"{point['floor_gflop_per_second']:.1f}",
        *memory,
        f"{point['state_bytes'] / MIB:,.1f}",
    )


def markdown(found: Found) -> str:
    """Return where the points were measured, and one table per axis."""
    where = found["machine"]
    parts = [
        "# How the cost of an epoch grows",
        f"{where['processor']}, {where['cores']} cores, {where['device']}, jax {where['versions']['jax']}; "
        f"{found['date']}. 60,000 images of noise, relu, Adam, float32. Seconds are medians of three rounds of a part "
        "of an epoch, scaled to the whole. The floor is the matrix products alone, measured in turns with the "
        "training. Each point is a process of its own. Its peak memory includes Python, JAX and the images, all of "
        "which it holds before training. State: parameters and Adam's moments.",
    ]
    for axis, along in found["axes"].items():
        rows = [row(value, point) for value, point in along["points"].items()]
        parts += [f"## {axis.capitalize()}: {TITLES[axis]}", tables.markdown((axis, *HEADINGS[1:]), rows)]
        parts.append(sentence(axis, along).partition(": ")[2].capitalize() + ".")
    return "\n\n".join(parts) + "\n"


def growth(axes: Found) -> Picture:
    """Draw seconds above and memory below, one column per axis, all logarithmic."""

    def draw(figure: Figure, narrow: bool) -> None:
        panels = figure.subplots(*((2 * len(axes), 1) if narrow else (2, len(axes))), squeeze=False)
        pairs = panels.reshape(-1, 2) if narrow else panels.T  # (axes, 2): seconds, memory
        for (axis, found), (above, below) in zip(axes.items(), pairs, strict=True):
            _seconds(above, found["points"])
            _memory(below, found["points"])
            above.set_title(TITLES[axis], color=INK)
            below.set_xlabel(axis)
            for panel in (above, below):
                _log_axes(panel, [int(value) for value in found["points"]])
        pairs[0][0].set_ylabel("seconds per epoch")
        pairs[0][1].set_ylabel("memory (MiB)")
        lines = [line for panel in pairs[0] for line in panel.get_lines()]
        figure.legend(handles=lines, loc="outside upper left", ncols=1 if narrow else len(axes), borderpad=0)

    words = "; ".join(sentence(axis, found) for axis, found in axes.items())
    return Picture(
        draw,
        (360 * len(axes), 560),
        (350, 520 * len(axes)),
        key="growth",
        title="How the cost of an epoch grows",
        caption="Both axes are logarithmic. The thin line grows with the arithmetic.",
        alt=f"Seconds and memory by size. {words}.",
    )


def _line(axes: Axes, points: Along, values: Sequence[float], label: str, **style: Any) -> None:
    axes.plot([int(value) for value in points], values, label=label, **style)


def _of(points: Along, field: str) -> Any:
    return floats([point[field] for point in points.values()])


def _seconds(axes: Axes, points: Along) -> None:
    seconds, flop = _of(points, "seconds"), _of(points, "flop")
    line = partial(_line, axes, points)
    line(flop * (seconds / flop).min(), "slope of the arithmetic", color=MUTED, lw=0.7)
    line(_of(points, "floor_seconds"), "floor: the matrix products alone", color=INK, ls="--", lw=1.2)
    line(seconds, "an epoch of training", color=BLUE, marker="o", ms=3.6, lw=1.6)


def _memory(axes: Axes, points: Along) -> None:
    line = partial(_line, axes, points)
    line(_of(points, "state_bytes") / MIB, "parameters and Adam's moments", color=PURPLE, ls="--", lw=1.2)
    line(_of(points, "planned_bytes") / MIB, "planned by XLA", color=GREEN, marker="s", ms=3.2, lw=1.4)
    line(_of(points, "peak_bytes") / MIB, "peak of the process", color=BROWN, marker="o", ms=3.6, lw=1.6)


def _log_axes(axes: Axes, values: Sequence[int]) -> None:
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_locator(FixedLocator(list(values)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if np.ptp(np.log10(axes.get_ylim())) > 2.5 else (1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}" if y >= 1 else short(y)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())


def write(out: Path, found: Found) -> None:
    """Write `growth.json`, `growth.md` and `growth.png`.

    Raises:
        UserError: The folder cannot be written.
    """
    files.write(out / "growth.json", json.dumps(found, indent=1).encode())
    files.write(out / "growth.md", markdown(found).encode())
    files.write(out / "growth.png", growth(found["axes"]).png())
