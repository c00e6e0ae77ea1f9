"""Rungs 4 to 12 of the parity ladder with JAX on its default device, in full-precision products, and torch on the CPU.

The ladder's tests pin JAX to the CPU, by `tests/conftest.py`; here its rungs are called as plain functions.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.bench.gpu_setup import Row, Settings

CHILD = "parity"
RUNGS = range(4, 13)
WHOLE = 60_000  # training images, from which on the climb is that of `ON_DEVICE`
# A full climb, but for what only costs time: XLA takes seconds to compile for a GPU, and every recipe is compiled.
ON_DEVICE: dict[str, Any] = {
    "recipes": ("mnist_nn_xavier", "mnist_nn_deep"),
    "train_images": 10_000,
    "path_epochs": 4,
}


def rows(settings: Settings) -> Iterator[Row]:
    """Measure every rung; one that breaks has failed, and the others are measured all the same."""
    import jax

    where = jax.default_backend()  # JAX takes the device first: torch brings CUDA libraries of its own
    import torch

    from tests.parity import ladder
    from torch_ref import train

    train.device_of_choice = lambda: torch.device("cpu")  # the reference stays where the ladder's tests have it
    size = (
        replace(ladder.FULL, **ON_DEVICE)
        if settings.images >= WHOLE
        else replace(ladder.TINY, train_images=settings.images)
    )
    for stem in (stem for stem in ladder.RUNGS if ladder.number(stem) in RUNGS):
        started = time.perf_counter()
        try:
            measured = ladder.rung(stem).measure(size)
        except Exception as error:
            measured = ladder.Measured(comparisons=[], note=f"{type(error).__name__}: {error}")
        record = ladder.record(stem, measured, time.perf_counter() - started)
        yield {key: value for key, value in record.items() if key != "data"} | {"jax": where}


def tightest(rung: Row) -> dict[str, Any] | None:
    """Return the comparison that failed, or else came nearest to its tolerance; None if there was none."""

    def nearness(comparison: dict[str, Any]) -> tuple[bool, float]:
        measured, tolerance = comparison["measured"], comparison["tolerance"]
        return not comparison["passed"], measured / tolerance if tolerance else measured

    return max(rung["comparisons"], key=nearness, default=None)
