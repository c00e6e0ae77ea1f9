import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import draws, model, recipes
from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.model import scale
from jax_impl.starts import lsuv
from jax_impl.starts.from_images import USED


def deep(activation: str) -> recipes.Recipe:
    return recipes.Recipe(name="deep", layers=(784, *[64] * 20, 10), init="orthogonal", activation=activation)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "tanh", "selu", "sigmoid"])
def test_the_variance_of_every_layer_becomes_1(mnist: Mnist, activation: str) -> None:
    before = draws.native(deep(activation), len(mnist.train_images)).params
    inputs, others = (scale(jnp.asarray(part), "float32") for part in np.split(mnist.train_images[: 2 * USED], 2))
    after = lsuv.rescale(before, inputs, activation)

    def variances(params: model.Params, images: jax.Array) -> np.ndarray:
        return np.array([z.var() for z in model.pre_activations(params, images, activation)])

    assert np.abs(variances(before, inputs) - 1).max() > 0.3
    assert np.abs(variances(after, inputs) - 1).max() <= 0.011  # 0.01 and rounding
    assert np.abs(variances(after, others) - 1).max() < 0.05


def test_only_kernels_change_and_each_by_one_factor(small: Mnist) -> None:
    before = draws.native(deep("tanh"), 1000).params
    for name, layer in lsuv.rescale(before, scale(jnp.asarray(small.train_images), "float32"), "tanh").items():
        factor = np.asarray(layer["kernel"]) / np.asarray(before[name]["kernel"])
        np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-4)  # rounding of entries near 0
        np.testing.assert_array_equal(layer["bias"], before[name]["bias"])


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_layer_that_cannot_be_scaled_is_named(bad: float) -> None:
    params = {
        "linear1": {"kernel": jnp.eye(4), "bias": jnp.zeros(4)},
        "linear2": {"kernel": jnp.full((4, 3), bad), "bias": jnp.zeros(3)},
    }
    images = jnp.asarray(np.random.default_rng(0).random((50, 4), np.float32))
    with pytest.raises(UserError, match=r"variance of linear2 to 1: it is (0|nan|inf) after 10 rounds"):
        lsuv.rescale(params, images)
