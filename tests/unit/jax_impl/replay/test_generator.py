"""`TorchGenerator` beside torch itself: equal draws, and the stream spent alike after every one of them."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.rounding import multiply_add
from tests.unit.jax_impl.replay.torch_pairs import (
    MILLION,
    SEEDS,
    SIZES,
    TORCH,
    assert_in_step,
    assert_same,
    both_dtypes,
    fused,
    pair,
)

# Seeds and the raw stream


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seed_is_read_as_torch_reads_it(seed: int) -> None:
    ours, theirs = pair(seed)
    assert_same(ours.random_int64(1000), torch.empty(1000, dtype=torch.int64).random_(generator=theirs))
    assert_in_step(ours, theirs)  # the state holds the whole seed, not only the low bits


@pytest.mark.usefixtures("unchecked")
def test_a_numpy_integer_is_a_seed() -> None:
    assert TorchGenerator(np.int64(-777)).random_int64() == TorchGenerator(-777).random_int64()


def test_the_raw_stream_is_torchs() -> None:
    ours, theirs = pair()
    full_range = torch.empty(MILLION // 2, dtype=torch.int64).random_(-(2**63), None, generator=theirs)
    halves = full_range.numpy().view(np.uint64)
    raw = ours.words(MILLION)
    assert raw.dtype == np.uint32
    np.testing.assert_array_equal(raw[0::2], halves >> np.uint64(32))
    np.testing.assert_array_equal(raw[1::2], halves & np.uint64(2**32 - 1))


def test_drawing_in_pieces_is_drawing_at_once() -> None:
    pieces, whole = TorchGenerator(1), TorchGenerator(1)
    np.testing.assert_array_equal(
        np.concatenate([pieces.words(n) for n in (0, 1, 622, 1, 1, 625, 3000)]), whole.words(4250)
    )


# Integers and permutations


def test_int64_agrees_to_the_bit() -> None:
    ours, theirs = pair()
    assert_same(ours.random_int64(MILLION), torch.empty(MILLION, dtype=torch.int64).random_(generator=theirs))
    assert_in_step(ours, theirs)


def test_one_int64_is_a_python_int() -> None:
    ours, theirs = pair()
    one = ours.random_int64()
    assert isinstance(one, int)
    assert one == torch.empty((), dtype=torch.int64).random_(generator=theirs).item()


@pytest.mark.parametrize("n", [0, *SIZES, MILLION])
def test_permutations_agree(n: int) -> None:
    ours, theirs = pair()
    assert_same(ours.randperm(n), torch.randperm(n, generator=theirs))
    theirs_after = torch.empty(2, dtype=torch.int64).random_(generator=theirs)
    assert_same(ours.random_int64(2), theirs_after)


def test_permutations_of_every_small_length_agree() -> None:
    ours, theirs = pair()
    for n in range(300):
        assert_same(ours.randperm(n), torch.randperm(n, generator=theirs))


# Uniform draws


def xavier(fan_in: int, fan_out: int) -> float:
    return math.sqrt(3) * math.sqrt(2 / (fan_in + fan_out))


BOUNDS = {
    **{f"xavier-{i}-{o}": (-xavier(i, o), xavier(i, o)) for i, o in [(784, 256), (256, 256), (256, 10), (500, 10)]},
    **{f"he-{i}": (-math.sqrt(6) / math.sqrt(i), math.sqrt(6) / math.sqrt(i)) for i in (784, 256)},
    **{f"linear-{i}": (-1 / math.sqrt(i), 1 / math.sqrt(i)) for i in (784, 256, 500)},
    "unit": (0.0, 1.0),
    "lopsided": (-0.1, 0.3),
    "narrow": (1e3, 1e3 + 1e-3),
    "almost-unit": (1e-8, 1.0),
    "huge": (-1e30, 3e37),
    "subnormal": (-1e-42, 1e-40),
    "empty": (2.0, 2.0),
}


@fused
@both_dtypes
@pytest.mark.parametrize(("low", "high"), BOUNDS.values(), ids=BOUNDS)
def test_uniform_agrees_to_the_bit(low: float, high: float, dtype: type) -> None:
    ours, theirs = pair()
    n = MILLION if dtype is np.float32 else MILLION // 5
    expected = torch.empty(n, dtype=TORCH[dtype]).uniform_(low, high, generator=theirs)
    assert_same(ours.uniform(n, low, high, dtype), expected)
    assert_in_step(ours, theirs)


@fused
@both_dtypes
def test_uniform_leaves_out_its_upper_bound_as_torch_does(dtype: type) -> None:
    high = 2 / float(np.finfo(dtype).eps)  # high - 1 and high are neighbours, so half of the draws round to high
    ours, theirs = pair()
    values = ours.uniform(1000, high - 1, high, dtype)
    assert_same(values, torch.empty(1000, dtype=TORCH[dtype]).uniform_(high - 1, high, generator=theirs))
    assert (values == high - 1).all()


def test_multiply_add_rounds_once() -> None:
    draw = np.random.default_rng(0)
    for offset, factor in zip(draw.normal(size=30), 10 ** draw.uniform(-12, 12, 30), strict=True):
        x = draw.random(100)
        exact = [float(Fraction(value) * Fraction(factor) + Fraction(offset)) for value in x]
        np.testing.assert_array_equal(multiply_add(x, float(factor), float(offset)), exact)
    # 1 + 3/2 ulp - 2**-54: float64 loses the last term and leaves a tie, which float32 would round up.
    x, factor = np.array([(1 + 2**-15) / 2], np.float32), (1 - 2**-15) * 2**-23
    assert multiply_add(x, factor, 1 + 2**-23) == np.float32(1 + 2**-23)


@fused
def test_uniform_gives_a_linear_layer_its_weights() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(777)
        linear = torch.nn.Linear(784, 256)
        torch.nn.init.xavier_uniform_(linear.weight)
        weight, bias = linear.weight.detach(), linear.bias.detach()
    ours = TorchGenerator(777)
    ours.uniform((256, 784))  # the weight that nn.Linear drew and xavier_uniform_ replaced
    assert_same(ours.uniform(256, *BOUNDS["linear-784"]), bias)
    assert_same(ours.uniform((256, 784), *BOUNDS["xavier-784-256"]), weight)


# Normal draws


@fused
@both_dtypes
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.0, 0.05), (3.0, 2.0), (-0.5, 0.0)])
@pytest.mark.parametrize("n", [*SIZES, 200_003])
def test_normal_agrees(n: int, mean: float, std: float, dtype: type) -> None:
    ours, theirs = pair()
    expected = torch.empty(n, dtype=TORCH[dtype]).normal_(mean, std, generator=theirs)
    assert_same(ours.normal(n, mean, std, dtype), expected)
    assert_in_step(ours, theirs)


@fused
@both_dtypes
def test_normal_agrees_for_every_ragged_length(dtype: type) -> None:
    ours, theirs = pair()
    for n in range(70):
        expected = torch.empty(n, dtype=TORCH[dtype]).normal_(generator=theirs)
        assert_same(ours.normal(n, dtype=dtype), expected)
    assert_in_step(ours, theirs)


@fused
def test_the_second_normal_of_a_pair_waits_through_other_draws() -> None:
    ours, theirs = pair()
    assert_same(ours.normal(1), torch.empty(1).normal_(generator=theirs))
    assert_same(ours.uniform(3), torch.empty(3).uniform_(generator=theirs))
    assert_same(ours.normal(20), torch.empty(20).normal_(generator=theirs))
    assert_same(ours.randperm(10), torch.randperm(10, generator=theirs))
    before = ours.state()[:5016]  # up to where the waiting normal is
    # The one that waited: scaled for its own call, in the other precision, and without a draw.
    expected = torch.empty(1, dtype=torch.float64).normal_(5.0, 0.1, generator=theirs)
    assert_same(ours.normal(1, 5.0, 0.1, np.float64), expected)
    np.testing.assert_array_equal(ours.state()[:5016], before)


# Bernoulli draws


@both_dtypes
def test_bernoulli_agrees_for_a_tensor_of_probabilities(dtype: type) -> None:
    ours, theirs = pair()
    p = np.random.default_rng(0).random((1000, 500)).astype(dtype)
    p[0], p[1] = 0, 1
    assert_same(ours.bernoulli(p), torch.bernoulli(torch.from_numpy(p), generator=theirs))
    assert_in_step(ours, theirs)


def test_bernoulli_compares_with_the_probability_itself() -> None:
    p = TorchGenerator(777).uniform(1000)  # each as large as the draw it meets, which is then not below it
    assert not TorchGenerator(777).bernoulli(p).any()
    assert TorchGenerator(777).bernoulli(np.nextafter(p, np.float32(1))).all()


@both_dtypes
def test_bernoulli_broadcasts_as_torch_does(dtype: type) -> None:
    ours, theirs = pair()
    p = np.linspace(0, 1, 7, dtype=dtype)
    expected = torch.empty(300, 7, dtype=TORCH[dtype]).bernoulli_(torch.from_numpy(p), generator=theirs)
    assert_same(ours.bernoulli(p, (300, 7)), expected)
