"""`replay.init` beside `torch.nn.init`, with all its arguments, for layers and convolutions."""

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import init as theirs

from jax_impl.replay import init
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

Shape = tuple[int, ...]
SHAPES = [(3, 5), (256, 784), (16, 3, 3, 3), (8, 4, 5), (2, 2, 3, 3, 3), (1, 1)]
Ours = Callable[[TorchGenerator, Shape, str], np.ndarray]
Theirs = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
FUNCTIONS: dict[str, tuple[Ours, Theirs]] = {
    "xavier_uniform": (lambda g, s, d: init.xavier_uniform(g, s, 1.7, d),
                       lambda x, g: theirs.xavier_uniform_(x, 1.7, g)),
    "xavier_normal": (lambda g, s, d: init.xavier_normal(g, s, 1.7, d), lambda x, g: theirs.xavier_normal_(x, 1.7, g)),
    "kaiming_uniform by fan_out": (lambda g, s, d: init.kaiming_uniform(g, s, 0.3, "fan_out", dtype=d),
                                   lambda x, g: theirs.kaiming_uniform_(x, 0.3, "fan_out", generator=g)),
    "kaiming_normal for ReLU": (lambda g, s, d: init.kaiming_normal(g, s, 0.0, "fan_out", "relu", d),
                                lambda x, g: theirs.kaiming_normal_(x, 0, "fan_out", "relu", g)),
    "kaiming_normal for tanh": (lambda g, s, d: init.kaiming_normal(g, s, 0.0, "fan_in", "tanh", d),
                                lambda x, g: theirs.kaiming_normal_(x, 0, "fan_in", "tanh", g)),
    "kaiming_uniform for SELU": (lambda g, s, d: init.kaiming_uniform(g, s, 0.0, "fan_in", "selu", d),
                                 lambda x, g: theirs.kaiming_uniform_(x, 0, "fan_in", "selu", g)),
    "trunc_normal": (lambda g, s, d: init.trunc_normal(g, s, dtype=d),
                     lambda x, g: theirs.trunc_normal_(x, generator=g)),
    "trunc_normal, absolute bounds": (lambda g, s, d: init.trunc_normal(g, s, 0.0, 0.02, dtype=d),
                                      lambda x, g: theirs.trunc_normal_(x, 0.0, 0.02, generator=g)),
    "trunc_normal at one side": (lambda g, s, d: init.trunc_normal(g, s, 0.1, 0.02, 0.07, 0.12, d),
                                 lambda x, g: theirs.trunc_normal_(x, 0.1, 0.02, 0.07, 0.12, g)),
    "trunc_normal in a tail": (lambda g, s, d: init.trunc_normal(g, s, 0.0, 1.0, 2.0, 3.0, d),
                               lambda x, g: theirs.trunc_normal_(x, 0.0, 1.0, 2.0, 3.0, g)),
    "trunc_normal, bounds of many digits": (lambda g, s, d: init.trunc_normal(g, s, 0.1, 0.3, 0.35, 2.0, d),
                                            lambda x, g: theirs.trunc_normal_(x, 0.1, 0.3, 0.35, 2.0, g)),
    "trunc_normal beside the mean": (lambda g, s, d: init.trunc_normal(g, s, -0.7, 1.3, -0.9, -0.2, d),
                                     lambda x, g: theirs.trunc_normal_(x, -0.7, 1.3, -0.9, -0.2, g)),
    "xavier_uniform of gain 0": (lambda g, s, d: init.xavier_uniform(g, s, 0.0, d),
                                 lambda x, g: theirs.xavier_uniform_(x, 0.0, g)),
}  # fmt: skip


@fused
@all_dtypes
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_initialiser_is_torch_s(name: str, dtype: str) -> None:
    ours, yours = pair()
    mine, expected = FUNCTIONS[name]
    for shape in SHAPES:
        assert_same(mine(ours, shape, dtype), expected(torch.empty(shape, dtype=DTYPES[dtype]), yours))
        assert_in_step(ours, yours)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [*SHAPES, (64, 64), (64, 65)])
def test_orthogonal_matrices_agree_to_the_rounding_of_lapack(shape: Shape, dtype: str) -> None:
    ours, yours = pair()
    expected = theirs.orthogonal_(torch.empty(shape, dtype=DTYPES[dtype]), 1.3, yours)
    normal = TorchGenerator(777, PLATFORM).normal((shape[0], math.prod(shape[1:])), dtype=dtype)
    found = init.orthogonal(ours, shape, 1.3, dtype)
    assert found.dtype == expected.numpy().dtype
    # The error of Q is that of the matrix times its condition number; up to 2.1 times this was measured.
    rounding = np.finfo(dtype).eps * float(np.linalg.cond(normal))
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=8 * 1.3 * rounding)
    assert_in_step(ours, yours)


@fused
def test_sparse_and_dirac() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(777)
        assert_same(init.sparse(TorchGenerator(777), (10, 20), 0.35), theirs.sparse_(torch.empty(10, 20), 0.35))
    for shape, groups in (((4, 4, 3), 1), ((4, 2, 3, 3), 2), ((6, 3, 1, 2, 4), 3), ((2, 5, 3), 1)):
        assert_same(init.dirac(shape, groups), theirs.dirac_(torch.empty(shape), groups))


@pytest.mark.parametrize(
    "activation", ["conv1d", "conv_transpose3d", "linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_gains(activation: str) -> None:
    assert init.gain_of(activation) == theirs.calculate_gain(activation)
    assert init.gain_of(activation, 0.2) == theirs.calculate_gain(activation, 0.2)


def test_an_empty_weight_draws_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert theirs.kaiming_uniform_(torch.empty(0, 3)).shape == (0, 3)
    generator = TorchGenerator(0)
    assert init.kaiming_uniform(generator, (0, 3), dtype="float64").dtype == np.float64
    assert init.kaiming_uniform(generator, (0, 3)).shape == init.kaiming_normal(generator, (3, 0)).shape[::-1] == (0, 3)
    np.testing.assert_array_equal(generator.state(), TorchGenerator(0).state())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: init.xavier_normal(g, (3,)), r"fans need a shape with 2 axes or more, got \(3,\)"),
        (lambda g: init.kaiming_normal(g, (3, 4), mode="fan"), "mode must be fan_in or fan_out, got 'fan'"),
        (lambda g: init.kaiming_normal(g, (3, 4), nonlinearity="gelu"), "nonlinearity must be .*, got 'gelu'"),
        (lambda g: init.sparse(g, (3, 4, 5), 0.5), "sparse needs a shape with 2 axes"),
        (lambda g: init.orthogonal(g, (3, 4), dtype="bfloat16"), "dtype must be float32 or float64"),
        (lambda g: init.dirac((3, 4)), "dirac needs a shape with 3 to 5 axes"),
        (lambda g: init.dirac((3, 4, 5), 2), "multiple of groups, got 3 and 2"),
        (lambda g: init.dirac((3, 4, 5), 0), "multiple of groups, got 3 and 0"),
        (lambda g: init.xavier_uniform(g, (0, 0)), r"fan_in and fan_out must not both be 0, got the shape \(0, 0\)"),
        (lambda g: init.trunc_normal(g, (3, 4), std=0.0), "std must be above 0, got 0.0"),
    ],
)
def test_a_wrong_argument_is_named(call: Callable[[TorchGenerator], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(TorchGenerator(0))
