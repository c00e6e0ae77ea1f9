"""Bounds, moments and distributions of every initialiser, compared with theory (SciPy) and with torch.

A sample passes the Kolmogorov-Smirnov test if p > 1e-4. The seeds are fixed, and there are some 400 such tests here: if
all initialisers are correct, the chance that one test ever failed is 1 in 25. Wrong ones of these sizes have p < 1e-10.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import stats

from jax_impl import initializers
from jax_impl.recipes import DATA_DRIVEN
from tests.laws import EXACT, LAWS, OTHERS, uniform
from torch_ref.model import BIAS_INITS, INITS

SEEDS = range(5)
SHAPES = ((784, 256), (256, 256), (256, 10))  # (fan_in, fan_out)
P_MIN = 1e-4


def draw(init: initializers.Initializer, seed: int, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(init(jax.random.key(seed), shape, jnp.float32))


def agrees(sample: np.ndarray, law: stats.rv_continuous) -> bool:
    """Bounds, mean, standard deviation (each within 4.5 standard errors) and the KS test against `law`."""
    sample = sample.astype(np.float64).ravel()
    low, high = law.support()
    slack = 1e-6 * law.std()  # float32 rounds a bound by 6e-8 of itself
    mean_error = law.std() / math.sqrt(sample.size)
    kurtosis = float(law.stats(moments="k")) + 3
    std_error = law.std() * math.sqrt((kurtosis - 1) / (4 * sample.size))
    return (
        sample.min() >= low - slack
        and sample.max() <= high + slack
        and abs(sample.mean() - law.mean()) < 4.5 * mean_error
        and abs(sample.std() - law.std()) < 4.5 * std_error
        and stats.kstest(sample, law.cdf).pvalue > P_MIN
    )


def test_every_initialiser_has_a_test() -> None:
    assert set(initializers.KERNELS) == set(LAWS) | set(EXACT) | OTHERS
    assert set(INITS) <= {*initializers.KERNELS, *DATA_DRIVEN}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_distribution_is_the_published_one(name: str, shape: tuple[int, int]) -> None:
    for seed in SEEDS:
        assert agrees(draw(initializers.KERNELS[name](), seed, shape), LAWS[name](*shape))


@pytest.mark.parametrize("name", sorted(set(LAWS) & set(INITS)))
@pytest.mark.parametrize("shape", SHAPES)
def test_distribution_is_torch_s(name: str, shape: tuple[int, int]) -> None:
    for seed in SEEDS:
        torch.manual_seed(seed)
        theirs = torch.nn.Linear(*shape).weight.detach()
        INITS[name](theirs)
        ours = draw(initializers.KERNELS[name](), seed, shape)
        assert stats.ks_2samp(ours.ravel(), theirs.numpy().ravel()).pvalue > P_MIN
        assert theirs.shape == ours.T.shape


@pytest.mark.parametrize(
    ("claimed", "planted"),
    [
        ("kaiming_normal", "he_normal"),  # truncated tails, same variance
        ("xavier_normal", "glorot_normal"),
        ("linear_default", "lecun_normal"),  # Flax's default in place of torch's
        ("kaiming_uniform", "xavier_uniform"),
        ("linear_default", "lecun_uniform"),  # a gain of sqrt(3)
    ],
)
def test_a_planted_wrong_initialiser_is_rejected(claimed: str, planted: str) -> None:
    for seed in SEEDS:
        assert not agrees(draw(initializers.KERNELS[planted](), seed, (784, 256)), LAWS[claimed](784, 256))


@pytest.mark.parametrize("shape", [(784, 10), (10, 784)])
def test_modes_and_nonlinearities_scale_as_in_torch(shape: tuple[int, int]) -> None:
    for mode in ("fan_in", "fan_out"):
        for nonlinearity, a in (("relu", 0.0), ("leaky_relu", 0.2), ("tanh", 0.0), ("selu", 0.0), ("linear", 0.0)):
            ours = draw(initializers.kaiming_uniform(a, mode, nonlinearity), 0, shape)
            theirs = torch.nn.init.kaiming_uniform_(torch.empty(shape[::-1]), a, mode, nonlinearity)
            # 7,840 uniform draws come within 0.5 % of their bound
            assert np.abs(ours).max() == pytest.approx(float(theirs.abs().max()), rel=5e-3)


def test_gains_are_torch_s() -> None:
    for name in ("linear", "sigmoid", "tanh", "relu", "selu"):
        assert initializers.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert initializers.calculate_gain("leaky_relu", 0.2) == torch.nn.init.calculate_gain("leaky_relu", 0.2)
    with pytest.raises(ValueError, match=r"nonlinearity must be one of .*, got 'swish'"):
        initializers.calculate_gain("swish")


def test_gain_multiplies_the_standard_deviation() -> None:
    single, triple = (draw(initializers.xavier_normal(gain), 0, (784, 256)) for gain in (1.0, 3.0))
    np.testing.assert_allclose(triple, 3 * single, rtol=1e-6)  # two float32 roundings


@pytest.mark.parametrize("name", EXACT)
def test_constants_are_exact(name: str) -> None:
    np.testing.assert_array_equal(
        draw(initializers.KERNELS[name](), 0, (4, 3)), np.full((4, 3), EXACT[name], np.float32)
    )


def test_eye_is_torch_s() -> None:
    for shape in ((4, 4), (5, 3), (3, 5)):
        theirs = torch.nn.init.eye_(torch.empty(shape[::-1])).numpy().T
        np.testing.assert_array_equal(draw(initializers.eye(), 0, shape), theirs)


@pytest.mark.parametrize("shape", [(64, 64), (100, 20), (20, 100)])
def test_orthogonal_kernels_are_orthogonal_up_to_their_gain(shape: tuple[int, int]) -> None:
    kernel = draw(initializers.orthogonal(gain=2.0), 3, shape).astype(np.float64)
    product = kernel @ kernel.T if shape[0] < shape[1] else kernel.T @ kernel
    # float32 QR of size 100: measured 1e-6
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-5)


def test_sparse_kernels_have_equally_many_zeros_per_input_unit() -> None:
    kernel = draw(initializers.sparse(0.3, std=2.0), 0, (200, 33))
    theirs = torch.nn.init.sparse_(torch.empty(33, 200), 0.3, std=2.0).numpy().T
    expected = np.full(200, math.ceil(0.3 * 33))
    np.testing.assert_array_equal((kernel == 0).sum(axis=1), expected)
    np.testing.assert_array_equal((theirs == 0).sum(axis=1), expected)
    assert len(np.unique(np.argmax(kernel == 0, axis=1))) > 5  # the positions differ between rows
    assert stats.kstest(kernel[kernel != 0], stats.norm(0, 2).cdf).pvalue > P_MIN
    with pytest.raises(ValueError, match="sparsity must be between 0 and 1"):
        initializers.sparse(1.5)


def test_linear_default_bias_is_torch_s() -> None:
    for seed in SEEDS:
        key = jax.random.key(seed)
        ours = np.asarray(initializers.BIASES["linear_default"](784)(key, (4096,), jnp.float32))
        torch.manual_seed(seed)
        theirs = torch.nn.Linear(784, 4096).bias.detach().numpy()
        assert agrees(ours, uniform(1 / math.sqrt(784)))
        assert stats.ks_2samp(ours, theirs).pvalue > P_MIN
    assert set(initializers.BIASES) == set(BIAS_INITS)


def test_the_same_key_draws_the_same_kernel() -> None:
    first, again, other = (draw(initializers.xavier_uniform(), seed, (20, 10)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.99


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="mode must be fan_in or fan_out, got 'fan_avg'"):
        draw(initializers.kaiming_normal(mode="fan_avg"), 0, (4, 3))
