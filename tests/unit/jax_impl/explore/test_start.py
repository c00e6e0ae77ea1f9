"""The draws of a network, and the measurements before the first step, compared with those of the study."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl.data import Mnist
from jax_impl.explore import start
from jax_impl.explore.settings import BATCH, GAINS, INITS, SEEDS, Network, Start, start_at, starts
from jax_impl.explore.training import PROBED, Drawn
from jax_impl.model import linears
from jax_impl.study.propagation import propagate
from jax_impl.trainer.trees import stacked

NETWORK = Network(3, 32, "relu")


@pytest.fixture(scope="module")
def draws(small: Mnist) -> dict[Start, list[Drawn]]:
    return start.draw(NETWORK, small)


def kernel(drawn: Drawn, layer: int = 1) -> np.ndarray:
    return np.asarray(linears(drawn.params)[layer]["kernel"])


def test_every_start_is_drawn_once_per_seed(draws: dict[Start, list[Drawn]]) -> None:
    assert list(draws) == starts()
    assert {len(seeds) for seeds in draws.values()} == {len(SEEDS)}
    assert {start_at(init, gain) for init in INITS for gain in GAINS} == set(draws)
    assert start_at("lsuv", 2.0) == Start("lsuv", 1.0) != start_at("normal", 2.0)
    first, second, _ = draws[Start("normal", 1.0)]
    assert not np.array_equal(kernel(first), kernel(second))
    assert not np.array_equal(first.order, second.order)
    assert first.order.shape == (1_000 // BATCH, BATCH)


def test_starts_have_the_same_draws_times_a_factor(draws: dict[Start, list[Drawn]]) -> None:
    normal = draws[Start("normal", 1.0)][0]
    for init, factor in (
        ("small_normal", 0.01),
        ("xavier_normal", (2 / 64) ** 0.5),
        ("kaiming_normal", (2 / 32) ** 0.5),
    ):
        np.testing.assert_allclose(kernel(draws[Start(init, 1.0)][0]), factor * kernel(normal), rtol=1e-6)
    for gain in GAINS:
        scaled = draws[Start("torch_default", gain)][0]
        np.testing.assert_array_equal(kernel(scaled), kernel(draws[Start("torch_default", 1.0)][0]) * np.float32(gain))
        bias = np.asarray(linears(scaled.params)[1]["bias"])
        assert 0.1 < np.abs(bias).max() <= 32**-0.5  # torch draws biases, and the gain is that of the kernels
    assert not np.asarray(linears(draws[Start("flax_default", 1.0)][0].params)[1]["bias"]).any()


@pytest.mark.parametrize("init", ["zeros", "normal", "torch_default", "kaiming_normal"])
def test_the_measurements_are_those_of_the_study(init: str, draws: dict[Start, list[Drawn]], small: Mnist) -> None:
    seeds = draws[Start(init, 1.0)]
    found = start.measure(NETWORK, seeds, small)
    images, labels = jnp.asarray(small.test_images[:PROBED]), jnp.asarray(small.test_labels[:PROBED])
    signal, theory = propagate(stacked([drawn.params for drawn in seeds]), images, labels, "relu")
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(found.variance, np.exp(np.log(signal.variance).mean(axis=0)), rtol=1e-6)
        np.testing.assert_allclose(found.gradient, np.exp(np.log(signal.gradient_variance).mean(axis=0)), rtol=1e-6)
    np.testing.assert_allclose(found.variance_theory, theory.variance[0], rtol=1e-6)
    np.testing.assert_allclose(found.gradient_theory, theory.gradient_variance[0], rtol=1e-6)
    np.testing.assert_allclose(found.flat, signal.dead.mean(axis=0))
    np.testing.assert_allclose(found.saturated, signal.saturated.mean(axis=0))
    np.testing.assert_allclose(found.rank, signal.effective_rank[0], rtol=1e-3)
    for layer, values in enumerate(signal.jacobian):
        wanted = [values[0].min(), values[0].mean(), values[0].max()]
        np.testing.assert_allclose(found.singular[layer], wanted, rtol=1e-4, atol=1e-6 * wanted[2])


def test_the_loss_of_zeros_is_that_of_guessing(draws: dict[Start, list[Drawn]], small: Mnist) -> None:
    found = start.measure(NETWORK, draws[Start("zeros", 1.0)], small)
    assert float(found.loss) == pytest.approx(np.log(10), rel=1e-6)
    assert not found.variance.any()
    assert not found.weights_reach.any()
    assert (found.weights[:, start.BINS // 2] == 1).all()  # all in the middle bin


def test_histograms_are_those_of_the_first_seed(draws: dict[Start, list[Drawn]], small: Mnist) -> None:
    seeds = draws[Start("orthogonal", 2.0)]
    found = start.measure(NETWORK, seeds, small)
    assert found.pre.shape == (3, start.BINS)
    np.testing.assert_allclose(found.weights_reach, [np.abs(kernel(seeds[0], layer)).max() for layer in range(3)])
    for shares in (found.pre, found.weights, found.gradients):
        np.testing.assert_allclose(shares.sum(axis=1), 1)
    edges = np.linspace(-found.weights_reach[1], found.weights_reach[1], start.BINS + 1)
    inside = (kernel(seeds[0]) >= edges[3]) & (kernel(seeds[0]) < edges[4])
    assert found.weights[1, 3] == pytest.approx(inside.mean())


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4)])
def test_singular_values_are_lapack_s(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(0).standard_normal(shape)
    wanted = np.sort(np.linalg.svd(matrix, compute_uv=False))
    np.testing.assert_allclose(np.sort(start.singular_values(matrix)), wanted, rtol=1e-9)
    matrix[:, 0] = 0  # of lower rank
    found = np.sort(start.singular_values(matrix))
    assert (found == 0).sum() == max(0, min(shape) - shape[1] + 1)
    matrix[0, 0] = np.nan
    assert np.isnan(start.singular_values(matrix)).all()
    assert len(start.singular_values(matrix)) == min(shape)


def test_a_histogram_of_values_that_are_not_finite_is_empty() -> None:
    shares, reach = start.histogram(np.array([1.0, np.inf]))
    assert np.isnan(shares).all()
    assert np.isnan(reach)


def test_the_geometric_mean_is_over_seeds() -> None:
    found = start.geometric_mean([np.array([1.0, 4.0]), np.array([0.0, 2.0]), np.array([np.nan, 1.0])])
    np.testing.assert_allclose(found, [2.0, 0.0, np.nan])


def test_leaves_are_numpy_arrays(draws: dict[Start, list[Drawn]]) -> None:
    leaves = jax.tree.leaves([seeds[0].params for seeds in draws.values()])
    assert all(isinstance(leaf, np.ndarray) and leaf.dtype == np.float32 for leaf in leaves)
