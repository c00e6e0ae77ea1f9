"""JAX against torch on one device, all in one call: `python -m tests.bench.gpu`.

Seconds of one training, many trainings at a time, parity on the device, and what TF32 costs. gpu.json and gpu.md are
written anew after every row, so that what is measured is kept whatever happens next. Without an accelerator the CPU is
measured, which takes hours at the sizes that are the defaults.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from tyro.conf import arg

from jax_impl.commands.options.shared import integers, listed
from jax_impl.errors import UserError, require
from jax_impl.storage import files
from tests.bench import gpu_many, gpu_one, gpu_parity, gpu_report, gpu_tf32
from tests.bench.gpu_setup import DEVICE, Row, Settings, ask, failures
from tests.parity.report import strict

PARTS = ("one", "many", "parity", "tf32")


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
        "one": lambda: gpu_one.measure(settings, cuda=cuda),
        "many": lambda: gpu_many.measure(settings, cuda=cuda),
        "parity": lambda: ask(settings, gpu_parity.CHILD),
        "tf32": lambda: gpu_tf32.measure(settings, has_tf32=device["tf32"]),
    }
    try:
        yield from measures[part]()
    except Exception as error:
        yield {"failed": f"{type(error).__name__}: {error}"}


def write(result: dict[str, Any], out: Path) -> None:
    """Write gpu.json and gpu.md, each whole or not at all."""
    files.write(out / "gpu.json", json.dumps(strict(result), allow_nan=False, indent=1).encode() + b"\n")
    files.write(out / "gpu.md", gpu_report.markdown(result).encode())


def main(
    runs: Annotated[str, arg(metavar="N,…", help="Trained together.")] = "1,4,16,64,256,1024",
    epochs: Annotated[int, arg(metavar="N", help="Of one training.")] = 15,
    images: Annotated[int, arg(metavar="N", help="To train on, the first so many.")] = 60_000,
    rounds: Annotated[int, arg(metavar="N", help="That count.")] = 5,
    full: Annotated[bool, arg(help="Also train 256 runs, or the largest number below, to the end.")] = False,
    skip: Annotated[str, arg(metavar="NAME,…", help=f"Parts to leave out: {', '.join(PARTS)}.")] = "",
    out: Annotated[Path, arg(metavar="DIR", help="Where gpu.json and gpu.md go.")] = Path("reports/bench"),
) -> int:
    """Measure JAX and torch on one device, and write gpu.json and gpu.md."""
    settings = Settings(runs=integers("runs", runs), epochs=epochs, images=images, rounds=rounds, full=full)
    require(set(listed(skip)) <= set(PARTS), "skip", f"some of {', '.join(PARTS)}", skip)
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # in every child: JAX would take 75 % of the memory
    console = Console(stderr=True, width=160)
    started = time.perf_counter()
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    result: dict[str, Any] = {"made": made, "settings": asdict(settings), DEVICE: look(settings)}
    for part in (part for part in PARTS if part not in listed(skip)):
        result[part] = []
        for row in rows(settings, part, result[DEVICE]):
            result[part].append(row)
            result["seconds"] = time.perf_counter() - started
            write(result, out)
            console.print(f"{result['seconds']:5.0f} s  {part}: {line(row)}", markup=False, highlight=False)
    gpu_report.show(result, console)
    wrong = failures(gpu_report.parts(result))
    for what in wrong:
        print(f"failed: {what}", file=sys.stderr)
    return 1 if wrong else 0


def line(row: Row) -> str:
    """Return what progress says of a row."""
    names = ("contender", "precision", "runs", "full", "number", "title", "per_minute", "passed", "note", "failed")
    shown = {name: row[name] for name in names if row.get(name) not in (None, "")}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
    )


if __name__ == "__main__":
    try:
        sys.exit(tyro.cli(main))
    except UserError as error:
        sys.exit(f"error: {error}")
