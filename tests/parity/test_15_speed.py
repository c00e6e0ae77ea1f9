"""Rung 15: seconds per epoch, measured alternately in one run. They are reported, not judged: they vary too much."""

import numpy as np
import pytest

from jax_impl import compare
from tests.bench import contenders
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "speed"
QUESTION = "How long does an epoch take on each side?"


def measure(size: Size) -> Measured:
    names = ("jax", "torch-memory", "torch-notebook") if size.rounds > 1 else ("jax", "torch-memory")
    seconds = contenders.measure("mnist_nn_xavier", size.rounds, names)
    found = {contenders.CONTENDERS[name]: values for name, values in seconds.items()}
    ratios = np.array([other / jax for other, jax in zip(seconds["torch-memory"], seconds["jax"], strict=True)])
    measured = np.array([all(0 < value < float("inf") for value in values) for values in found.values()])
    comparisons = [compare.exact(measured, np.ones_like(measured), name="every contender finished every round")]
    note = f"JAX is {np.median(ratios):.2f} times as fast as torch from memory (median of {size.rounds} rounds)"
    return Measured(comparisons=comparisons, data={"seconds": found}, note=note)


@pytest.mark.slow
def test_rung() -> None:
    measure(QUICK).require()
