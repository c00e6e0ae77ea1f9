"""Rung 11: steps of Adam on the same given gradients, from 1e-9 to 1,000 in size."""

from tests.parity.ladder import QUICK, Measured, Size
from tests.parity.records import judged

TITLE = "optimizer"
QUESTION = "Does Adam take the same steps for the same gradients?"


def measure(size: Size) -> Measured:
    return Measured(comparisons=judged(size.recipes, size.dtypes, 10))


def test_rung() -> None:
    measure(QUICK).require()
