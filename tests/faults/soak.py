"""A study that goes on and on: each round a new folder and new seeds, the work of a night in small.

`python -m tests.faults.soak SECONDS DATA` prints, after every round, what the process holds. A leak of any of it would
end a long study, however slow it is.
"""

import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import psutil

from jax_impl import data
from jax_impl.commands import study
from jax_impl.commands.options.parser import parse
from jax_impl.commands.options.study import Study
from jax_impl.commands.shared.stopping import Stop

ALLOWED = 1.0  # MiB an hour
BLOCKS = 20  # of rounds, whose means are compared
ROUNDS = 8  # at least: the first ones compile
IMAGES = 2000  # of each set: a round takes some seconds, most of them for the report
WORDS = ("--inits", "kaiming_normal,lsuv", "--depths", "1,2", "--width", "16", "--epochs", "2", "--seeds", "2")


class Sample(NamedTuple):
    """What the process holds after a round."""

    seconds: float  # since the first round began
    bytes: int  # resident in memory
    handles: int  # open files and sockets
    threads: int
    compilations: int  # so far

    def __str__(self) -> str:
        """Return the line that is printed."""
        return " ".join(f"{value:.10g}" for value in self)

    @classmethod
    def parsed(cls, line: str) -> "Sample":
        """Return what a line says."""
        seconds, *counts = line.split()
        return cls(float(seconds), *map(int, counts))


def rounds(mnist: data.Mnist, out: Path) -> Iterator[Sample]:
    """Run a study after the other; yield what the process holds after each."""
    compilations, me, begun = [0], psutil.Process(), time.monotonic()

    def count(event: str, *_: object, **__: object) -> None:
        compilations[0] += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(count)
    command = parse(["study", *WORDS])
    assert isinstance(command, Study)
    study.load, study.say = lambda _: mnist, _nothing
    while True:
        with tempfile.TemporaryDirectory(dir=out) as folder:
            now = replace(command, out=Path(folder))
            study.run(now, *study.plan(now), Stop(end=os._exit, log=_nothing))
        command = replace(command, first_seed=command.first_seed + command.seeds)
        settle()
        yield Sample(time.monotonic() - begun, me.memory_info().rss, me.num_fds(), me.num_threads(), compilations[0])


def settle() -> None:
    """Give back to the system what is free, so that what is resident is what is held."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library
    if trim:
        trim(0)


def slope(samples: list[Sample]) -> tuple[float, float]:
    """Return the growth of the memory after the first half, in MiB an hour, and its standard error.

    What is resident moves in steps, such as one of 1.8 MiB in two minutes, and stays where it went. So the error is
    that of the mean of the moves between blocks, of which a leak makes equal ones: a single step is within it, which
    the residuals of a line would not tell.
    """
    late = samples[len(samples) // 2 :]
    points = np.array([(sample.seconds / 3600, sample.bytes / 2**20) for sample in late])
    rate = np.polyfit(*points.T, 1)[0]
    blocks = np.array([block.mean(axis=0) for block in np.array_split(points, min(BLOCKS, len(late)))])
    hours, moves = np.diff(blocks, axis=0).T
    return float(rate), float(np.std(moves, ddof=1) * np.sqrt(len(moves)) / hours.sum())


def growing(samples: list[Sample]) -> str:
    """Return what grew after the first half: the memory by more than 1 MiB an hour, as far as can be told, or others.

    Rounds of a minute tell little: their standard error is some MiB an hour, and with a step a hundred.
    """
    late = samples[len(samples) // 2 :]
    if len(late) < 3:
        return f"only {len(samples)} rounds: give it more time"
    rate, error = slope(samples)
    found = [f"memory by {rate:.2f} ± {error:.2f} MiB an hour"] if rate - 3 * error > ALLOWED else []
    for name, slack in (("handles", 0), ("threads", 2), ("compilations", 0)):  # threads end when they are woken
        counts = [getattr(sample, name) for sample in late]
        if max(counts) > getattr(late[0], name) + slack:
            found.append(f"{name} from {counts[0]} to {max(counts)}")
    return ", ".join(found)


def soaked(seconds: float, data_dir: Path) -> list[Sample]:
    """Return what a process of its own held after every round, for so long."""
    words = [sys.executable, "-m", "tests.faults.soak", str(seconds), str(data_dir)]
    # With one arena what is free can be given back: what many of them keep would hide a leak.
    environment = os.environ | {"MALLOC_ARENA_MAX": "1"}
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [Sample.parsed(line) for line in result.stdout.splitlines()]


def _nothing(text: str) -> None:
    """Say nothing."""


def main(seconds: float, data_dir: Path) -> None:
    """Print a sample a round for so long, and of some rounds at least."""
    whole = data.load(data_dir)
    with tempfile.TemporaryDirectory() as out:
        small = data.Mnist(*(part[:IMAGES] for part in whole))
        for number, sample in enumerate(rounds(small, Path(out)), start=1):
            print(sample, flush=True)
            if sample.seconds > seconds and number >= ROUNDS:
                return


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]))
