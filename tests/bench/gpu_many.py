"""Many trainings of one recipe with other seeds, on one device: JAX's ensemble, and what torch can do.

What is timed is an epoch of all runs, without drawing and testing, after one that warms up. From it follow the
trainings a minute; one number of runs is trained to the end as well, by `--full`.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from tests.bench.gpu_one import NO_CUDA
from tests.bench.gpu_setup import ENDLESS, RECIPE, Row, Settings, ask, mnist_part, timed

CONTENDERS = {
    "many-jax": "JAX, all runs in one program",
    "many-torch-func-graphs": "torch.func ensemble as a CUDA graph",
    "many-torch-func": "torch.func ensemble",
    "many-torch-graphs": "torch, CUDA graphs, one after another",
    "many-torch-eager": "torch, eager, one after another",
}
JAX = "many-jax"
SINGLE = ("many-torch-eager", "many-torch-graphs")  # one run is timed, and S of them take S times as long
GRAPHS = ("many-torch-graphs", "many-torch-func-graphs")


def jax_rows(settings: Settings) -> Iterator[Row]:
    """Yield an epoch's seconds for every number of runs."""
    from jax_impl import recipes
    from jax_impl.starts.from_images import draw_seeds
    from jax_impl.trainer import engine

    recipe, mnist = recipes.named(RECIPE).with_changes(epochs=ENDLESS), mnist_part(settings.images)
    for runs in settings.runs:
        accuracies: list[float] = []

        def epochs(runs: int = runs, accuracies: list[float] = accuracies) -> Iterator[float]:
            for epoch, _ in engine.fit_many(recipe, draw_seeds(recipe, range(runs), mnist), mnist):
                accuracies.append(float(epoch.test_accuracies.mean()))
                yield epoch.seconds

        seconds = timed(epochs(), settings.rounds)
        yield row(JAX, runs, seconds, accuracies[-1]) | memory_of_jax(recipe, runs, mnist)
        if settings.full and runs == settings.many:
            yield jax_in_full(settings, mnist, runs)


def memory_of_jax(recipe: Recipe, runs: int, mnist: Mnist) -> Row:
    """Return the bytes that `memory.split` plans for these runs, and the device's peak so far."""
    import jax

    from jax_impl.starts.from_images import draw_seeds
    from jax_impl.trainer import engine, memory

    (drawn,) = draw_seeds(recipe, (0,), mnist)
    one = engine.begin(recipe, [drawn]).state
    state = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (runs, *leaf.shape[1:])), one)
    planned = memory.split(recipe, state, mnist, max_bytes=float("inf")).bytes
    statistics = jax.local_devices()[0].memory_stats() or {}
    return {"planned": planned, "peak": statistics.get("peak_bytes_in_use")}


def jax_in_full(settings: Settings, mnist: Mnist, runs: int) -> Row:
    """Train so many runs to the end; the total includes drawing, testing and copying. All is compiled already."""
    from jax_impl import recipes
    from jax_impl.starts.from_images import draw_seeds
    from jax_impl.trainer import engine

    recipe = recipes.named(RECIPE).with_changes(epochs=settings.epochs)
    started = time.perf_counter()
    drawn = draw_seeds(recipe, range(runs), mnist)
    drawing = time.perf_counter() - started
    epochs = [epoch for epoch, _ in engine.fit_many(recipe, drawn, mnist)]
    total = time.perf_counter() - started
    return {
        "full": runs,
        "drawing": drawing,
        "training": sum(epoch.seconds for epoch in epochs),
        "total": total,
        "per_minute": 60 * runs / total,
        "accuracy": float(epochs[-1].test_accuracies.mean()),
        "trained_epochs": len(epochs),
    }


def torch_rows(settings: Settings, name: str) -> Iterator[Row]:
    """Yield an epoch's seconds for every number of runs, or a note where the memory does not suffice."""
    import torch

    from tests.bench import gpu_torch
    from torch_ref import recipes

    recipe, mnist, device = recipes.named(RECIPE), mnist_part(settings.images), gpu_torch.device()

    def training(runs: int) -> gpu_torch.Training:
        if name in SINGLE:
            return gpu_torch.One(recipe, mnist, device)
        return gpu_torch.Many(recipe, range(runs), mnist, device)

    for runs in (1,) if name in SINGLE else settings.runs:
        try:
            yield torch_row(settings, name, runs, training(runs))
        except torch.OutOfMemoryError as error:
            yield {"contender": name, "runs": runs, "note": "out of memory", "detail": str(error).splitlines()[0]}
        torch.cuda.empty_cache()  # does nothing without CUDA


def torch_row(settings: Settings, name: str, runs: int, training: Any) -> Row:
    """Time epochs of this training."""
    import torch

    from tests.bench import gpu_torch

    advance = gpu_torch.advance_of(training, graphs=name in GRAPHS)

    def epochs() -> Iterator[float]:
        while True:
            training.shuffle()
            training.losses.cpu()  # waits for the device
            started = time.perf_counter()
            training.epoch(advance)
            yield time.perf_counter() - started

    seconds = timed(epochs(), settings.rounds)
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return row(name, runs, seconds, training.accuracy()) | {"peak": peak}


def row(name: str, runs: int, seconds: list[float], accuracy: float) -> Row:
    """Return what was measured of one contender and number of runs; the warm-up was an epoch, too."""
    trained = {"accuracy": accuracy, "trained_epochs": 1 + len(seconds)}
    return {"contender": name, "runs": runs, "seconds": seconds} | trained


CHILDREN: dict[str, Callable[[Settings], Iterator[Row]]] = {JAX: jax_rows} | {
    name: lambda settings, name=name: torch_rows(settings, name) for name in CONTENDERS if name != JAX
}


def measure(settings: Settings, *, cuda: bool) -> Iterator[Row]:
    """Ask one contender after the other; yield its rows with the trainings a minute worked out."""
    for name in CONTENDERS:
        if name in GRAPHS and not cuda:
            yield {"contender": name, "note": NO_CUDA}
            continue
        for found in ask(settings, name):
            yield from spread({"contender": name} | found, settings)


def spread(found: Row, settings: Settings) -> list[Row]:
    """Return the row with its trainings a minute; of a single run, one row for every number of runs."""
    if "seconds" not in found:
        return [found]
    single = found["contender"] in SINGLE
    rows = []
    for runs in settings.runs if single else (found["runs"],):
        seconds = [value * runs if single else value for value in found["seconds"]]
        whole = settings.epochs * float(np.median(seconds))
        rows.append(found | {"runs": runs, "seconds": seconds, "per_minute": 60 * runs / whole, "multiplied": single})
    return rows
