"""Seconds per training epoch, side by side: `make bench`.

Every contender is a process of its own that trains one epoch at a time when told to, so that compiling and loading
stay apart and the rounds alternate: what slows the machine slows them all. All may use every core.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

CONTENDERS = {
    "jax": "JAX, one jitted scan an epoch",
    "torch-memory": "PyTorch, the same batches from memory (--loader tensor)",
    "torch-notebook": "PyTorch, the notebook's loop (DataLoader)",
}


def jax_epochs(recipe_name: str) -> Iterator[float]:
    """Train in JAX for ever, yielding each epoch's seconds."""
    from jax_impl import data, draws, recipes, train

    recipe, mnist = recipes.named(recipe_name).but(epochs=10**9), data.load()
    for record, _ in train.fit(recipe, mnist, draws.native(recipe, len(mnist.train_images))):
        yield record.seconds


def torch_epochs(recipe_name: str, loader: str) -> Iterator[float]:
    """Train in PyTorch for ever, yielding each epoch's seconds."""
    import torch

    from torch_ref import data, recipes, train

    torch.set_num_threads(os.cpu_count() or 1)
    recipe = recipes.named(recipe_name).but(epochs=10**9)
    for record, _ in train.fit(recipe, *data.load(), loader=loader):
        if record is not None:
            yield record.seconds


def contend(name: str, recipe: str) -> None:
    """Run one epoch for every line on standard input, and print its seconds."""
    epochs = {
        "jax": lambda: jax_epochs(recipe),
        "torch-memory": lambda: torch_epochs(recipe, "tensor"),
        "torch-notebook": lambda: torch_epochs(recipe, "dataloader"),
    }[name]()
    for _ in sys.stdin:
        print(next(epochs), flush=True)


class Contender:
    """A process that trains on request."""

    def __init__(self, name: str, recipe: str) -> None:
        command = [sys.executable, "-m", "tests.bench.epochs", "--recipe", recipe, "--only", name]
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


def measure(recipe: str, rounds: int, names: Iterable[str] = tuple(CONTENDERS)) -> dict[str, list[float]]:
    """Let the contenders train in turns; the first round warms up and is not counted."""
    contenders = {name: Contender(name, recipe) for name in names}
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


def main(
    recipe: Annotated[str, tyro.conf.arg(help="What to train.")] = "mnist_nn_xavier",
    rounds: Annotated[int, tyro.conf.arg(help="Epochs of each contender that count.")] = 5,
    only: Annotated[str | None, tyro.conf.arg(help="Be this contender, on request by standard input.")] = None,
) -> None:
    """Time an epoch in JAX, in PyTorch from memory, and in the notebook's own loop."""
    if only:
        contend(only, recipe)
        return
    seconds = measure(recipe, rounds)
    table = Table(title=f"{recipe}, {platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    for heading in ("contender", "median s", "min s", "max s", "times JAX's (median of rounds)"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    for name, values in seconds.items():
        ratio = statistics.median(value / jax for value, jax in zip(values, seconds["jax"], strict=True))
        spread = (statistics.median(values), min(values), max(values))
        table.add_row(CONTENDERS[name], *(f"{value:.2f}" for value in spread), f"{ratio:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    tyro.cli(main)
