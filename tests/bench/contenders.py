"""Who trains an epoch of the same network, each in a process of its own: `python -m tests.bench.contenders NAME`.

A contender is a function of a recipe and MNIST that trains for ever and yields an `Epoch` after each; the floors only
do the matrix products. All may use every core.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from shutil import which
from typing import Annotated, NamedTuple

import numpy as np
import tyro

from jax_impl import data, draws, recipes
from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from tests.bench import turns

IMAGES = 60_000  # of MNIST's training set
COMPILER = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")  # that torch.compile calls


class Epoch(NamedTuple):
    """What an epoch took and reached."""

    seconds: float  # of training, testing and compiling apart
    cost: float  # mean over the epoch of each batch's mean loss before its update, in nats; NaN of a floor


Train = Callable[[Recipe, Mnist], Iterator[Epoch]]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender, and where it stands."""

    title: str
    place: str  # module:function under tests.bench; imported by the process that trains
    needs: str  # the package without which it cannot run
    tool: str | None = None  # the program without which it cannot run

    @property
    def installed(self) -> bool:
        """Return whether what it needs is there."""
        return find_spec(self.needs) is not None and (self.tool is None or which(self.tool) is not None)

    def load(self) -> Train:
        """Import and return its function."""
        module, _, function = self.place.partition(":")
        train: Train = getattr(import_module(f"tests.bench.{module}"), function)
        return train


ENTRIES = {
    "jax": Entry(title="JAX, one jitted scan an epoch", place="with_jax:scan", needs="jax"),
    "jax-step": Entry(title="JAX, jit a step, NumPy batches", place="with_jax:steps", needs="jax"),
    "nnx": Entry(title="Flax NNX, nnx.jit a step, nnx.Optimizer", place="with_jax:nnx_steps", needs="flax"),
    "torch-memory": Entry(title="PyTorch, data in memory, Adam(fused=True)", place="with_torch:memory", needs="torch"),
    "torch-compile": Entry(
        title="PyTorch, the same, torch.compile", place="with_torch:compiled", needs="torch", tool=COMPILER
    ),
    "torch-notebook": Entry(
        title="PyTorch, the notebook's loop (DataLoader)", place="with_torch:notebook", needs="torch"
    ),
    "keras": Entry(title="Keras 3 on JAX, model.fit", place="with_others:keras_epochs", needs="keras"),
    "sklearn": Entry(title="scikit-learn, MLPClassifier", place="with_others:sklearn_epochs", needs="sklearn"),
    "floor-torch": Entry(title="the matrix products alone, torch.mm", place="floor_torch:epochs", needs="torch"),
    "floor-jax": Entry(title="the matrix products alone, JAX", place="floor:epochs", needs="jax"),
}
FLOORS = ("floor-torch", "floor-jax")
CONTENDERS = {name: entry.title for name, entry in ENTRIES.items()}


def missing() -> dict[str, str]:
    """Return those that lack a package or a program, and the words that stand in place of their seconds."""
    return {name: "not installed" for name, entry in ENTRIES.items() if not entry.installed}


def measure(
    recipe: str, rounds: int, names: tuple[str, ...] = tuple(ENTRIES), images: int = IMAGES
) -> dict[str, list[float]]:
    """Let those that are installed train in turns; return each one's seconds by round."""
    options = ("--recipe", recipe, "--images", str(images))
    running = {
        name: turns.Contender("tests.bench.contenders", name, *options) for name in names if ENTRIES[name].installed
    }
    return turns.measure(running, rounds)


def timed(epoch: Callable[[], float]) -> Iterator[Epoch]:
    """Run an epoch for ever, timed; its cost is a Python float, for which the device has to have finished."""
    while True:
        started = time.perf_counter()
        cost = epoch()
        yield Epoch(time.perf_counter() - started, cost)


def pixels(mnist: Mnist) -> np.ndarray:
    """Return the training images as float32 in [0, 1]."""
    return mnist.train_images.astype(np.float32) / np.float32(255)


def shuffled(
    inputs: np.ndarray, labels: np.ndarray, batch_size: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches of an epoch in random order, from arrays in memory."""
    for rows in draws.full_batches(rng.permutation(len(labels)), batch_size):
        yield inputs[rows], labels[rows]


def main(
    name: tyro.conf.Positional[str],
    recipe: Annotated[str, tyro.conf.arg(help="What to train.")] = recipes.DEFAULT,
    images: Annotated[int, tyro.conf.arg(help="Number of training images, from the first one.")] = IMAGES,
) -> None:
    """Be a contender: train an epoch for every line on standard input."""
    mnist = data.load()
    part = mnist._replace(train_images=mnist.train_images[:images], train_labels=mnist.train_labels[:images])
    epochs = ENTRIES[name].load()(recipes.named(recipe), part)
    turns.serve(epoch.seconds for epoch in epochs)


if __name__ == "__main__":
    tyro.cli(main)
