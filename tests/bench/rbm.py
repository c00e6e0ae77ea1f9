"""The part `rbm`: seconds per epoch of a restricted Boltzmann machine, side by side (`python -m tests.bench.rbm`).

500 hidden units, batches of 100, one round of Gibbs sampling a step. All contenders may use every core.

scikit-learn's chains go on from step to step, where the others' start at the data: the same products of matrices.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Any

import numpy as np
import tyro

from jax_impl import data
from tests.bench import turns
from tests.bench.contenders import IMAGES
from tests.bench.settings import SHORT, Settings
from tests.bench.tables import Table

CONTENDERS = {
    "jax": "JAX, one jitted scan an epoch, float32",
    "torch": "PyTorch, a loop over batches in memory, float32",
    "sklearn-float32": "scikit-learn's BernoulliRBM, float32",
    "sklearn-float64": "scikit-learn's BernoulliRBM, float64",
    "floor": "the matrix products alone, JAX, float32",
}
NEEDS = {"jax": "jax", "torch": "torch", "sklearn-float32": "sklearn", "sklearn-float64": "sklearn", "floor": "jax"}
ENDLESS = 10**9  # epochs, over which the learning rate as good as stays
MONITORED = 100  # images only, for what is monitored after an epoch shall not count
HIDDEN, BATCH = 500, 100


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """Time all contenders in turns and yield the results once."""
    images = settings.images or SHORT
    yield {"images": images, "contenders": turns.summary(CONTENDERS, seconds_of(settings.rounds, images), missing())}


def missing() -> dict[str, str]:
    """Return those whose package is missing, and the words that stand in place of their seconds."""
    return {name: "not installed" for name, package in NEEDS.items() if find_spec(package) is None}


def seconds_of(rounds: int, images: int) -> dict[str, list[float]]:
    """Let those that are installed train in turns; return each one's seconds by round."""
    options = ("--images", str(images))
    running = {
        name: turns.Contender("tests.bench.rbm", "--only", name, *options)
        for name in CONTENDERS
        if name not in missing()
    }
    return turns.measure(running, rounds)


def tables(found: dict[str, Any]) -> list[Table]:
    """Return the table of all contenders."""
    contenders = found["contenders"]
    rounds = turns.counted(contenders["jax"]["seconds"])
    words = f"Seconds per epoch of {found['images']:,} images in batches of {BATCH}, CD-1, {rounds} in turns:"
    rows = turns.summary_rows(contenders)
    return [Table(f"Restricted Boltzmann machine, {HIDDEN} hidden units", turns.HEADINGS, rows, words)]


def pixels(dtype: str, images: int) -> np.ndarray:
    """Return the first training images in [0, 1]."""
    return data.load(None).train_images[:images].astype(dtype) / np.asarray(255, dtype)


def jax_epochs(images: int) -> Iterator[float]:
    """Train in JAX for ever, yielding each epoch's seconds."""
    import jax.numpy as jnp

    from jax_impl.rbm import training

    given = jnp.asarray(pixels("float32", images))
    settings = training.Settings(epochs=ENDLESS, hidden=HIDDEN, batch_size=BATCH)
    for record, _ in training.fit(settings, given, given[:MONITORED]):
        if record is not None:
            yield record.seconds


def torch_epochs(images: int) -> Iterator[float]:
    """Train in PyTorch for ever, yielding each epoch's seconds."""
    import torch

    from torch_ref import rbm

    torch.set_num_threads(turns.THREADS)
    given = torch.from_numpy(pixels("float32", images))
    generator = torch.Generator().manual_seed(0)
    settings = rbm.Settings(epochs=ENDLESS, hidden=HIDDEN, batch_size=BATCH)
    machines = rbm.fit(settings, given, given[:MONITORED], generator)
    next(machines)  # the initial one
    while True:
        started = time.perf_counter()
        next(machines)
        yield time.perf_counter() - started


def sklearn_epochs(dtype: str, images: int) -> Iterator[float]:
    """Train one epoch from the start again and again, yielding each one's seconds."""
    from sklearn.neural_network import BernoulliRBM

    given = pixels(dtype, images)
    while True:
        machine = BernoulliRBM(HIDDEN, learning_rate=0.1, batch_size=BATCH, n_iter=1, random_state=0)
        started = time.perf_counter()
        machine.fit(given)
        yield time.perf_counter() - started


def floor_epochs(images: int) -> Iterator[float]:
    """Multiply as the steps of an epoch do for ever, yielding each epoch's seconds."""
    from tests.bench import rbm_floor

    return rbm_floor.epochs(HIDDEN, BATCH, images // BATCH)


def contend(name: str, images: int) -> None:
    """Train on request."""
    contenders = {
        "jax": jax_epochs,
        "torch": torch_epochs,
        "sklearn-float32": lambda images: sklearn_epochs("float32", images),
        "sklearn-float64": lambda images: sklearn_epochs("float64", images),
        "floor": floor_epochs,
    }
    turns.serve(contenders[name](images))


def main(
    rounds: Annotated[int, tyro.conf.arg(help="Epochs of each contender that count.")] = 5,
    images: Annotated[int, tyro.conf.arg(help="Number of training images, from the first one.")] = IMAGES,
    only: Annotated[str | None, tyro.conf.arg(help="Be this contender, on request by standard input.")] = None,
) -> None:
    """Time an epoch in JAX, in PyTorch and in scikit-learn, and that of the matrix products."""
    if only:
        contend(only, images)
        return
    for found in measure(Settings(rounds=rounds, images=images)):
        for table in tables(found):
            table.show()


if __name__ == "__main__":
    tyro.cli(main, prog="python -m tests.bench.rbm")
