"""Rung 15: seconds an epoch, alternating in one run. Reported, not judged: a timed test would flake."""

import numpy as np

from jax_impl import compare
from tests.bench import contenders
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "speed"
QUESTION = "What does an epoch cost on either side?"


def measure(size: Size) -> Measured:
    names = ("jax", "torch-memory", "torch-notebook") if size.rounds > 1 else ("jax", "torch-memory")
    seconds = contenders.measure("mnist_nn_xavier", size.rounds, names)
    found = {contenders.CONTENDERS[name]: values for name, values in seconds.items()}
    ratios = np.array([other / jax for other, jax in zip(seconds["torch-memory"], seconds["jax"], strict=True)])
    measured = np.array([all(0 < value < float("inf") for value in values) for values in found.values()])
    comparisons = [compare.exact(measured, np.ones_like(measured), name="every contender finished every round")]
    note = f"JAX is {np.median(ratios):.2f} times as fast as torch from memory (median of {size.rounds} rounds)"
    return Measured(comparisons=comparisons, data={"seconds": found}, note=note)


def test_rung() -> None:
    measure(QUICK).require()
