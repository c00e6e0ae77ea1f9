import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jax_impl.activations import ACTIVATIONS
from torch_ref.model import ACTIVATIONS as MODULES


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_derivatives_are_torch_s(name: str) -> None:
    z = np.linspace(-6, 6, 200)  # an even number: 0, where kinks are, is not among them
    theirs = torch.tensor(z, requires_grad=True)
    expected = MODULES[name]()(theirs)
    (slope,) = torch.autograd.grad(expected.sum(), theirs)
    with jax.enable_x64(True):
        values, slopes = ACTIVATIONS[name](jnp.asarray(z)), ACTIVATIONS[name].derivative(jnp.asarray(z))
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=1e-12, atol=1e-15)  # exp and erf differ by ulps
    np.testing.assert_allclose(slopes, slope.numpy(), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_steepest_is_the_largest_slope(name: str) -> None:
    with jax.enable_x64(True):
        z = jnp.concatenate([jnp.linspace(-8, 8, 160_001) - 1e-9])
        largest = float(jnp.abs(ACTIVATIONS[name].derivative(z)).max())
    assert ACTIVATIONS[name].steepest == pytest.approx(largest, rel=1e-6)
