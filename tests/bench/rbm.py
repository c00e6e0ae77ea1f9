"""Seconds per epoch of a restricted Boltzmann machine on MNIST, side by side: `python -m tests.bench.rbm`.

60,000 images, 500 hidden units, batches of 100, one round of Gibbs sampling a step. All contenders may use every core.

scikit-learn's chains go on from step to step, where the others' start at the data: the same products of matrices.
"""

import os
import time
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import tyro

from jax_impl import data
from tests.bench import turns

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

    from jax_impl.rbm import training

    images = jnp.asarray(pixels("float32"))
    for record, _ in training.fit(training.Settings(epochs=ENDLESS), images, images[:MONITORED]):
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
    """Train on request."""
    contenders = {
        "jax": jax_epochs,
        "torch": torch_epochs,
        "sklearn-float32": lambda: sklearn_epochs("float32"),
        "sklearn-float64": lambda: sklearn_epochs("float64"),
    }
    turns.serve(contenders[name]())


def main(
    rounds: Annotated[int, tyro.conf.arg(help="Epochs of each contender that count.")] = 5,
    only: Annotated[str | None, tyro.conf.arg(help="Be this contender, on request by standard input.")] = None,
) -> None:
    """Time an epoch in JAX, in PyTorch and in scikit-learn."""
    if only:
        contend(only)
        return
    contenders = {name: turns.Contender("tests.bench.rbm", "--only", name) for name in CONTENDERS}
    turns.show("RBM, 500 units", CONTENDERS, turns.measure(contenders, rounds))


if __name__ == "__main__":
    tyro.cli(main)
