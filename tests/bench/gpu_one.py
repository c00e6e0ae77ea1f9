"""One training from its first epoch to its last, in seconds of the host, in JAX and in torch.

All is included but compiling and capturing: the copies of data and initial parameters to the device, the orders of the
batches, the test accuracy after every epoch, the copies of the parameters back.
"""

import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat

from tests.bench.gpu_setup import RECIPE, Row, Settings, in_turns, mnist_part

CONTENDERS = {
    "one-jax": "JAX, one jitted scan an epoch",
    "one-torch-eager": "torch, eager, data on the device, fused Adam",
    "one-torch-graphs": "torch, the same step as a CUDA graph",
    "one-torch-compile": "torch.compile, the same step as a CUDA graph",
}
JAX = "one-jax"
NEEDS_CUDA = ("one-torch-graphs", "one-torch-compile")
NO_CUDA = "there is no CUDA here"


def jax_trainings(settings: Settings) -> Iterator[float]:
    """Train for ever; yield the seconds of one epoch, which compiles, and then of every whole training."""
    from jax_impl import draws, recipes, train

    recipe, mnist = recipes.named(RECIPE), mnist_part(settings.images)
    for epochs in chain((1,), repeat(settings.epochs)):
        drawn = draws.native(recipe, settings.images)
        started = time.perf_counter()
        for _ in train.fit(recipe.with_changes(epochs=epochs), mnist, drawn):
            pass
        yield time.perf_counter() - started


def torch_trainings(settings: Settings, *, graphs: bool = False, compiled: bool = False) -> Iterator[float]:
    """Do the same in torch, each step for itself or as a CUDA graph, with or without torch's compiler."""
    from tests.bench import gpu_torch
    from torch_ref import recipes

    training = gpu_torch.One(recipes.named(RECIPE), mnist_part(settings.images), gpu_torch.device(), compiled=compiled)
    advance = gpu_torch.advance_of(training, graphs=graphs)
    for epochs in chain((1,), repeat(settings.epochs)):
        started = time.perf_counter()
        training.start()
        for _ in range(epochs):
            training.shuffle()
            training.epoch(advance)
            training.accuracy()
            training.snapshot()
        yield time.perf_counter() - started


CHILDREN: dict[str, Callable[[Settings], Iterator[float]]] = {
    "one-jax": jax_trainings,
    "one-torch-eager": torch_trainings,
    "one-torch-graphs": lambda settings: torch_trainings(settings, graphs=True),
    "one-torch-compile": lambda settings: torch_trainings(settings, graphs=True, compiled=True),
}


def measure(settings: Settings, *, cuda: bool) -> Iterator[Row]:
    """Let the contenders train in turns; yield each one's seconds by round."""
    absent = () if cuda else NEEDS_CUDA
    seconds, dead = in_turns(settings, [name for name in CONTENDERS if name not in absent])
    for name in CONTENDERS:
        if name in absent:
            yield {"contender": name, "note": NO_CUDA}
        elif name in dead:
            yield {"contender": name, "failed": f"{name} died at its start"}
        else:
            yield {"contender": name, "seconds": seconds[name]}
