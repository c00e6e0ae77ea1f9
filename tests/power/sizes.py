"""The smallest mistake of each size that the ladder still sees, by bisection."""

from dataclasses import dataclass

from tests.ports import runs


@dataclass(frozen=True)
class Sized:
    """A mistake with a size.

    Attributes:
        name: What is wrong.
        unit: Of the size.
        model: The port.
        old: A text of the port's file.
        new: The text in its place, with `SIZE`.
        smallest, largest: Where the search begins and ends.
        fresh: Whether fresh weights must be compared.
    """

    name: str
    unit: str
    model: str
    old: str
    new: str
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
)  # fmt: skip


def seen(sized: Sized, size: float) -> bool:
    """Return whether the ladder sees the mistake at this size."""
    options = {} if sized.fresh else {"fresh": None}
    return not runs.verdict(sized.model, (sized.old, sized.new.replace("SIZE", repr(size))), **options).passed


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
