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
from typing import Any, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import track

from jax_impl.commands.shared.cores import cores
from tests.bench.tables import Table, with_range

Item = TypeVar("Item")

THREADS = cores()  # of every contender
# OpenMP is torch's, the others are the libraries of matrix products that NumPy may be built with.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PAUSE = 0.2  # seconds before a turn: OpenMP's threads spin for a while after their last work, on cores that others need
QUIET = {"MNIST_STATUS_SECONDS": "0"}  # a timed command prints no line about how long it has taken so far
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


def summary(
    titles: Mapping[str, str], seconds: Mapping[str, Sequence[float]], missing: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return what each contender measured, in the order of `titles`, or why it is `missing`; ready for JSON."""
    found: dict[str, dict[str, Any]] = {}
    for name, title in titles.items():
        if name in seconds:
            times = ratio(seconds[name], seconds["jax"])._asdict()
            spread_of = spread(seconds[name])._asdict()
            found[name] = {"title": title, "seconds": list(seconds[name]), **spread_of, "times_jax": times}
        elif missing and name in missing:
            found[name] = {"title": title, "missing": missing[name]}
    return found


def summary_rows(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the cells under `HEADINGS`, a row a contender that was measured or is missing."""
    rows = []
    for one in found.values():
        if "missing" in one:
            rows.append((one["title"], one["missing"], "", "", ""))
        else:
            seconds = [f"{one[name]:.2f}" for name in Spread._fields]
            rows.append((one["title"], *seconds, with_range(one["times_jax"].values())))
    return rows


def counted(values: Sequence[object]) -> str:
    """Say how many rounds there are."""
    return f"{len(values)} round{'' if len(values) == 1 else 's'}"


def here() -> str:
    """Say on how many cores the benchmark runs, and when."""
    return f"{platform.machine()}, {THREADS} core{'' if THREADS == 1 else 's'}, {time.strftime('%Y-%m-%d')}"


def show(what: str, titles: Mapping[str, str], seconds: Mapping[str, Sequence[float]]) -> None:
    """Print the seconds of each contender, and how many times those of `jax` they are."""
    Table(f"{what}, {here()}", HEADINGS, summary_rows(summary(titles, seconds))).show()
