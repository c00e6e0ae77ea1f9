"""What a rung is, and the sizes of a climb."""

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jax_impl.compare import Comparison
from jax_impl.recipes import RECIPES

RUNGS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("test_[0-9][0-9]_*.py")))


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much a climb measures. Tolerances do not depend on it, except the margin of rung 13."""

    recipes: tuple[str, ...]  # whose networks are recorded, for rungs 4 to 12
    dtypes: tuple[str, ...]
    order_epochs: int  # rung 3
    samples: int  # rung 7: draws of each initialiser
    images: int  # rung 2: scaled one by one
    test_images: int  # rungs 9 and 12 to 14: the first ones
    train_images: int  # rungs 12 and 13: the first ones
    path_epochs: int  # rung 12
    float32_steps: int  # rung 12: how many are drawn; ten are judged
    seeds: int  # rung 13, per arm
    epochs: int  # rung 13
    last_epochs: int  # rung 13: their mean accuracy is compared
    margin: float  # rung 13: what its seeds can resolve
    cross_recipes: tuple[str, ...]  # rung 14
    cross_images: int  # rungs 9 and 14: the first training images
    cross_epochs: int  # rungs 9 and 14
    rounds: int  # rung 15


# Ten seeds an arm resolve 0.2 percentage points at a standard deviation of 0.10 with a power above 0.99. The smaller
# climbs have fewer and shorter runs. Their standard deviations, over 12 and 40 seeds, are 0.26 points (QUICK) and 0.44
# (TINY). The difference of the means of two correct arms is below 3.9 · std · sqrt(2 / seeds) in all but one case in
# 10,000. With half the 90 % interval added, the margins must be at least 1.1 and 2.2 points.
FULL = Size(
    recipes=tuple(RECIPES),
    dtypes=("float64", "float32"),
    order_epochs=15,
    samples=100_000,
    images=1_000,
    test_images=10_000,
    train_images=60_000,
    path_epochs=8,
    float32_steps=1_800,
    seeds=10,
    epochs=15,
    last_epochs=5,
    margin=0.002,
    cross_recipes=tuple(RECIPES),
    cross_images=20_000,
    cross_epochs=1,
    rounds=3,
)
QUICK = Size(
    recipes=("mnist_nn_xavier",),
    dtypes=("float64", "float32"),
    order_epochs=3,
    samples=20_000,
    images=200,
    test_images=10_000,
    train_images=10_000,
    path_epochs=3,
    float32_steps=100,
    seeds=4,
    epochs=3,
    last_epochs=2,
    margin=0.016,
    cross_recipes=("mnist_nn_xavier", "mnist_nn_deep"),
    cross_images=1_000,
    cross_epochs=1,
    rounds=1,
)
# What the faults are planted into: one network and few images, so that a climb takes seconds.
TINY = Size(
    recipes=("mnist_nn_xavier",),
    dtypes=("float64",),
    order_epochs=2,
    samples=4_000,
    images=50,
    test_images=2_000,
    train_images=1_000,
    path_epochs=3,
    float32_steps=10,
    seeds=3,
    epochs=8,
    last_epochs=3,
    margin=0.025,
    cross_recipes=("mnist_nn_xavier",),
    cross_images=1_000,
    cross_epochs=1,
    rounds=1,
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The result of a rung."""

    comparisons: list[Comparison]
    data: dict[str, Any] = field(default_factory=dict)  # what the report draws
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether all comparisons passed. A rung that compared nothing has not passed."""
        return bool(self.comparisons) and all(comparison.passed for comparison in self.comparisons)

    def require(self) -> None:
        """Raise the AssertionError of the first comparison that failed."""
        assert self.comparisons, "the rung compared nothing"
        for comparison in self.comparisons:
            comparison.require()


class Rung(Protocol):
    """A module `test_NN_…`."""

    TITLE: str
    QUESTION: str
    measure: Callable[[Size], Measured]


def rung(stem: str) -> Rung:
    """Return the rung's module."""
    return importlib.import_module(f"tests.parity.{stem}")  # type: ignore[return-value]


def number(stem: str) -> int:
    """Return a rung's number."""
    return int(stem[5:7])


def record(stem: str, measured: Measured, seconds: float) -> dict[str, Any]:
    """Return a rung's result as plain data, for the JSON file and the figures."""
    module = rung(stem)
    return {
        "number": number(stem),
        "title": module.TITLE,
        "question": module.QUESTION,
        "seconds": seconds,
        "passed": measured.passed,
        "note": measured.note,
        "comparisons": [asdict(comparison) for comparison in measured.comparisons],
        "data": measured.data,
    }
