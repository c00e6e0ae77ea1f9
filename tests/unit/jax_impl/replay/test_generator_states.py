"""`TorchGenerator` beside torch: draws of all kinds in a row, states, shapes and wrong arguments."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from jax_impl.replay.generator import TorchGenerator
from tests.unit.jax_impl.replay.torch_pairs import (
    TORCH,
    assert_in_step,
    assert_same,
    fused,
    pair,
)

# Sequences and states


@fused
def test_different_draws_in_a_row_stay_in_step() -> None:
    ours, theirs = pair()
    assert_same(ours.uniform(11), torch.empty(11).uniform_(generator=theirs))
    assert_same(ours.normal(5), torch.empty(5).normal_(generator=theirs))
    assert_same(ours.randperm(1000), torch.randperm(1000, generator=theirs))
    assert_same(ours.normal(20), torch.empty(20).normal_(generator=theirs))
    assert_same(ours.random_int64(3), torch.empty(3, dtype=torch.int64).random_(generator=theirs))
    assert_same(ours.uniform((3, 5), -1.0, 1.0), torch.empty(3, 5).uniform_(-1, 1, generator=theirs))
    assert_same(ours.normal(2), torch.empty(2).normal_(generator=theirs))


@fused
@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_random_draws_stay_in_step(seed: int) -> None:
    ours, theirs = pair(seed)
    choice = np.random.default_rng(seed)
    for _ in range(100):
        n, dtype = int(choice.integers(0, 40)), (np.float32, np.float64)[choice.integers(2)]
        empty = torch.empty(n, dtype=TORCH[dtype])
        match choice.integers(5):
            case 0:
                assert_same(ours.uniform(n, -0.3, 0.1, dtype), empty.uniform_(-0.3, 0.1, generator=theirs))
            case 1:
                expected = empty.normal_(0.0, 2.0, generator=theirs)
                assert_same(ours.normal(n, 0.0, 2.0, dtype), expected)
            case 2:
                assert_same(ours.randperm(n), torch.randperm(n, generator=theirs))
            case 3:
                assert_same(ours.random_int64(n), torch.empty(n, dtype=torch.int64).random_(generator=theirs))
            case 4:
                p = choice.random(n).astype(dtype)
                assert_same(ours.bernoulli(p), torch.bernoulli(torch.from_numpy(p), generator=theirs))


@pytest.mark.parametrize("normals", [0, 4, 5, 16], ids=lambda n: f"after-{n}-normals")
@pytest.mark.parametrize("draws", [0, 1, 623, 624, 625])
def test_a_restored_generator_continues_the_stream(draws: int, normals: int) -> None:
    original = TorchGenerator(-5)
    original.words(draws)
    original.normal(normals)
    state = original.state()
    restored = TorchGenerator.from_state(state)
    state[:] = 0  # a copy: neither generator notices
    for generator in (original, restored):
        generator.uniform(3)
    np.testing.assert_array_equal(original.normal(3), restored.normal(3))
    np.testing.assert_array_equal(original.randperm(1000), restored.randperm(1000))
    np.testing.assert_array_equal(original.state(), restored.state())


@fused
@pytest.mark.parametrize("draws", [0, 1, 623, 624, 625])
def test_states_pass_between_torch_and_here(draws: int) -> None:
    ours, theirs = pair(-5)
    ours.words(draws)
    theirs.set_state(torch.from_numpy(ours.state()))
    assert_same(ours.normal(3), torch.empty(3).normal_(generator=theirs))
    ours = TorchGenerator.from_state(theirs.get_state().numpy())
    assert_same(ours.normal(3), torch.empty(3).normal_(generator=theirs))
    assert_same(ours.randperm(1000), torch.randperm(1000, generator=theirs))
    assert_in_step(ours, theirs)


@pytest.mark.parametrize("draws", [0, 1])
def test_a_fresh_torch_state_is_read(draws: int) -> None:
    theirs = torch.Generator().manual_seed(9)
    torch.empty(draws).uniform_(generator=theirs)
    ours = TorchGenerator.from_state(theirs.get_state().numpy())
    assert_same(ours.uniform(700), torch.empty(700).uniform_(generator=theirs))


def test_loader_epochs_are_replayed() -> None:
    """An epoch, an evaluation and the next epoch's start; older torch releases shuffled with the global generator."""
    data = TensorDataset(torch.arange(60_000))
    ours = TorchGenerator(777)

    def order() -> np.ndarray:
        ours.random_int64()  # the loader's base seed
        return TorchGenerator(ours.random_int64()).randperm(60_000).reshape(600, 100)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(777)
        training = DataLoader(data, batch_size=100, shuffle=True, drop_last=True)
        assert_same(order(), torch.stack([batch for (batch,) in training]))
        next(iter(DataLoader(data, batch_size=100)))
        ours.random_int64()  # a loader that does not shuffle asks for a base seed too
        (batch,) = next(iter(training))
        assert_same(order()[0], batch)
        assert ours.random_int64() == torch.empty((), dtype=torch.int64).random_().item()


@fused
@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_torchs_threads_does_not_matter(threads: int) -> None:
    ours, theirs = pair()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_same(ours.uniform(100_000), torch.empty(100_000).uniform_(generator=theirs))
        assert_same(ours.normal(100_000), torch.empty(100_000).normal_(generator=theirs))
        assert_same(ours.randperm(100_000), torch.randperm(100_000, generator=theirs))
        assert_same(ours.bernoulli(0.5, 100_000), torch.empty(100_000).bernoulli_(0.5, generator=theirs))
        p = np.full(100_000, 0.5, np.float32)
        assert_same(ours.bernoulli(p), torch.from_numpy(p).bernoulli(generator=theirs))
    finally:
        torch.set_num_threads(before)


# Shapes and wrong arguments


@pytest.mark.parametrize("size", [0, 3, (), (0, 3), (2, 3, 4)])
def test_draws_have_the_shape_asked_for(size: int | tuple[int, ...]) -> None:
    shape = size if isinstance(size, tuple) else (size,)
    generator = TorchGenerator(0)
    assert (
        generator.uniform(size).shape == generator.normal(size).shape == generator.bernoulli(0.5, size).shape == shape
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("seed", [True, np.True_, 1.0, "777", None])
def test_a_seed_must_be_an_integer(seed: object) -> None:
    with pytest.raises(TypeError, match=r"^seed must be an integer, got \S+$"):
        TorchGenerator(seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**64])
def test_a_seed_must_fit_64_bits_as_in_torch(seed: int) -> None:
    with pytest.raises(ValueError, match=f"^seed must be {-(2**63)} to {2**64 - 1}, got {seed}$"):
        TorchGenerator(seed)
    with pytest.raises(ValueError, match="Overflow"):
        torch.manual_seed(seed)


WRONG = {
    "uniform-negative": (lambda g: g.uniform(-1), ValueError, "^size must be 0 to .*, got -1$"),
    "uniform-negative-in-tuple": (lambda g: g.uniform((3, -1)), ValueError, "^size must be 0 to .*, got -1$"),
    "uniform-bool": (lambda g: g.uniform(True), TypeError, "^size must be an integer, got True$"),
    "uniform-list": (lambda g: g.uniform([2, 3]), TypeError, r"^size must be an integer, got \[2, 3\]$"),
    "uniform-order": (lambda g: g.uniform(1, 2.0, 1.0), ValueError, r"^low <= high must .*, got 2\.0 and 1\.0$"),
    "uniform-nan": (lambda g: g.uniform(1, math.nan), ValueError, r"^low <= high must .*, got nan and 1\.0$"),
    "uniform-wide": (lambda g: g.uniform(1, -2e38, 2e38), ValueError, r"^low <= high must be within 3\.403e\+38"),
    "uniform-wide-64": (lambda g: g.uniform(1, 0.0, 1e300, np.float64), ValueError, r"within 1e\+290"),
    "uniform-dtype": (lambda g: g.uniform(1, dtype=np.int8), ValueError, "^dtype must be .*, got int8$"),
    "normal-negative": (lambda g: g.normal(-1), ValueError, "^size must be 0 to .*, got -1$"),
    "normal-std": (lambda g: g.normal(1, 0.0, -1.0), ValueError, r"^std must be 0 to 1e\+290, got -1\.0$"),
    "normal-nan": (lambda g: g.normal(1, 0.0, math.nan), ValueError, "^std must be 0 to .*, got nan$"),
    "normal-infinite": (lambda g: g.normal(1, math.inf), ValueError, "^mean must be .*, got inf$"),
    "normal-dtype": (lambda g: g.normal(1, dtype=np.int64), ValueError, "^dtype must be .*, got int64$"),
    "int64-negative": (lambda g: g.random_int64(-1), ValueError, "^n must be 0 to .*, got -1$"),
    "int64-float": (lambda g: g.random_int64(2.0), TypeError, r"^n must be an integer, got 2\.0$"),
    "raw-negative": (lambda g: g.words(-1), ValueError, "^n must be 0 to .*, got -1$"),
    "randperm-negative": (lambda g: g.randperm(-1), ValueError, "^n must be 0 to .*, got -1$"),
    "randperm-float": (lambda g: g.randperm(3.0), TypeError, r"^n must be an integer, got 3\.0$"),
    "randperm-first": (lambda g: g.randperm(5, first=6), ValueError, "^first must be 0 to 5, got 6$"),
    "randint-empty": (lambda g: g.randint(3, 3, 1), ValueError, "^low must be below high, got 3 and 3$"),
    "randint-uint8": (lambda g: g.randint(0, 257, 1, np.uint8), ValueError, "^high must be 0 to 256, got 257$"),
    "randint-negative": (lambda g: g.randint(-1, 5, 1, np.uint8), ValueError, "^low must be 0 to 255, got -1$"),
    "randint-float16": (lambda g: g.randint(0, 2050, 1, "float16"), ValueError, "^high must be .* to 2049, got 2050$"),
    "randint-float": (lambda g: g.randint(0, 2.5, 1), TypeError, r"^high must be an integer, got 2\.5$"),
    "randint-dtype": (lambda g: g.randint(0, 2, 1, np.uint32), ValueError, "^dtype must be bool, .*, got uint32$"),
    "random-dtype": (lambda g: g.random(1, "complex64"), ValueError, "^dtype must be bool, .*, got complex64$"),
    "exponential-rate": (lambda g: g.exponential(1, 0.0), ValueError, r"^rate must be 1e-290 to 1e\+290, got 0\.0$"),
    "geometric-p": (lambda g: g.geometric(1, 1.0), ValueError, r"^p must be above 0 and below 1, got 1\.0$"),
    "cauchy-sigma": (lambda g: g.cauchy(1, 0.0, -1.0), ValueError, r"^sigma must be 1e-290 to .*, got -1\.0$"),
    "log_normal-std": (lambda g: g.log_normal(1, 0.0, math.nan), ValueError, "^std must be 1e-290 to .*, got nan$"),
    "cauchy-median": (lambda g: g.cauchy(1, math.inf), ValueError, "^median must be .*, got inf$"),
    "uniform-float16": (lambda g: g.uniform(1, 0.0, 1e5, "float16"), ValueError, "within 6.55e.04 of 0 and each other"),
    "uniform-float16-wide": (lambda g: g.uniform(1, -65504.0, 65504.0, "float16"), ValueError, "and each other, got"),
    "uniform-none": (lambda g: g.uniform(1, dtype=None), ValueError, "^dtype must be .*, got None$"),
    "randint-none": (lambda g: g.randint(0, 9, 1, None), ValueError, "^dtype must be .*, got None$"),
    "uniform-tiny": (lambda g: g.uniform(1, 0.0, 1e-300, np.float64), ValueError, "^high must be 0 or at least 1e-290"),
    "normal-tiny": (lambda g: g.normal(1, 0.0, 1e-300, np.float64), ValueError, "^std must be 0 or at least 1e-290"),
    "dropout-memory": (lambda g: g.dropout(np.ones(3), 0.0, memory=(5,)), ValueError, "^memory must list the axes"),
    "dropout-p": (lambda g: g.dropout_mask(3, 1.5), ValueError, r"^p must be 0 to 1, got 1\.5$"),
    "memory-axes": (
        lambda g: g.dropout_mask((2, 3), 0.0, memory=(0, 2)),
        ValueError,
        "^memory must list the axes 0 to 1",
    ),
    "multinomial-samples": (lambda g: g.multinomial(np.ones(3), 4), ValueError, "^samples must be 1 to 3, .*, got 4$"),
    "multinomial-sum": (lambda g: g.multinomial(np.zeros(3), 1), ValueError, "^weights must have a sum above 0"),
    "multinomial-sign": (lambda g: g.multinomial(np.array([1.0, -1.0]), 1), ValueError, "^weights must be finite"),
    "bernoulli-low": (lambda g: g.bernoulli(-0.1, 3), ValueError, r"^p must be 0 to 1, got -0\.1$"),
    "bernoulli-high": (
        lambda g: g.bernoulli(np.array([0.5, 1.5])),
        ValueError,
        r"^p must be 0 to 1, got 0\.5 to 1\.5$",
    ),
    "bernoulli-nan": (lambda g: g.bernoulli(math.nan), ValueError, "^p must be 0 to 1, got nan"),
    "bernoulli-dtype": (lambda g: g.bernoulli(np.array([1])), ValueError, "^p's dtype must be .*, got int64$"),
    "bernoulli-shape": (
        lambda g: g.bernoulli(np.full(3, 0.5), (3, 2)),
        ValueError,
        r"^p must broadcast to size \(3, 2\), got shape \(3,\)$",
    ),
    "state-shape": (lambda g: g.from_state(g.state()[1:]), ValueError, r"^state must be uint8 \(5056,\), got uint8 "),
    "state-dtype": (lambda g: g.from_state(g.state().astype(float)), ValueError, "^state must be uint8 .* float64 "),
    "state-zeros": (lambda g: g.from_state(0 * g.state()), ValueError, "^state must be a generator's"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("call", "error", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_named_and_draws_nothing(
    call: Callable[[TorchGenerator], object], error: type[Exception], message: str
) -> None:
    generator = TorchGenerator(777)
    with pytest.raises(error, match=message):
        call(generator)
    assert generator.random_int64() == TorchGenerator(777).random_int64()
