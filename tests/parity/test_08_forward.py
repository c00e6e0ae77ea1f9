"""Rung 8: the forward pass, layer by layer."""

from tests.parity.ladder import QUICK, Measured, Size
from tests.parity.records import judged

TITLE = "forward"
QUESTION = "Do the same weights compute the same pre-activations in every layer?"


def measure(size: Size) -> Measured:
    return Measured(comparisons=judged(size.recipes, size.dtypes, 6, 7))


def test_rung() -> None:
    measure(QUICK).require()
