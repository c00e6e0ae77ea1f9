"""What the mapping speaks of: leaves of two models, pairs of them, and what is open between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Sequence[Array]


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One parameter or buffer of either model.

    `name` is its path joined by dots: "layer1.0.conv1.weight", "params.Dense_0.kernel". Leaves are listed in the order
    of registration, or in that in which the modules are called.
    """

    name: str
    shape: tuple[int, ...]
    kind: str = "parameter"  # or "buffer"
    module: str = ""  # path of the module that owns it
    module_type: str = ""  # "Conv2d", "LSTM", … of torch, "Conv", "Dense", … of JAX, "" if unknown
    settings: Mapping[str, Any] = field(default_factory=dict)  # of that module
    framework: str = "tree"  # "torch", "nnx", "linen", "equinox", or "tree": plain functions over a pytree
    tied: str | None = None  # name of the first leaf that is the same array


@dataclass(frozen=True)
class Layout:
    """How arrays of torch become arrays of JAX, and exactly back.

    It only moves numbers, so gradients and updates go through it, too. `inputs` and `outputs` are set where the
    features of a Linear have another order, because torch flattens (C, H, W) and JAX (H, W, C): JAX's features are
    `x[..., inputs]` of torch's features x.
    """

    name: str
    to_ours: Callable[[Arrays], list[Array]] = field(compare=False, repr=False)
    to_theirs: Callable[[Arrays], list[Array]] = field(compare=False, repr=False)
    inputs: Array | None = field(default=None, compare=False, repr=False)
    outputs: Array | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Leaves that hold the same numbers.

    Mostly one and one. Packed q, k and v are one leaf of torch and three of ours, or the reverse; gates are one and
    four. `name[2:5]` stands for a part of a leaf along its first axis.
    """

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    layout: Layout
    how: str  # "given", "name", "order", "shape" or "numbers"
    summed: bool = False  # torch adds its leaves up, and ours is the sum


@dataclass(frozen=True)
class Choice:
    """Sets of pairs of which one is right. The first is the convention.

    `modules` are the torch modules whose own errors tell. Where there are none, only the error of the whole model does.
    """

    alternatives: tuple[tuple[Pair, ...], ...]
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unmatched:
    """A leaf without a partner, and the leaves of the other side that come closest."""

    name: str
    shape: tuple[int, ...]
    closest: tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """The pairs that are settled, what is open, and what has no partner."""

    pairs: tuple[Pair, ...]
    choices: tuple[Choice, ...]
    unmatched_theirs: tuple[Unmatched, ...]
    unmatched_ours: tuple[Unmatched, ...]
    warnings: tuple[str, ...]

    def convention(self) -> tuple[Pair, ...]:
        """Return the pairs with the first alternative of each choice."""
        return (*self.pairs, *(pair for choice in self.choices for pair in choice.alternatives[0]))


@dataclass(frozen=True)
class Scores:
    """Relative errors of the JAX model, if its weights are loaded by some pairs.

    `free` and `by_module` have the error of the output of each torch module that the port has: in a run of the whole
    model, in the order in which torch's modules return, and on torch's own input. A port without modules has neither.
    """

    total: float
    by_module: Mapping[str, float] = field(default_factory=dict)
    free: Mapping[str, float] = field(default_factory=dict)
