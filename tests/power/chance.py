"""Mistakes that chance hides: how often they are seen over seeds, against how often a right port fails."""

from dataclasses import dataclass

from scipy.stats import fisher_exact

from tests.ports import runs

SEEDS = 8  # different draws of fresh weights, for each size
SIZES = (0.0, 0.02, 0.05, 0.1, 0.2)  # 0 is the right port
MODEL, OLD, NEW = "cnn", "bound = fan_in**-0.5", "bound = (1 + SIZE) * fan_in**-0.5"
APART = 1000  # between the seeds of two draws


@dataclass(frozen=True)
class Chance:
    """How often the ladder fails a port whose initial weights are spread too widely.

    Attributes:
        size: By how much, relative.
        seen: In how many of `seeds` draws.
        p: Of Fisher's exact test against the right port: how likely so large a difference is if nothing is wrong.
    """

    size: float
    seen: int
    seeds: int
    p: float


def fails(size: float, draw: int) -> bool:
    """Return whether the port fails with fresh weights of its own seeds."""
    change = (OLD, NEW.replace("SIZE", repr(size)))
    fresh = runs.port_named(MODEL).port(change)["fresh"]
    return not runs.verdict(MODEL, change, fresh=lambda seed: fresh(seed + APART * draw)).passed


def compared(failed: dict[float, list[bool]]) -> list[Chance]:
    """Return how often each size was seen, and whether that may be chance."""
    right = failed[0.0]
    found = []
    for size, draws in failed.items():
        table = [[sum(draws), len(draws) - sum(draws)], [sum(right), len(right) - sum(right)]]
        found.append(Chance(size, sum(draws), len(draws), float(fisher_exact(table, alternative="greater").pvalue)))
    return found
