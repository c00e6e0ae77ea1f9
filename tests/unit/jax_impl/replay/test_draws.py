"""Each draw beside torch's, in all dtypes and on both sides of every limit: equal bits, and equal states afterwards."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from jax_impl.replay import discrete, mersenne, normals, permutations, rounding
from jax_impl.replay.generator import TorchGenerator
from tests.tiers import slow
from tests.unit.jax_impl.replay.torch_pairs import DTYPES, PLATFORM, assert_in_step, assert_same, fused, pair

Ours = Callable[[TorchGenerator, int], np.ndarray]
Theirs = Callable[[torch.Generator, int], torch.Tensor]
SIZES = (*range(1, 18), 31, 32, 33, 1000)
LARGE = (60_000, 10**6)
INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")


def floats(name: str, dtype: torch.dtype) -> Iterator[tuple[str, Ours, Theirs]]:
    """Yield draws of a floating-point dtype."""

    def empty(n: int) -> torch.Tensor:
        return torch.empty(n, dtype=dtype)

    yield "uniform", lambda g, n: g.uniform(n, dtype=name), lambda g, n: empty(n).uniform_(generator=g)
    yield ("uniform between", lambda g, n: g.uniform(n, -0.3, 0.1, name),
           lambda g, n: empty(n).uniform_(-0.3, 0.1, generator=g))  # fmt: skip
    yield "normal", lambda g, n: g.normal(n, dtype=name), lambda g, n: empty(n).normal_(generator=g)
    yield ("normal around", lambda g, n: g.normal(n, 0.3, 0.02, name),
           lambda g, n: empty(n).normal_(0.3, 0.02, generator=g))  # fmt: skip
    yield ("exponential", lambda g, n: g.exponential(n, 2.5, name),
           lambda g, n: empty(n).exponential_(2.5, generator=g))  # fmt: skip
    yield "geometric", lambda g, n: g.geometric(n, 0.3, name), lambda g, n: empty(n).geometric_(0.3, generator=g)
    yield "cauchy", lambda g, n: g.cauchy(n, 0.3, 2.0, name), lambda g, n: empty(n).cauchy_(0.3, 2.0, generator=g)
    yield ("log_normal", lambda g, n: g.log_normal(n, 0.3, 2.0, name),
           lambda g, n: empty(n).log_normal_(0.3, 2.0, generator=g))  # fmt: skip
    yield "bernoulli", lambda g, n: g.bernoulli(0.9, n, name), lambda g, n: empty(n).bernoulli_(0.9, generator=g)
    if name != "bfloat16":  # of which NumPy has no arrays
        yield ("bernoulli of an array", lambda g, n: g.bernoulli(probabilities(n, name)),
               lambda g, n: torch.bernoulli(torch.from_numpy(probabilities(n, name)), generator=g))  # fmt: skip
    yield "random", lambda g, n: g.random(n, name), lambda g, n: empty(n).random_(generator=g)
    yield "randint", lambda g, n: g.randint(-3, 100, n, name), lambda g, n: empty(n).random_(-3, 100, generator=g)


def probabilities(n: int, dtype: str) -> np.ndarray:
    """Return n numbers from 0 to 1."""
    return (np.arange(n) * 0.61803398875 % 1).astype(dtype)


def integers(name: str) -> Iterator[tuple[str, Ours, Theirs]]:
    """Yield draws of an integer dtype."""
    dtype = getattr(torch, name)
    high = 2 if name == "bool" else 100
    yield "random", lambda g, n: g.random(n, name), lambda g, n: torch.empty(n, dtype=dtype).random_(generator=g)
    yield ("randint", lambda g, n: g.randint(0, high, n, name),
           lambda g, n: torch.empty(n, dtype=dtype).random_(0, high, generator=g))  # fmt: skip


def ranges() -> Iterator[tuple[str, Ours, Theirs]]:
    """Yield integers on both sides of the limit from which on they take 64 bits, and permutations."""
    for low, high in ((0, 2**28 - 1), (0, 2**28), (-5, 2**40), (-(2**63), 2**63 - 1)):
        yield (f"randint {low} {high}", lambda g, n, low=low, high=high: g.randint(low, high, n),
               lambda g, n, low=low, high=high: torch.randint(low, high, (n,), generator=g))  # fmt: skip
    yield "randperm", lambda g, n: g.randperm(n), lambda g, n: torch.randperm(n, generator=g)
    weights = probabilities(100, "float32")
    yield ("multinomial", lambda g, n: g.multinomial(weights, n, replacement=True),
           lambda g, n: torch.multinomial(torch.from_numpy(weights), n, True, generator=g))  # fmt: skip


CASES = [
    *((f"{name} {dtype}", a, b) for dtype, kind in DTYPES.items() for name, a, b in floats(dtype, kind)),
    *((f"{name} {dtype}", a, b) for dtype in INTEGERS for name, a, b in integers(dtype)),
    *ranges(),
]
by_case = pytest.mark.parametrize(("ours", "theirs"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])


def check(ours: Ours, theirs: Theirs, sizes: tuple[int, ...], seed: int) -> None:
    """Draw tensors of several sizes one after the other."""
    mine, yours = pair(seed)
    for n in sizes:
        assert_same(ours(mine, n), theirs(yours, n))
        assert_in_step(mine, yours)


@fused
@by_case
def test_a_draw_agrees_to_the_bit(ours: Ours, theirs: Theirs) -> None:
    for seed in range(3):
        check(ours, theirs, SIZES, seed)


@fused
@pytest.mark.slow
@by_case
def test_ten_million_numbers_agree_to_the_bit(ours: Ours, theirs: Theirs) -> None:
    for seed in range(20):
        check(ours, theirs, (*SIZES, *(LARGE if seed % 2 else LARGE[:1])), seed)


SEED_0 = {  # ports that went wrong: pytorch pull requests 143682 and 143787
    2**28 - 1: (209652404, 130329144, 118924928),
    2**28: (130329135, 136432832, 195187451),
}


@pytest.mark.parametrize("high", SEED_0)
def test_known_integers_on_both_sides_of_the_limit(high: int) -> None:
    theirs = torch.randint(high, (3,), generator=torch.Generator().manual_seed(0))
    assert tuple(TorchGenerator(0).randint(0, high, 3).tolist()) == tuple(theirs.tolist()) == SEED_0[high]


@pytest.mark.parametrize(("n", "first"), [(214_748_363, 209_652_414), slow(214_748_364, 180_140_102)])
def test_permutations_on_both_sides_of_their_limit(n: int, first: int) -> None:
    """The first entries, without memory for the others. The generator advances as for all of them."""
    generator = TorchGenerator(0)
    assert generator.randperm(n, first=5)[0] == first
    expected = TorchGenerator(0)
    expected.skip(2 * n if n >= permutations.LIMIT else n - 1)
    np.testing.assert_array_equal(generator.state(), expected.state())


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000])
def test_a_long_permutation_is_built_from_the_inside(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """The loop of torch's source for long ones. Whole, it would need more memory than a test should."""
    monkeypatch.setattr(permutations, "LIMIT", 1)
    monkeypatch.setattr(discrete, "PART", 7)
    expected = list(range(n))
    for i, word in enumerate(TorchGenerator(3).words64(n).tolist()):
        place = word % (i + 1)
        expected[i], expected[place] = expected[place], i
    assert TorchGenerator(3).randperm(n).tolist() == expected
    for first in (0, 1, n // 2, n):
        assert TorchGenerator(3).randperm(n, first=first).tolist() == expected[:first]


@pytest.mark.parametrize("n", [1, 2, 10, 1000])
def test_the_first_entries_of_a_permutation(n: int) -> None:
    whole = TorchGenerator(3)
    order = whole.randperm(n)
    for first in (0, 1, n // 2, n):
        part = TorchGenerator(3)
        np.testing.assert_array_equal(part.randperm(n, first=first), order[:first])
        np.testing.assert_array_equal(part.state(), whole.state())


# Planted faults: each would be seen


def one_ulp(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(normals, "_LOG", (*normals._LOG[:-1], np.nextafter(normals._LOG[-1], np.float32(0))))


def two_roundings(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(normals, "multiply_add", lambda x, a, b: (x * a + b).astype(x.dtype))


def swapped_pair(patch: pytest.MonkeyPatch) -> None:
    right = normals.sincos
    patch.setattr(normals, "sincos", lambda x: right(x)[::-1])


def one_draw_too_many(patch: pytest.MonkeyPatch) -> None:
    right = mersenne.Mersenne.unit
    patch.setattr(mersenne.Mersenne, "unit", lambda self, n, kind: right(self, n + 1, kind)[:n])


def other_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(discrete, "WIDE", 2**32)


def other_order_of_halves(patch: pytest.MonkeyPatch) -> None:
    right = mersenne.Mersenne.words64
    patch.setattr(mersenne.Mersenne, "words64", lambda self, n: (right(self, n) << 32) | (right(self, 0).sum()))


def cut_bfloat16(patch: pytest.MonkeyPatch) -> None:
    from jax_impl.replay import arguments

    cut = np.uint32(0xFFFF0000)
    patch.setattr(arguments, "to_bfloat16", lambda x: (x.view(np.uint32) & cut).view(np.float32))


FAULTS: list[tuple[Callable[[pytest.MonkeyPatch], None], str]] = [
    (one_ulp, "normal float32"),
    (two_roundings, "normal float32"),
    (swapped_pair, "normal float32"),
    (one_draw_too_many, "uniform float32"),
    (one_draw_too_many, "normal float16"),
    (other_limit, f"randint 0 {2**28}"),
    (other_order_of_halves, "exponential float32"),
    (cut_bfloat16, "uniform bfloat16"),
]


@fused
@pytest.mark.parametrize(("plant", "name"), FAULTS, ids=lambda one: getattr(one, "__name__", one))
def test_a_planted_fault_is_seen(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], name: str
) -> None:
    ours, theirs = next((a, b) for case, a, b in CASES if case == name)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(ours, theirs, SIZES, 0)


def test_numbers_that_are_halfway_are_rounded_once() -> None:
    """An offset that float64 loses decides the last bit of float32."""
    x = np.array([1 + 2**-23], np.float32)
    assert rounding.multiply_add(x, np.float32(1 + 2**-23), np.float32(2**-60)) == np.float32(1 + 2**-22)
    half = np.array([1 + 2**-12], np.float32)  # its square is 1 + 2**-11 + 2**-24: halfway
    for offset, expected in ((2.0**-60, 1 + 2**-11 + 2**-23), (-(2.0**-60), 1 + 2**-11), (0.0, 1 + 2**-11)):
        assert rounding.multiply_add(half, half[0], np.float32(offset)) == np.float32(expected)
    tiny = np.array([2.0**-75 * (1 + 2**-23)], np.float32)  # the product is subnormal in float32
    exact: Any = float(tiny[0]) * float(tiny[0])
    assert rounding.multiply_add(tiny, tiny[0], np.float32(0)) == np.float32(exact)


def test_this_machine_s_platform_is_known() -> None:
    assert PLATFORM in mersenne.PLATFORMS
    assert TorchGenerator(0, PLATFORM).platform == PLATFORM
    with pytest.raises(ValueError, match="platform must be avx2, mkl or default, got 'sse'"):
        TorchGenerator(0, "sse")
