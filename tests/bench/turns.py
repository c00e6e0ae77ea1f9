"""What the benchmarks of an epoch share: contenders that are processes of their own and train in turns.

So compiling and loading stay apart, and what slows the machine slows them all.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

Item = TypeVar("Item")

THREADS = os.cpu_count() or 1  # of every contender
# OpenMP is torch's, the others are the libraries of matrix products that NumPy may be built with.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PAUSE = 0.2  # seconds before a turn: OpenMP's threads spin for a while after their last work, on cores that others need
HEADINGS = ("contender", "median s", "min s", "max s", "times JAX's (median of rounds, range)")


class Spread(NamedTuple):
    """The median of some rounds, and between what they lie."""

    median: float
    min: float
    max: float


class Contender:
    """A process that trains on request: a module that calls `serve`, with its options."""

    def __init__(self, module: str, *options: str) -> None:
        self.command = [sys.executable, "-m", module, *options]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(THREADS)),
        )

    def epoch(self) -> float:
        """Train one epoch and return its seconds.

        Raises:
            RuntimeError: The process has ended; its standard error, which is this one's too, says why.
        """
        assert self.process.stdin
        assert self.process.stdout
        try:
            print(file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{' '.join(self.command)} ended before its epoch did; what it said is above")
        return float(line)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()  # waits, and closes the pipes


def serve(epochs: Iterator[float]) -> None:
    """Run one epoch for every line on standard input, and print its seconds."""
    for _ in sys.stdin:
        print(next(epochs), flush=True)


def shown(items: Sequence[Item], what: str) -> Iterator[Item]:
    """Yield the items, with a bar on standard error where that is a terminal."""
    yield from track(items, what, console=Console(stderr=True), disable=not sys.stderr.isatty())


def measure(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Let the contenders train in turns, and end them; the first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    try:
        for _ in shown(range(1 + rounds), "rounds"):
            for name, contender in contenders.items():
                time.sleep(PAUSE)
                seconds[name].append(contender.epoch())
        return {name: values[1:] for name, values in seconds.items()}
    finally:
        for contender in contenders.values():
            contender.close()


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the range."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return median and range of the ratios of each round: what slowed a round slowed both."""
    return spread([one / other for one, other in zip(over, under, strict=True)])


def rows(
    titles: Mapping[str, str], seconds: Mapping[str, Sequence[float]], missing: Mapping[str, str] | None = None
) -> list[tuple[str, ...]]:
    """Return the cells under `HEADINGS`, a row a contender in the order of `titles`, or why it is `missing`."""
    table = []
    for name, title in titles.items():
        if name in seconds:
            times = ratio(seconds[name], seconds["jax"])
            cells = [f"{value:.2f}" for value in spread(seconds[name])]
            table.append((title, *cells, f"{times.median:.2f} ({times.min:.2f} to {times.max:.2f})"))
        elif missing and name in missing:
            table.append((title, missing[name], "", "", ""))
    return table


def show(
    what: str,
    titles: Mapping[str, str],
    seconds: Mapping[str, Sequence[float]],
    missing: Mapping[str, str] | None = None,
) -> None:
    """Print the seconds of each contender, and how many times those of `jax` they are."""
    table = Table(title=f"{what}, {platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    for row in rows(titles, seconds, missing):
        table.add_row(*row)
    Console(width=120).print(table)
