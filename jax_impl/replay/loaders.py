"""The order in which torch's samplers and `DataLoader` visit a data set, without torch.

The sources are torch/utils/data/sampler.py, dataset.py, distributed.py and dataloader.py of torch 2.14.1. `stream` is
the default generator, which `torch.manual_seed` seeds. It advances as torch's.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64, UInt32

from jax_impl.replay.arguments import integer, probability
from jax_impl.replay.generator import TorchGenerator

Indices = Int64[np.ndarray, " n"]
_AT_ONCE = 32  # samples that RandomSampler draws at once with replacement


@dataclass(frozen=True, kw_only=True)
class RandomSampler:
    """`RandomSampler`, which `DataLoader(shuffle=True)` uses.

    Attributes:
        size: Of the data set.
        replacement: Whether a sample may come again.
        samples: Their number in an epoch; by default the size.
        generator: That was passed to the sampler or the loader. Without one, each epoch draws the seed of a new one.
        seeded: False as in torch up to 1.7, whose sampler drew from the default generator itself.
    """

    size: int
    replacement: bool = False
    samples: int | None = None
    generator: TorchGenerator | None = None
    seeded: bool = True

    def epoch(self, stream: TorchGenerator) -> Indices:
        """Return the samples of one whole epoch.

        Without replacement and with a generator of its own, torch draws one permutation more at the end of an epoch, of
        which it takes none. It does not if the loop over the loader is left early, and it draws it late: draw nothing
        else from that generator during an epoch.
        """
        integer("size", self.size, 1)
        count = integer("samples", self.size if self.samples is None else self.samples, 1)
        own = self.generator or (TorchGenerator(stream.random_int64()) if self.seeded else stream)
        if not self.seeded:
            return own.randint(0, self.size, count) if self.replacement else own.randperm(self.size)[:count]
        if self.replacement:
            sizes = (*[_AT_ONCE] * (count // _AT_ONCE), count % _AT_ONCE)
            return np.concatenate([own.randint(0, self.size, one) for one in sizes])
        whole = [own.randperm(self.size) for _ in range(count // self.size)]
        return np.concatenate([*whole, own.randperm(self.size)[: count % self.size]])


@dataclass(frozen=True, kw_only=True)
class SequentialSampler:
    """`SequentialSampler`, which a loader that does not shuffle uses. It draws nothing."""

    size: int

    def epoch(self, stream: TorchGenerator) -> Indices:
        """Return 0 to size - 1."""
        del stream
        return np.arange(self.size)


@dataclass(frozen=True, kw_only=True)
class SubsetRandomSampler:
    """`SubsetRandomSampler(indices, generator)`."""

    indices: Indices
    generator: TorchGenerator | None = None

    def epoch(self, stream: TorchGenerator) -> Indices:
        """Return the indices in another order."""
        order = (self.generator or stream).randperm(len(self.indices))
        return np.take(self.indices, order)


@dataclass(frozen=True, kw_only=True)
class WeightedRandomSampler:
    """`WeightedRandomSampler(weights, samples, replacement, generator)`. torch takes the weights in float64."""

    weights: Sequence[float]
    samples: int
    replacement: bool = True
    generator: TorchGenerator | None = None

    def epoch(self, stream: TorchGenerator) -> Indices:
        """Return samples, drawn by their weights."""
        weights = np.asarray(self.weights, np.float64)
        if weights.ndim != 1:
            raise ValueError(f"weights must have 1 axis, got {weights.ndim}")
        return (self.generator or stream).multinomial(weights, self.samples, replacement=self.replacement)


@dataclass(kw_only=True)
class DistributedSampler:
    """`DistributedSampler` of one process. It draws nothing from the default generator.

    Attributes:
        number: Of the epoch, which the program sets (`set_epoch`). Without that, every epoch has the same order.
    """

    size: int
    replicas: int
    rank: int
    shuffle: bool = True
    seed: int = 0
    drop_last: bool = False
    number: int = 0

    def epoch(self, stream: TorchGenerator) -> Indices:
        """Return the samples of this process in the epoch of this number."""
        del stream
        integer("rank", self.rank, 0, self.replicas - 1)
        order = TorchGenerator(self.seed + self.number).randperm(self.size) if self.shuffle else np.arange(self.size)
        each = self.size // self.replicas if self.drop_last else math.ceil(self.size / self.replicas)
        return np.resize(order, each * self.replicas)[self.rank :: self.replicas]


Sampler = RandomSampler | SequentialSampler | SubsetRandomSampler | WeightedRandomSampler | DistributedSampler


@dataclass
class Loader:
    """`DataLoader(sampler=…, generator=…)`: each pass draws a base seed, and then what its sampler draws.

    `DataLoader(data, shuffle=True, generator=g)` passes g to its `RandomSampler`, too.

    Attributes:
        sampler: Of the loader.
        generator: That was passed to the loader, from which it draws the base seeds.
        persistent: Whether the workers are persistent: then one base seed serves all passes.
        base_seed: Of the last pass. Worker w has the seed base_seed + w (`worker_seed`).
    """

    sampler: Sampler
    generator: TorchGenerator | None = None
    persistent: bool = False
    base_seed: int | None = field(default=None, init=False)

    def begin(self, stream: TorchGenerator) -> None:
        """Draw what `iter(loader)` draws: the base seed."""
        if self.base_seed is None or not self.persistent:
            self.base_seed = (self.generator or stream).random_int64()

    def epoch(self, stream: TorchGenerator) -> Indices:
        """Return the samples of one whole pass. A pass of the data for an evaluation draws a base seed, too.

        The sampler draws when the first batch is asked for. If the program draws something else between `iter(loader)`
        and then, as in `zip` of two loaders, call `begin(stream)` and later `sampler.epoch(stream)`.
        """
        self.begin(stream)
        return self.sampler.epoch(stream)

    def epochs(self, stream: TorchGenerator) -> Iterator[Indices]:
        """Yield the samples of each pass, endlessly."""
        while True:
            yield self.epoch(stream)


def random_split(stream: TorchGenerator, size: int, lengths: Sequence[int] | Sequence[float]) -> list[Indices]:
    """Return the indices of each part, as `random_split(data, lengths, generator)`; lengths may be fractions."""
    if sum(lengths) <= 1 and math.isclose(sum(lengths), 1):
        for fraction in lengths:
            probability(fraction, "a fraction")
        counts = [math.floor(size * fraction) for fraction in lengths]
        for extra in range(size - sum(counts)):
            counts[extra % len(counts)] += 1
    else:
        counts = [integer("a length", length, 0, size) for length in lengths]
    if sum(counts) != size:
        raise ValueError(f"lengths must sum to 1 or to the size {size}, got {list(lengths)}")
    return np.split(stream.randperm(size), np.cumsum(counts)[:-1])


def worker_seed(base_seed: int, worker: int) -> int:
    """Return the seed that a worker gives to torch and to `random`: also `torch.utils.data.get_worker_info().seed`."""
    return base_seed + worker


def worker_seed_of_numpy(base_seed: int, worker: int) -> UInt32[np.ndarray, "4"]:
    """Return what a worker gives to `numpy.random.seed`."""
    words = [worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(words).generate_state(4)
