"""From the start of the process to the end of the first epoch: `python -m tests.bench.cold`.

Compiled programs lie in a folder that is new and empty, or filled by a run before; the data is cached in both cases.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from tests.bench import turns
from tests.bench.settings import Settings
from tests.bench.tables import Table

FIRST = "Epoch: 0001"  # how the line begins that a run prints after its first epoch
TITLES = {"empty": "nothing compiled before", "filled": "compiled before"}
WORDS = (
    "`python -m jax_impl train --epochs 1`, its data there, seconds from the start of the process, {rounds} in turns:"
)
HEADINGS = ("compilation cache", "first epoch ended, median s", "range", "process ended, median s", "range")


class Start(NamedTuple):
    """Seconds since the process was started."""

    first_epoch: float  # until the line of the first epoch
    end: float  # until the process was gone


Starts = dict[str, list[Start]]  # by whether the cache was empty or filled, a round each


def clock(command: Sequence[str], environment: Mapping[str, str]) -> Start:
    """Run a training in an environment that some variables are added to.

    Raises:
        RuntimeError: It failed, or never printed the line of the first epoch.
    """
    first_epoch = None
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | turns.QUIET | environment
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if first_epoch is None and line.startswith(FIRST):
                first_epoch = time.perf_counter() - started
    end = time.perf_counter() - started
    if process.returncode or first_epoch is None:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode} and without {FIRST!r}")
    return Start(first_epoch, end)


def train(cache: Path) -> Start:
    """Train one epoch of the notebook, compiled programs being kept in `cache`."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "jax_impl", "train", "--epochs", "1", "--out", out]
        return clock(command, {"JAX_COMPILATION_CACHE_DIR": str(cache)})


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """Time the starts and yield them once."""
    yield summary(clock_starts(settings.rounds))


def clock_starts(rounds: int) -> Starts:
    """Start with an empty cache and with a filled one in turns; the run that fills it warms the disk's cache, too."""
    starts: Starts = {"empty": [], "filled": []}
    with tempfile.TemporaryDirectory() as filled:
        train(Path(filled))
        for _ in turns.shown(range(rounds), "cold starts"):
            with tempfile.TemporaryDirectory() as empty:
                starts["empty"].append(train(Path(empty)))
            starts["filled"].append(train(Path(filled)))
    return starts


def summary(starts: Starts) -> dict[str, Any]:
    """Return the seconds of every round, their medians and ranges, ready for JSON."""
    return {
        cache: {
            field: {"seconds": list(values), **turns.spread(values)._asdict()}
            for field, values in zip(Start._fields, zip(*rounds, strict=True), strict=True)
        }
        for cache, rounds in starts.items()
    }


def rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells under `HEADINGS`."""
    return [
        (
            TITLES[cache],
            *(
                cell
                for field in Start._fields
                for cell in (
                    f"{fields[field]['median']:.2f}",
                    f"{fields[field]['min']:.2f} to {fields[field]['max']:.2f}",
                )
            ),
        )
        for cache, fields in found.items()
    ]


def tables(found: Mapping[str, Any]) -> list[Table]:
    """Return the table of the starts."""
    words = WORDS.format(rounds=turns.counted(found["empty"]["end"]["seconds"]))
    return [Table("Cold start", HEADINGS, rows(found), words)]


def main(rounds: Annotated[int, tyro.conf.arg(help="Starts of either kind that count.")] = 5) -> None:
    """Time the first epoch of a new process, with and without compiled programs from before."""
    for table in tables(summary(clock_starts(rounds))):
        table.show()


if __name__ == "__main__":
    tyro.cli(main, prog="python -m tests.bench.cold")
