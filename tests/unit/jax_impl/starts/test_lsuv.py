import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import draws, initializers, model, recipes
from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.pixels import scale
from jax_impl.replay import notebook
from jax_impl.starts import lsuv


def deep(activation: str, init: str = "lsuv") -> recipes.Recipe:
    return recipes.Recipe(name="deep", layers=(784, *[64] * 20, 10), init=init, activation=activation)


@pytest.mark.parametrize("activation", ["relu", "tanh", "selu", "sigmoid"])
def test_every_layer_s_variance_becomes_1(mnist: Mnist, activation: str) -> None:
    recipe = deep(activation)
    start = draws.native(recipe, len(mnist.train_images))
    scaled = draws.look_at(mnist.train_images, recipe, start).params

    def variances(params: model.Params, images: np.ndarray) -> np.ndarray:
        outputs = model.pre_activations(params, scale(jnp.asarray(images), "float32"), activation)
        return np.array([z.var() for z in outputs])

    looked_at, others = np.split(mnist.train_images[: 2 * draws.LOOKED_AT], 2)
    assert np.abs(variances(start.params, looked_at) - 1).max() > 0.3
    assert np.abs(variances(scaled, looked_at) - 1).max() <= 0.011  # 0.01 and rounding
    assert np.abs(variances(scaled, others) - 1).max() < 0.05


def test_it_only_scales_kernels(mnist: Mnist) -> None:
    recipe = deep("tanh")
    start = draws.native(recipe, 60_000)
    scaled = draws.look_at(mnist.train_images, recipe, start).params
    for name, layer in scaled.items():
        factor = np.asarray(layer["kernel"]) / np.asarray(start.params[name]["kernel"])
        np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-4)  # rounding of entries near 0
        np.testing.assert_array_equal(layer["bias"], start.params[name]["bias"])


def test_other_initialisers_do_not_look(mnist: Mnist) -> None:
    recipe = deep("relu", "orthogonal")
    start = draws.native(recipe, 60_000)
    assert draws.look_at(mnist.train_images, recipe, start) is start


def test_it_starts_from_the_orthogonal_draws_of_either_stream() -> None:
    for draw in (draws.native, notebook.replayed):
        ours, theirs = (draw(deep("relu", init), 60_000).params for init in ("lsuv", "orthogonal"))
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert set(initializers.DATA_DRIVEN.values()) <= set(initializers.KERNELS)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_layer_that_cannot_be_scaled_is_named(bad: float) -> None:
    params = {
        "linear1": {"kernel": jnp.eye(4), "bias": jnp.zeros(4)},
        "linear2": {"kernel": jnp.full((4, 3), bad), "bias": jnp.zeros(3)},
    }
    images = jnp.asarray(np.random.default_rng(0).random((50, 4), np.float32))
    with pytest.raises(UserError, match=r"variance of linear2 to 1: it is (0|nan|inf) after 10 rounds"):
        lsuv.rescale(params, images)
