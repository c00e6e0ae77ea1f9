"""Seconds per epoch of a restricted Boltzmann machine on MNIST, side by side: `python -m tests.bench.rbm`.

60,000 images, 500 hidden units, batches of 100, one round of Gibbs sampling a step. As in `tests.bench.epochs` every
contender is a process of its own that trains an epoch when told to, so that compiling and loading stay apart and the
rounds alternate. All may use every core.

scikit-learn's chains go on from step to step, where the others' start at the data: the same products of matrices.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

from jax_impl import data

CONTENDERS = {
    "jax": "JAX, one jitted scan an epoch, float32",
    "torch": "PyTorch, a loop over batches in memory, float32",
    "sklearn-float32": "scikit-learn's BernoulliRBM, float32",
    "sklearn-float64": "scikit-learn's BernoulliRBM, float64",
}
ENDLESS = 10**9  # epochs, over which the learning rate as good as stays
MONITORED = 100  # images only, for what is monitored after an epoch shall not count


def pixels(dtype: str) -> np.ndarray:
    return data.load(None).train_images.astype(dtype) / np.asarray(255, dtype)


def jax_epochs() -> Iterator[float]:
    """Train in JAX for ever, yielding each epoch's seconds."""
    import jax.numpy as jnp

    from jax_impl import rbm_train

    images = jnp.asarray(pixels("float32"))
    for record, _ in rbm_train.fit(rbm_train.Settings(epochs=ENDLESS), images, images[:MONITORED]):
        if record is not None:
            yield record.seconds


def torch_epochs() -> Iterator[float]:
    """Train in PyTorch for ever, yielding each epoch's seconds."""
    import torch

    from torch_ref import rbm

    torch.set_num_threads(os.cpu_count() or 1)
    images = torch.from_numpy(pixels("float32"))
    generator = torch.Generator().manual_seed(0)
    machines = rbm.fit(rbm.Settings(epochs=ENDLESS), images, images[:MONITORED], generator)
    next(machines)  # the initial one
    while True:
        started = time.perf_counter()
        next(machines)
        yield time.perf_counter() - started


def sklearn_epochs(dtype: str) -> Iterator[float]:
    """Train one epoch from the start again and again, yielding each one's seconds."""
    from sklearn.neural_network import BernoulliRBM

    images = pixels(dtype)
    while True:
        machine = BernoulliRBM(500, learning_rate=0.1, batch_size=100, n_iter=1, random_state=0)
        started = time.perf_counter()
        machine.fit(images)
        yield time.perf_counter() - started


def contend(name: str) -> None:
    """Run one epoch for every line on standard input, and print its seconds."""
    epochs = {
        "jax": jax_epochs,
        "torch": torch_epochs,
        "sklearn-float32": lambda: sklearn_epochs("float32"),
        "sklearn-float64": lambda: sklearn_epochs("float64"),
    }[name]()
    for _ in sys.stdin:
        print(next(epochs), flush=True)


class Contender:
    """A process that trains on request."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, "-m", "tests.bench.rbm", "--only", name]
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


def measure(rounds: int) -> dict[str, list[float]]:
    """Let the contenders train in turns; the first round warms up and is not counted."""
    contenders = {name: Contender(name) for name in CONTENDERS}
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
    rounds: Annotated[int, tyro.conf.arg(help="Epochs of each contender that count.")] = 5,
    only: Annotated[str | None, tyro.conf.arg(help="Be this contender, on request by standard input.")] = None,
) -> None:
    """Time an epoch in JAX, in PyTorch and in scikit-learn."""
    if only:
        contend(only)
        return
    seconds = measure(rounds)
    table = Table(title=f"RBM, 500 units, {platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    for heading in ("contender", "median s", "min s", "max s", "times JAX's (median of rounds)"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    for name, values in seconds.items():
        ratio = statistics.median(value / jax for value, jax in zip(values, seconds["jax"], strict=True))
        spread = (statistics.median(values), min(values), max(values))
        table.add_row(CONTENDERS[name], *(f"{value:.2f}" for value in spread), f"{ratio:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    tyro.cli(main)
