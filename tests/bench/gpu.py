"""JAX against torch on one device, all in one call: `python -m tests.bench.gpu`.

The parts, in this order: the commands of both packages, parity on the device and the error of TF32, all at the same
time, since they are not timed; one training; many trainings at a time; the default study; a profile; TF32's speed.
Every row is written to gpu.json and gpu.md at once, so a failure loses nothing. Without an accelerator the CPU is
measured, which takes hours at the default sizes.

Eight minutes of an H200 suffice for the parts up to `many`. A second call measures the rest:
`python -m tests.bench.gpu --parts study,profile,tf32-speed --out reports/bench/rest`.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain, groupby
from pathlib import Path
from queue import Queue
from typing import Annotated, Any

import tyro
from rich.console import Console
from tyro.conf import arg

from jax_impl.commands.options.shared import integers, listed
from jax_impl.errors import UserError, require
from jax_impl.storage import files, hardware
from tests.bench import gpu_commands, gpu_many, gpu_one, gpu_parity, gpu_profile, gpu_report, gpu_study, gpu_tf32
from tests.bench.gpu_setup import DEVICE, Row, Settings, ask, failures
from tests.parity.report import strict

TOGETHER = ("commands", "parity", "tf32")  # not timed
PARTS = (*TOGETHER, "one", "many", "study", "profile", "tf32-speed")


def look(settings: Settings) -> Row:
    """Return the device.

    Raises:
        UserError: It is not the same one for both, or cannot be described.
    """
    (found,) = ask(settings, DEVICE)
    if "failed" in found:
        raise UserError(f"the device cannot be described: {found['failed']}")
    if (found["jax"] == "gpu") != (found["torch"] == "cuda"):
        raise UserError(
            f"JAX computes on {found['jax']} and torch on {found['torch']}, which are not one device: install "
            "jax[cuda13], or hide the GPU from both with CUDA_VISIBLE_DEVICES="
        )
    return found


def rows(settings: Settings, part: str, device: Row) -> Iterator[Row]:
    """Measure one part and yield its rows as they come; if it breaks as a whole, that is its last row."""
    cuda = device["torch"] == "cuda"
    measures: dict[str, Callable[[], Iterator[Row]]] = {
        "commands": lambda: gpu_commands.measure(settings),
        "parity": lambda: ask(settings, gpu_parity.CHILD),
        "tf32": lambda: gpu_tf32.measure(settings, has_tf32=device["tf32"]),
        "one": lambda: gpu_one.measure(settings, cuda=cuda),
        "many": lambda: gpu_many.measure(settings, cuda=cuda),
        "study": lambda: gpu_study.measure(settings),
        "profile": lambda: ask(settings, gpu_profile.CHILD),
        "tf32-speed": lambda: gpu_tf32.measure_speed(settings),
    }
    if settings.time_is_up:
        yield {"note": "not measured: the time was up"}
        return
    try:
        yield from measures[part]()
    except Exception as error:
        yield {"failed": f"{type(error).__name__}: {error}"}


def rows_together(settings: Settings, parts: Sequence[str], device: Row) -> Iterator[tuple[str, Row]]:
    """Measure these parts at the same time; yield each row with its part as it comes."""
    found: Queue[tuple[str, Row] | None] = Queue()

    def fill(part: str) -> None:
        for row in rows(settings, part, device):
            found.put((part, row))
        found.put(None)

    for part in parts:
        threading.Thread(target=fill, args=(part,), daemon=True).start()
    for _ in parts:
        yield from iter(found.get, None)


def write(result: dict[str, Any], out: Path) -> None:
    """Write gpu.json and gpu.md, each whole or not at all."""
    files.write(out / "gpu.json", json.dumps(strict(result), allow_nan=False, indent=1).encode() + b"\n")
    files.write(out / "gpu.md", gpu_report.markdown(result).encode())


def main(
    runs: Annotated[str, arg(metavar="N,…", help="Trained together.")] = "1,4,16,64,256,1024",
    epochs: Annotated[int, arg(metavar="N", help="Of one training.")] = 15,
    images: Annotated[int, arg(metavar="N", help="To train on, the first so many.")] = 60_000,
    rounds: Annotated[int, arg(metavar="N", help="That count.")] = 3,
    full: Annotated[bool, arg(help="Also train 256 runs, or the largest number below, to the end.")] = False,
    parts: Annotated[str, arg(metavar="NAME,…", help="What to measure, in this order.")] = ",".join(PARTS),
    minutes: Annotated[float, arg(metavar="X", help="End after so long with what is measured; 0 for no limit.")] = 8.0,
    out: Annotated[Path, arg(metavar="DIR", help="Where gpu.json and gpu.md go.")] = Path("reports/bench"),
) -> int:
    """Measure JAX and torch on one device, and write gpu.json and gpu.md."""
    ends = time.time() + 60 * minutes if minutes else 0.0
    settings = Settings(runs=integers("runs", runs), epochs=epochs, images=images, rounds=rounds, full=full, ends=ends)
    chosen = listed(parts)
    require(set(chosen) <= set(PARTS), "parts", f"some of {', '.join(PARTS)}", parts)
    console = Console(stderr=True, width=160)
    with tempfile.TemporaryDirectory() as cache:
        # For every child: JAX would take 75 % of the memory, and compiling takes up to 15 s a program.
        os.environ |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_COMPILATION_CACHE_DIR": cache}
        result = measure(settings, chosen, out, console)
    gpu_report.show(result, console)
    wrong = failures(gpu_report.parts(result))
    for what in wrong:
        print(f"failed: {what}", file=sys.stderr)
    return 1 if wrong else 0


def measure(settings: Settings, chosen: Sequence[str], out: Path, console: Console) -> dict[str, Any]:
    """Measure these parts in this order; print and write every row as it comes, and return the result."""
    started = time.perf_counter()
    result: dict[str, Any] = {"made": hardware.now(), "settings": asdict(settings), DEVICE: look(settings)}
    result |= {part: [] for part in chosen}
    groups = [list(group) for _, group in groupby(chosen, lambda part: "" if part in TOGETHER else part)]
    for part, row in chain.from_iterable(rows_together(settings, group, result[DEVICE]) for group in groups):
        result[part].append(row)
        result["seconds"] = time.perf_counter() - started
        write(result, out)
        console.print(f"{result['seconds']:5.0f} s  {part}: {line(row)}", markup=False, highlight=False)
    return result


def line(row: Row) -> str:
    """Return what progress says of a row."""
    names = (
        *("command", "place", "compared", "contender", "precision", "runs", "full", "number", "title"),
        *("apart", "per_minute", "minutes", "epoch", "launches", "passed", "note", "failed"),
    )
    shown = {name: row[name] for name in names if row.get(name) not in (None, "")}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
    )


if __name__ == "__main__":
    try:
        sys.exit(tyro.cli(main))
    except UserError as error:
        sys.exit(f"error: {error}")
