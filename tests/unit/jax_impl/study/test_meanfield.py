import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from jax_impl.activations import ACTIVATIONS
from jax_impl.model import Params, from_linears
from jax_impl.study import meanfield


def integral(name: str, q: float, power: int, slope: bool) -> float:
    """E of a power of the activation, or of its derivative, by SciPy's adaptive quadrature on either side of 0."""
    phi = ACTIVATIONS[name].derivative if slope else ACTIVATIONS[name]
    function = jax.jit(lambda z: phi(jnp.sqrt(q) * z) ** power)

    def weighted(z: float) -> float:
        return float(function(z)) * stats.norm.pdf(z)

    cuts = [c / np.sqrt(q) for c in (1.0, 5.0) if c / np.sqrt(q) < 10]
    parts = [quad(weighted, *side, points=cuts_of, limit=200)[0] for side, cuts_of in _sides(cuts)]
    return sum(parts)


def _sides(cuts: list[float]) -> list[tuple[tuple[float, float], list[float] | None]]:
    return [((-10.0, 0.0), [-c for c in cuts] or None), ((0.0, 10.0), cuts or None)]


def constants(sizes: tuple[int, ...], kernel_squares: list[float], bias_squares: list[float]) -> Params:
    """Parameters with these mean squares."""
    layers = zip(pairwise(sizes), kernel_squares, bias_squares, strict=True)
    return from_linears(
        {"kernel": np.full(shape, math.sqrt(kernel)), "bias": np.full(shape[1], math.sqrt(bias))}
        for shape, kernel, bias in layers
    )


@pytest.mark.slow
@pytest.mark.parametrize("q", [0.01, 1.0, 256.0])
@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "softsign", "gelu", "selu", "leaky_relu"])
def test_moments_match_numerical_integrals(name: str, q: float) -> None:
    with jax.enable_x64(True):
        for find in (meanfield.moments, meanfield.quadrature):
            found = find(name, np.array([q]))
            assert float(found.square[0]) == pytest.approx(integral(name, q, 2, False), rel=2e-6)
            assert float(found.slope[0]) == pytest.approx(integral(name, q, 2, True), rel=2e-6)
            assert float(found.mean[0]) == pytest.approx(integral(name, q, 1, False), rel=2e-6, abs=1e-9)


@pytest.mark.parametrize(("name", "factor"), [("linear", 1.0), ("relu", 0.5)])
def test_variances_follow_the_equations_of_he_and_glorot(name: str, factor: float) -> None:
    """Forward q' = fan_in · var(w) · factor · q; backward the same with fan_out."""
    params = constants((100, 50, 40, 10), [0.02, 0.03, 0.05], [0.0] * 3)
    found = meanfield.predict(name, params, np.full((4, 100), 2.0), np.full((4, 10), 0.5))
    q1 = 100 * 0.02 * 4.0
    q2 = 50 * 0.03 * factor * q1
    np.testing.assert_allclose(found.pre_variance, [q1, q2, 40 * 0.05 * factor * q2], rtol=1e-6)
    g3 = 0.25
    g2 = 10 * 0.05 * factor * g3
    np.testing.assert_allclose(found.gradient_variance, [40 * 0.03 * factor * g2, g2, g3], rtol=1e-6)


def test_biases_add_their_variance() -> None:
    found = meanfield.predict("relu", constants((10, 3), [0.1], [0.7]), np.ones((2, 10)), np.ones((2, 3)))
    np.testing.assert_allclose(found.pre_variance, [1.7], rtol=1e-6)
