"""What record.json holds, as dataclasses. docs/records.md has the format."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jax_impl.parity.records.decoding import MalformedError, decoded


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where an array is stored, and what is known of the whole array."""

    file: str
    key: str
    shape: list[int]
    dtype: str
    norm: float
    largest: float
    sampled: bool
    noise: float | None = None

    @property
    def size(self) -> int:
        """The number of elements of the whole array."""
        return math.prod(self.shape)


Arrays = dict[str, Reference | None]


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module of the model, with its settings that are plain values."""

    path: str
    type: str
    settings: dict[str, Any] = field(default_factory=dict)
    calls: int = 0


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A parameter or a buffer."""

    name: str
    kind: str
    shape: list[int]
    dtype: str
    module: str = ""
    trainable: bool = True
    tied: str | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a module. `order` counts the calls as they begin; the list's order is that in which they return.

    `own_inputs` and `own_outputs` are shapes of the port's arrays without a partner, in its own layout.
    """

    module: str
    own: str | None = None
    call: int
    order: int
    inputs: list[Reference | None]
    outputs: list[Reference | None]
    float32: bool = False
    own_inputs: list[list[int]] = field(default_factory=list)
    own_outputs: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A dropout mask: as an array, or, if it is not the one that was used, as a digest."""

    rate: float | None = None
    shape: list[int]
    module: str = ""
    array: Reference | None = None
    digest: str = ""
    repeated: list[int] = field(default_factory=list)  # the axes along which all entries are the same


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A forward pass of the first batch."""

    free: list[Call]
    forced: list[Call] = field(default_factory=list)
    loss: float | None = None
    loss_noise: float | None = None
    masks: list[Mask] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Forward:
    """The forward passes in the two modes; None if one was not recorded."""

    train: Pass | None = None
    eval: Pass | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the optimizer on given gradients, or of the training itself."""

    learning_rates: list[float | None] = field(default_factory=list)
    updates: Arrays
    state: dict[str, Arrays] = field(default_factory=dict)
    float32: bool = False
    loss: float | None = None
    loss_noise: float | None = None
    gradient_norm: float | None = None
    gradient_norm_noise: float | None = None
    buffers: Arrays = field(default_factory=dict)
    masks: list[Mask] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class After:
    """The first batch in evaluation mode after the last step."""

    loss: float | None = None
    loss_noise: float | None = None
    outputs: list[Reference | None] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Probe(After):
    """The first batch in evaluation mode before training, with axes of `length` cut to `to` entries."""

    length: int = 0
    to: int = 0
    sizes: dict[str, list[int]] = field(default_factory=dict)  # of what convolutions and pools slide over
    error: str = ""  # what the port says if it cannot run


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """Samples of several models' initial weights."""

    seeds: int
    leaves: dict[str, Reference]
    equal: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PairedLeaf:
    """Leaves of the reference and of the port that hold the same numbers."""

    theirs: list[str]
    ours: list[str]
    how: str = ""
    layout: str = ""
    summed: bool = False


@dataclass(frozen=True, kw_only=True)
class PairedModule:
    """A module of the reference, and the port's that does the same."""

    theirs: str
    ours: str


@dataclass(frozen=True, kw_only=True)
class Unpaired:
    """A leaf without a partner, and the names closest to it."""

    name: str
    shape: list[int] = field(default_factory=list)
    closest: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Unmatched:
    """The leaves without a partner on either side."""

    theirs: list[Unpaired] = field(default_factory=list)
    ours: list[Unpaired] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """How the port's leaves and modules correspond to the reference's."""

    leaves: list[PairedLeaf]
    modules: list[PairedModule] = field(default_factory=list)
    unmatched: Unmatched = field(default_factory=Unmatched)
    uncalled: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class OwnMasks:
    """The masks that the port would have drawn, in the forward pass and in each step."""

    forward: list[Mask] = field(default_factory=list)
    steps: list[list[Mask]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Content:
    """What record.json holds. Parts that were not recorded are None or empty."""

    side: str
    start_of: str | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    precision: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    modules: list[Module]
    leaves: list[Leaf]
    batches: list[Any] = field(default_factory=list)
    forward: Forward = field(default_factory=Forward)
    gradients: Arrays | None = None
    optimizer: dict[str, Any] | None = None
    injected: list[Step] | None = None
    trajectory: list[Step] | None = None
    after: After | None = None
    probe: Probe | None = None
    fresh: Fresh | None = None
    accuracy: list[float] | None = None
    loaded: bool = True
    mapping: Mapping | None = None
    own_batches: list[Any] | None = None
    own_masks: OwnMasks | None = None
    files: dict[str, str] = field(default_factory=dict)


def arrays_of(batch: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the place in a batch, and the raw reference or the plain value, of each leaf, in order."""
    match batch:
        case {"array": dict() as reference}:
            yield place, decoded(Reference, reference, place)
        case {"value": value}:
            yield place, value
        case {"tuple": list() as entries} | {"list": list() as entries}:
            for number, entry in enumerate(entries):
                yield from arrays_of(entry, f"{place}[{number}]")
        case {"dict": dict() as entries}:
            for key in sorted(entries):
                yield from arrays_of(entries[key], f"{place}[{key!r}]")
        case _:
            raise MalformedError(f"the batch {place} has an unknown structure")
