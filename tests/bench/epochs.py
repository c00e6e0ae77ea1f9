"""Seconds per training epoch, side by side: `make bench`.

All contenders may use every core.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Annotated

import tyro

from tests.bench import turns

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
    """Train on request."""
    contenders = {
        "jax": lambda: jax_epochs(recipe),
        "torch-memory": lambda: torch_epochs(recipe, "tensor"),
        "torch-notebook": lambda: torch_epochs(recipe, "dataloader"),
    }
    turns.serve(contenders[name]())


def measure(recipe: str, rounds: int, names: Iterable[str] = tuple(CONTENDERS)) -> dict[str, list[float]]:
    """Let the contenders train in turns; return each one's seconds by round."""
    options = ("tests.bench.epochs", "--recipe", recipe, "--only")
    return turns.measure({name: turns.Contender(*options, name) for name in names}, rounds)


def main(
    recipe: Annotated[str, tyro.conf.arg(help="What to train.")] = "mnist_nn_xavier",
    rounds: Annotated[int, tyro.conf.arg(help="Epochs of each contender that count.")] = 5,
    only: Annotated[str | None, tyro.conf.arg(help="Be this contender, on request by standard input.")] = None,
) -> None:
    """Time an epoch in JAX, in PyTorch from memory, and in the notebook's own loop."""
    if only:
        contend(only, recipe)
        return
    turns.show(recipe, CONTENDERS, measure(recipe, rounds))


if __name__ == "__main__":
    tyro.cli(main)
