"""Samplers and loaders beside torch's: the samples of several epochs, and the generators' states after them."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import data
from torch.utils.data._utils.worker import _generate_state

from jax_impl.replay import loaders
from jax_impl.replay.generator import TorchGenerator
from tests.tiers import slow


def assert_same_state(ours: TorchGenerator, theirs: torch.Tensor) -> None:
    np.testing.assert_array_equal(ours.state(), theirs.numpy())


def both(seed: int = 3) -> TorchGenerator:
    torch.manual_seed(seed)
    return TorchGenerator(seed)


def generators(own: bool) -> tuple[TorchGenerator | None, torch.Generator | None]:
    return (TorchGenerator(9), torch.Generator().manual_seed(9)) if own else (None, None)


def check_epochs(stream: TorchGenerator, ours: Any, theirs: Any, *, epochs: int = 3) -> None:
    for _ in range(epochs):
        np.testing.assert_array_equal(ours.epoch(stream), [int(one) for one in theirs])
    assert_same_state(stream, torch.get_rng_state())


@pytest.mark.parametrize("own", [False, True], ids=["default generator", "own generator"])
@pytest.mark.parametrize("n", [1, 2, 10, 33, 1000])
@pytest.mark.parametrize("options", [{}, {"replacement": True}, {"samples": 5}, {"samples": 70},
                                     {"replacement": True, "samples": 100}])  # fmt: skip
def test_random_samplers(n: int, options: dict[str, Any], own: bool) -> None:
    stream, (mine, yours) = both(), generators(own)
    theirs = data.RandomSampler(range(n), options.get("replacement", False), options.get("samples"), yours)
    check_epochs(stream, loaders.RandomSampler(size=n, generator=mine, **options), theirs)
    if mine is not None and yours is not None:
        assert_same_state(mine, yours.get_state())


@pytest.mark.parametrize("own", [False, True], ids=["default generator", "own generator"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("batch_size", "drop_last"), [(1, False), (3, False), (5, True), (3, True)])
def test_loaders(batch_size: int, drop_last: bool, shuffle: bool, own: bool) -> None:
    """The last permutation of an own generator is drawn however the epoch ends."""
    stream, (mine, yours), n = both(), generators(own), 10
    theirs = data.DataLoader(range(n), batch_size, shuffle, drop_last=drop_last, generator=yours)  # type: ignore[arg-type,var-annotated]
    sampler = loaders.RandomSampler(size=n, generator=mine) if shuffle else loaders.SequentialSampler(size=n)
    ours = loaders.Loader(sampler, mine).epochs(stream)
    for _ in range(3):
        samples = torch.cat(list(theirs)).numpy()
        np.testing.assert_array_equal(next(ours)[: len(samples)], samples)
    assert_same_state(stream, torch.get_rng_state())
    if mine is not None and yours is not None:
        assert_same_state(mine, yours.get_state())


WORKERS = """
import json, sys, torch
from torch.utils import data

class Seeds(data.Dataset):  # indices, and the seed of the worker that returns them
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.tensor([index, data.get_worker_info().seed])

torch.manual_seed(3)
loader = data.DataLoader(Seeds(), 2, shuffle=True, num_workers=2, persistent_workers=sys.argv[1] == "True")
epochs = [torch.cat(list(loader)).tolist() for _ in range(3)]
print(json.dumps([epochs, torch.get_rng_state().tolist()]))
"""


@pytest.mark.parametrize("persistent", [slow(False), True])
def test_workers_have_seeds_of_a_base_seed(persistent: bool) -> None:
    """Persistent workers keep the base seed of the first epoch. torch forks them: so in a process without JAX."""
    command = [sys.executable, "-c", WORKERS, str(persistent)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    epochs, state = json.loads(printed.stdout)
    stream = TorchGenerator(3)
    ours = loaders.Loader(loaders.RandomSampler(size=8), persistent=persistent)
    for samples in epochs:
        indices, seeds = np.array(samples).T
        np.testing.assert_array_equal(ours.epoch(stream), indices)
        assert ours.base_seed is not None
        assert set(seeds.tolist()) == {loaders.worker_seed(ours.base_seed, worker) for worker in (0, 1)}
    assert_same_state(stream, torch.tensor(state, dtype=torch.uint8))


@pytest.mark.parametrize("base_seed", [0, 5, 2**32 + 7, 2**63 - 1])
@pytest.mark.parametrize("worker", [0, 3])
def test_numpy_s_seed_in_a_worker(base_seed: int, worker: int) -> None:
    assert loaders.worker_seed_of_numpy(base_seed, worker).tolist() == list(_generate_state(base_seed, worker))


@pytest.mark.parametrize("own", [False, True], ids=["default generator", "own generator"])
def test_subsets_and_weights(own: bool) -> None:
    stream, (mine, yours) = both(), generators(own)
    indices = np.arange(20)[::-1] * 3
    check_epochs(stream, loaders.SubsetRandomSampler(indices=indices, generator=mine),
                 data.SubsetRandomSampler(indices.tolist(), yours))  # fmt: skip
    weights = np.random.default_rng(0).random(20).tolist()
    for replacement in (True, False):
        check_epochs(stream, loaders.WeightedRandomSampler(weights=weights, samples=9, replacement=replacement,
                                                           generator=mine),
                     data.WeightedRandomSampler(weights, 9, replacement, yours))  # fmt: skip


@pytest.mark.parametrize("lengths", [[7, 3], [0.3, 0.3, 0.4], [0.5, 0.5], [0.15, 0.85], [10]])
def test_random_splits(lengths: list[float]) -> None:
    stream = both()
    for ours, theirs in zip(
        loaders.random_split(stream, 10, lengths), data.random_split(range(10), lengths), strict=True
    ):  # type: ignore[arg-type]
        np.testing.assert_array_equal(ours, theirs.indices)
    assert_same_state(stream, torch.get_rng_state())


@pytest.mark.parametrize("n", [1, 2, 10, 33])
@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_distributed_samplers(n: int, replicas: int, drop_last: bool, shuffle: bool) -> None:
    for rank in range(replicas):
        options: dict[str, Any] = {"rank": rank, "shuffle": shuffle, "seed": 4, "drop_last": drop_last}
        theirs = data.distributed.DistributedSampler(range(n), replicas, **options)  # type: ignore[arg-type,var-annotated]
        ours = loaders.DistributedSampler(size=n, replicas=replicas, **options)
        for epoch in (0, 3):
            theirs.set_epoch(epoch)
            ours.number = epoch
            np.testing.assert_array_equal(ours.epoch(TorchGenerator(0)), list(theirs))


def test_a_loader_of_a_distributed_sampler_draws_its_base_seed() -> None:
    stream = both()
    options: dict[str, Any] = {"rank": 1, "shuffle": True}
    theirs = data.DataLoader(range(10), sampler=data.distributed.DistributedSampler(range(10), 2, **options))  # type: ignore[arg-type,var-annotated]
    check_epochs(stream, loaders.Loader(loaders.DistributedSampler(size=10, replicas=2, **options)), theirs)


def test_two_loaders_at_once_draw_their_base_seeds_first() -> None:
    stream = both()
    pairs = list(zip(*(data.DataLoader(range(12), shuffle=True) for _ in range(2)), strict=True))  # type: ignore[arg-type,var-annotated]
    ours = [loaders.Loader(loaders.RandomSampler(size=12)) for _ in range(2)]
    for one in ours:
        one.begin(stream)
    for one, theirs in zip(ours, zip(*pairs, strict=True), strict=True):
        np.testing.assert_array_equal(one.sampler.epoch(stream), torch.cat(theirs).numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: loaders.random_split(g, 10, [7, 4]), r"lengths must sum to 1 or to the size 10, got \[7, 4\]"),
        (lambda g: loaders.random_split(g, 10, [1.5, -0.5]), "a fraction must be 0 to 1, got 1.5"),
        (lambda g: loaders.RandomSampler(size=10, samples=0).epoch(g), "samples must be 1 to"),
        (lambda g: loaders.RandomSampler(size=0).epoch(g), "size must be 1 to"),
        (lambda g: loaders.RandomSampler(size=0, samples=5).epoch(g), "size must be 1 to"),
        (
            lambda g: loaders.WeightedRandomSampler(weights=np.ones((2, 2)), samples=1).epoch(g),
            "weights must have 1 axis",
        ),
        (lambda g: loaders.DistributedSampler(size=10, replicas=4, rank=4).epoch(g), "rank must be 0 to 3, got 4"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_torch_refuses_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(TorchGenerator(0))


def test_each_pass_draws_a_base_seed() -> None:
    """Seed 0, then rand(1): at once, after an unshuffled pass, after a shuffled one (pytorch issues 36998, 122697)."""
    passes = {0.4963: (), 0.0885: (loaders.SequentialSampler(size=5),), 0.3074: (loaders.RandomSampler(size=5),)}
    for value, samplers in passes.items():
        stream = TorchGenerator(0)
        for sampler in samplers:
            loaders.Loader(sampler).epoch(stream)
        assert round(float(stream.uniform(1)[0]), 4) == value


def test_an_early_release_drew_from_the_default_generator() -> None:
    stream, expected = TorchGenerator(5), TorchGenerator(5)
    early = loaders.Loader(loaders.RandomSampler(size=10, seeded=False)).epoch(stream)
    expected.random_int64()  # the base seed
    np.testing.assert_array_equal(early, expected.randperm(10))
    np.testing.assert_array_equal(stream.state(), expected.state())
