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

from rich.console import Console
from rich.progress import track
from rich.table import Table


class Contender:
    """A process that trains on request: a benchmark's own module with `--only` a name, which calls `serve`."""

    def __init__(self, module: str, *options: str) -> None:
        command = [sys.executable, "-m", module, *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def epoch(self) -> float:
        """Train one epoch and return its seconds."""
        assert self.process.stdin
        assert self.process.stdout
        print(file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()  # waits, and closes the pipes


def serve(epochs: Iterator[float]) -> None:
    """Run one epoch for every line on standard input, and print its seconds."""
    for _ in sys.stdin:
        print(next(epochs), flush=True)


def measure(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Let the contenders train in turns, and end them; the first round warms up and is not counted."""
    try:
        for contender in contenders.values():
            contender.epoch()
        turns = track(range(rounds), "rounds", console=Console(stderr=True), disable=not sys.stderr.isatty())
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in turns:
            for name, contender in contenders.items():
                seconds[name].append(contender.epoch())
        return seconds
    finally:
        for contender in contenders.values():
            contender.close()


def show(what: str, titles: Mapping[str, str], seconds: Mapping[str, Sequence[float]]) -> None:
    """Print the seconds of each contender, and how many times those of `jax` they are."""
    table = Table(title=f"{what}, {platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    for heading in ("contender", "median s", "min s", "max s", "times JAX's (median of rounds)"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    for name, values in seconds.items():
        ratio = statistics.median(value / jax for value, jax in zip(values, seconds["jax"], strict=True))
        spread = (statistics.median(values), min(values), max(values))
        table.add_row(titles[name], *(f"{value:.2f}" for value in spread), f"{ratio:.2f}")
    Console(width=120).print(table)
