"""The smallest mistake of each size that the ladder still sees, by bisection."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ports import runs
from tests.ports.catalogue import evaluated


@dataclass(frozen=True)
class Sized:
    """A mistake with a size.

    Attributes:
        name: What is wrong.
        unit: Of the size.
        model: The port.
        old: A text of the port's file; none if it is the data that is wrong.
        new: The text in its place, with `SIZE`.
        data: The expression for the reference's batches of inputs and labels, of which the port has wrong ones.
        classes: Of these labels.
        smallest, largest: Where the search begins and ends.
        fresh: Whether fresh weights must be compared.
    """

    name: str
    unit: str
    model: str
    old: str = ""
    new: str = ""
    data: str = ""
    classes: int = 0
    smallest: float = 1e-14
    largest: float = 0.5
    fresh: bool = False


SIZES = (
    Sized("epsilon of BatchNorm", "relative", "dcgan", "+ 1e-5)", "+ 1e-5 * (1 + SIZE))"),
    Sized("momentum of BatchNorm", "absolute", "dcgan", "= 0.9\n", "= 0.9 - SIZE\n"),
    Sized("learning rate", "relative", "cnn", "return 0.05 *", "return 0.05 * (1 + SIZE) *"),
    Sized("weight decay", "relative", "cnn", "decayed_weights(5e-4)", "decayed_weights(5e-4 * (1 + SIZE))"),
    Sized("momentum of SGD", "absolute", "cnn", "momentum=0.9", "momentum=0.9 - SIZE"),
    Sized("label smoothing", "absolute", "cnn", "10), 0.1)", "10), 0.1 + SIZE)"),
    Sized("dropout rate", "absolute", "cnn", "nnx.Dropout(0.1,", "nnx.Dropout(0.1 + SIZE,"),
    Sized(
        "spread of initial weights", "relative", "cnn", "bound = fan_in**-0.5", "bound = (1 + SIZE) * fan_in**-0.5",
        smallest=1e-3, fresh=True,
    ),
    Sized("share of wrong labels", "of the labels", "gru", data="data(batch_size=50)", classes=4, smallest=1e-4),
)  # fmt: skip


def seen(sized: Sized, size: float) -> bool:
    """Return whether the ladder sees the mistake at this size."""
    options: dict[str, Any] = {} if sized.fresh else {"fresh": None}
    if sized.data:
        call = f"{runs.port_named(sized.model).theirs[1]} | {{'batches': {sized.data}}}"
        port = runs.port_named(sized.model).port() | options | {"batches": mislabelled(sized, size)}
        return not runs.proven(runs.recorded(sized.model, call), port).passed
    return not runs.verdict(sized.model, (sized.old, sized.new.replace("SIZE", repr(size))), **options).passed


def mislabelled(sized: Sized, share: float) -> list[tuple[Any, Any]]:
    """Return the reference's batches with a share of the labels, rounded to whole ones, replaced by the next class."""
    theirs = importlib.import_module(f"tests.ports.{runs.port_named(sized.model).theirs[0]}")
    batches = [(np.array(x), np.array(y)) for x, y in evaluated(theirs, sized.data)]
    count = sum(len(y) for _, y in batches)
    wrong = np.random.default_rng(0).permutation(count) < round(share * count)
    parts = np.split(wrong, np.cumsum([len(y) for _, y in batches])[:-1])
    return [(x, (y + part) % sized.classes) for (x, y), part in zip(batches, parts, strict=True)]


def smallest_seen(sized: Sized, digits: int = 5) -> float | None:
    """Return the smallest size that is seen, to about a factor of 2; None if even the largest is not.

    `digits` bisections of the logarithm are made.
    """
    low, high = sized.smallest, sized.largest
    if not seen(sized, high):
        return None
    for _ in range(digits):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if seen(sized, middle) else (middle, high)
    return high
