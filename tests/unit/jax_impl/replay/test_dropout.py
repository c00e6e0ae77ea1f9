"""Dropout, tensors that are not contiguous, and categories, beside torch."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from jax_impl.replay.generator import TorchGenerator
from tests.unit.jax_impl.replay.torch_pairs import (
    DTYPES,
    PLATFORM,
    all_dtypes,
    assert_in_step,
    assert_same,
    fused,
    pair,
)


class Global:
    """torch's default generator, from which dropout draws."""

    def get_state(self) -> torch.Tensor:
        return torch.get_rng_state()


def both(seed: int = 0) -> TorchGenerator:
    torch.manual_seed(seed)
    return TorchGenerator(seed, PLATFORM)


def agree(ours: TorchGenerator, actual: np.ndarray, expected: torch.Tensor) -> None:
    assert_same(actual, expected)
    assert_in_step(ours, Global())  # type: ignore[arg-type]


# Dropout


@all_dtypes
@pytest.mark.parametrize("rate", [0.0, 0.1, 1 / 3, 0.5, 1.0])
def test_dropout_is_torch_s(dtype: str, rate: float) -> None:
    ours = both()
    for n in (0, 1, 15, 16, 17, 1000):
        x = torch.arange(n).remainder(37).to(DTYPES[dtype]) - 3
        if dtype != "bfloat16":
            agree(ours, ours.dropout(x.numpy(), rate), functional.dropout(x, rate))
        elif 0 < rate < 1 and n:
            agree(ours, ours.dropout_mask(n, rate, dtype), functional.dropout(torch.ones_like(x), rate))


def test_dropout_in_modules_and_attention() -> None:
    ours = both()
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    agree(ours, ours.dropout(x.numpy(), 0.3), nn.Dropout(0.3)(x))
    channels = ours.dropout_mask((4, 6, 1), 0.3) * np.ones((4, 6, 5), np.float32)
    agree(ours, channels, functional.dropout1d(torch.ones(4, 6, 5), 0.3))
    q = torch.zeros(2, 3, 5, 4)  # so that all weights are 1/5
    weights = ours.dropout(np.full((2, 3, 5, 5), 0.2, np.float32), 0.5)
    theirs = functional.scaled_dot_product_attention(q, q, torch.eye(5).expand(2, 3, 5, 5), dropout_p=0.5)
    np.testing.assert_allclose(weights, theirs.numpy(), rtol=1e-6)
    assert_in_step(ours, Global())  # type: ignore[arg-type]
    attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
    ours = both()
    _, theirs = attention(q[:, 0], q[:, 0], q[:, 0], average_attn_weights=False)
    np.testing.assert_allclose(
        ours.dropout(np.full((4, 5, 5), 0.2, np.float32), 0.5).reshape(2, 2, 5, 5), theirs.detach(), rtol=1e-6
    )
    assert_in_step(ours, Global())  # type: ignore[arg-type]


@pytest.mark.parametrize(("platform", "total"), [("avx2", 2.4471), ("mkl", 1.8894)])
def test_dropout_depends_on_the_platform(platform: str, total: float) -> None:
    """Published sums (pytorch issues 121595 and 84030): seed 123, ten uniform numbers, and half of them dropped."""
    ours = TorchGenerator(123, platform)
    assert round(float(ours.dropout(ours.uniform(10), 0.5).sum()), 4) == total


def test_a_number_takes_more_of_the_stream_than_a_tensor() -> None:
    number, tensor, seed = (TorchGenerator(0, platform) for platform in ("avx2", "avx2", "mkl"))
    number.bernoulli(0.5, 100)
    tensor.bernoulli(np.full(100, 0.5, np.float32))
    seed.bernoulli(0.5, 100)
    for generator, words in ((number, 200), (tensor, 100), (seed, 1)):
        expected = TorchGenerator(0)
        expected.words(words)
        np.testing.assert_array_equal(generator.state(), expected.state())


# Tensors that are not contiguous

LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Callable[[torch.dtype], torch.Tensor]]] = {
    "transposed": ((3, 40), (1, 0), lambda dtype: torch.empty(40, 3, dtype=dtype).t()),
    "slice": ((40, 2), (0, 1), lambda dtype: torch.empty(40, 3, dtype=dtype)[:, :2]),
    "channels last": ((4, 3, 5, 2), (0, 2, 3, 1), lambda dtype: torch.empty(4, 3, 5, 2, dtype=dtype).to(
        memory_format=torch.channels_last)),
    "permuted": ((4, 3, 5), (2, 0, 1), lambda dtype: torch.empty(5, 4, 3, dtype=dtype).permute(1, 2, 0)),
    "small": ((3, 4), (1, 0), lambda dtype: torch.empty(4, 3, dtype=dtype).t()),
}  # fmt: skip


@fused
@all_dtypes
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensors_that_are_not_contiguous(layout: str, dtype: str) -> None:
    size, memory, make = LAYOUTS[layout]
    ours, theirs = pair()
    empty = make(DTYPES[dtype])
    assert not empty.is_contiguous()
    gaps = False if layout == "slice" else None
    for _ in range(2):
        drawn = ours.uniform(size, -0.3, 0.1, dtype, memory=memory)
        assert_same(drawn, empty.uniform_(-0.3, 0.1, generator=theirs))
        drawn = ours.normal(size, 0.3, 0.1, dtype, memory=memory, contiguous=gaps)
        assert_same(drawn, empty.normal_(0.3, 0.1, generator=theirs))
        assert_same(ours.exponential(size, 2.0, dtype, memory=memory), empty.exponential_(2.0, generator=theirs))
        assert_in_step(ours, theirs)


CONTIGUOUS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Callable[[], torch.Tensor]]] = {
    "1×1 kernels": ((20, 6, 1, 1), (0, 2, 3, 1), lambda: torch.empty(20, 6, 1, 1).to(
        memory_format=torch.channels_last)),
    "one channel": ((20, 1, 4, 5), (0, 2, 3, 1), lambda: torch.empty(20, 1, 4, 5).to(
        memory_format=torch.channels_last)),
    "a row, transposed": ((20, 1), (1, 0), lambda: torch.empty(1, 20).t()),
    "rows": ((5, 4), (0, 1), lambda: torch.empty(10, 4)[:5]),
}  # fmt: skip


@fused
@pytest.mark.parametrize("layout", CONTIGUOUS)
def test_axes_of_size_1_do_not_matter(layout: str) -> None:
    size, memory, make = CONTIGUOUS[layout]
    ours, theirs = pair()
    empty = make()
    assert empty.is_contiguous()
    for _ in range(2):
        assert_same(ours.normal(size, memory=memory), empty.normal_(generator=theirs))
        assert_in_step(ours, theirs)


def test_the_order_of_an_array_in_memory_is_torch_s() -> None:
    ours = both()
    x = np.random.default_rng(0).random((4, 3, 5, 2)).astype(np.float32)
    for array in (x, x.T, x.transpose(0, 3, 1, 2), np.asfortranarray(x), x[:, :2], x[::2], x[:, :, ::-1].copy()):
        agree(ours, ours.dropout(array, 0.5), functional.dropout(torch.from_numpy(array), 0.5))
    ours, theirs = pair()
    weights = x[:, :, 0, 0].T
    assert_same(ours.multinomial(weights, 2), torch.multinomial(torch.from_numpy(weights), 2, generator=theirs))
    assert_in_step(ours, theirs)


def test_any_view_has_torch_s_order_in_memory() -> None:
    """Transposed, with new axes and expanded: torch takes an array's strides, but those of axes of size 1."""
    rng = np.random.default_rng(0)
    for seed in range(300):
        stored = rng.random(rng.integers(1, 5, rng.integers(1, 5)), np.float32)
        x = stored.transpose(rng.permutation(stored.ndim).tolist())
        for _ in range(rng.integers(0, 3)):
            x = np.expand_dims(x, int(rng.integers(0, x.ndim + 1)))
        if rng.random() < 0.6:
            x = np.broadcast_to(x, [int(rng.integers(1, 4)) if length == 1 else length for length in x.shape])
        tensor = torch.from_numpy(stored).as_strided(x.shape, [stride // 4 for stride in x.strides])
        ours = both(seed)
        agree(ours, ours.dropout(x, 0.5), functional.dropout(tensor, 0.5))


def test_bfloat16_arrays_are_rounded_as_tensors_are() -> None:
    ours = both()
    x = torch.linspace(-3, 3, 50).bfloat16()
    agree(ours, ours.dropout(x.float().numpy().astype(jnp.bfloat16), 0.3), functional.dropout(x, 0.3))
    ours, theirs = pair()
    weights = torch.rand(2000, 300, generator=torch.Generator().manual_seed(1)).bfloat16()
    drawn = ours.multinomial(weights.float().numpy().astype(jnp.bfloat16), 1)
    assert_same(drawn, torch.multinomial(weights, 1, generator=theirs))


def test_a_numpy_number_is_a_number_and_a_list_is_refused() -> None:
    ours, theirs = pair()
    assert_same(ours.bernoulli(np.float32(0.3), 100), torch.empty(100).bernoulli_(0.3, generator=theirs))  # type: ignore[arg-type]
    assert_in_step(ours, theirs)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "call", [lambda g, x: g.bernoulli(x), lambda g, x: g.multinomial(x, 1), lambda g, x: g.dropout(x)]
)
def test_a_list_has_no_dtype(call: Callable[[TorchGenerator, list[float]], object]) -> None:
    with pytest.raises(TypeError, match=r"must be an array, as torch's tensor is, got \[0.2, 0.8\]"):
        call(TorchGenerator(0), [0.2, 0.8])


def test_a_tiny_rate_draws_nevertheless() -> None:
    ours = both()
    agree(ours, ours.dropout(np.ones(5, np.float32), 1e-17), functional.dropout(torch.ones(5), 1e-17))


def test_no_rows_draw_no_categories() -> None:
    assert TorchGenerator(0).multinomial(np.zeros((0, 4), np.float32), 2, replacement=True).shape == (0, 2)


def test_a_transposed_view_is_another_algorithm() -> None:
    """Seed 0, 8 × 4 (pytorch issue 166856): the first numbers of a contiguous tensor, and of a transposed view."""
    assert round(float(TorchGenerator(0).normal((8, 4))[0, 0]), 4) == -1.1258
    assert round(float(TorchGenerator(0).normal((8, 4), memory=(1, 0))[0, 0]), 4) == 1.5410


def test_a_mask_has_its_tensor_s_layout() -> None:
    ours = both()
    agree(ours, ours.dropout_mask((3, 40), 0.25, memory=(1, 0)), functional.dropout(torch.ones(40, 3).t(), 0.25))


# Categories


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (5,), (100,), (7, 33)])
def test_categories_are_torch_s(dtype: type, shape: tuple[int, ...]) -> None:
    ours, theirs = pair()
    weights = np.random.default_rng(0).random(shape).astype(dtype)
    yours = torch.from_numpy(weights)
    for samples in (1, 2, 1000):
        drawn = ours.multinomial(weights, samples, replacement=True)
        assert_same(drawn, torch.multinomial(yours, samples, True, generator=theirs))
    for samples in {1, shape[-1] // 2 or 1, shape[-1]}:
        drawn, expected = ours.multinomial(weights, samples), torch.multinomial(yours, samples, generator=theirs)
        if dtype is np.float16 and samples > 1:  # equal scores may come in the other order
            assert (np.sort(drawn) == np.sort(expected.numpy())).mean() > 0.9
        else:
            assert_same(drawn, expected)
    assert_in_step(ours, theirs)


@pytest.mark.parametrize("weights", [[1.0, 0.0, 2.0, 0.0], [[1.0, 1.0, 1.0], [0.0, 3.0, 0.0]]])
def test_each_sample_without_replacement_needs_a_weight(weights: list[float]) -> None:
    """torch goes on with categories of weight 0, in an order of its own."""
    with pytest.raises(ValueError, match=r"samples must be 1 to [12], the categories with a weight above 0, got 3"):
        TorchGenerator(0).multinomial(np.array(weights, np.float32), 3)


def test_a_score_that_is_not_a_number_is_the_largest() -> None:
    """In 16 bits an exponential number may be rounded to 0, and 0 / 0 is torch's largest score."""
    weights = np.zeros(2**22, np.float16)
    weights[0] = 1
    ours, theirs = pair(2)
    drawn = ours.multinomial(weights, 1)
    assert_same(drawn, torch.multinomial(torch.from_numpy(weights), 1, generator=theirs))
    assert drawn.item() != 0


def test_categories_without_weight_are_never_drawn() -> None:
    ours, theirs = pair()
    weights = np.random.default_rng(0).random(50).astype(np.float32)
    weights[::2] = 0
    for samples, replacement in ((20, False), (500, True)):
        drawn = ours.multinomial(weights, samples, replacement=replacement)
        assert_same(drawn, torch.multinomial(torch.from_numpy(weights), samples, replacement, generator=theirs))
        assert (drawn % 2 == 1).all()


@pytest.mark.parametrize(("samples", "first"), [(1, [1]), (2, [3, 0]), (3, [3, 0, 5])])
def test_one_sample_takes_another_path_than_many(samples: int, first: list[int]) -> None:
    """Seed 123 and ten equal weights (pytorch issues 114945 and 154031), in torch from 2.13 on."""
    drawn = TorchGenerator(123).multinomial(np.ones(10, np.float32), samples, replacement=True)
    assert drawn.tolist() == first
