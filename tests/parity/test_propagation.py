"""Beside the ladder: the study's settings and measurements agree between the two sides."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jax_impl import compare, interop, recipes, train
from jax_impl.data import Mnist
from jax_impl.starts.from_images import USED, start_from_images
from jax_impl.starts.replayed import replayed
from jax_impl.study import propagation
from tests.parity import jax_side, torch_side
from tests.parity.jax_side import x64
from tests.tiers import slow
from torch_ref import model as torch_model
from torch_ref import propagation as torch_propagation
from torch_ref import recipes as torch_recipes
from torch_ref import train as torch_train

EVERYDAY = ("relu", "tanh")  # the activations of the fast tier
SHAPE = {"layers": (784, 48, 48, 48, 10), "init": "xavier_uniform", "seed": 5}
# float64: sums of up to 10,000 products, in another order. float32: a mean over 2,400 values of both signs cancels, so
# means are held to the standard deviation beside them. Measured: 2e-14 and 2e-6.
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


def drawn(**settings: object) -> torch.nn.Sequential:
    """Return the reference's network with the weights that it draws. The port gets the same bits in every test."""
    recipe = torch_recipes.Recipe(name="theirs", **settings)  # type: ignore[arg-type]
    torch_train.seed_everything(recipe.seed)
    return torch_model.build(recipe)


def both(dtype: str, activation: str) -> tuple[propagation.Signal, list[torch_propagation.Layer], Mnist]:
    mnist = torch_side.load()
    images, labels = mnist.train_images[:100], mnist.train_labels[:100]
    network = drawn(dtype=dtype, activation=activation, **SHAPE)
    with x64(dtype):
        params = jax.tree.map(lambda leaf: leaf[None], jax_side.params_of(torch_side.tensors_of(network)))
        ours = propagation.propagate(params, jnp.asarray(images), jnp.asarray(labels), activation).measured
    inputs = torch_train.scaled(torch_side.dataset(images, labels), dtype)
    theirs = torch_propagation.propagate(network, inputs, torch.from_numpy(labels.astype(np.int64)), activation)
    return ours, theirs, mnist


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation",
    [name if name in EVERYDAY else slow(name) for name in recipes.NAMES["activation"]],
)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_the_same_weights_give_the_same_measurements(dtype: str, activation: str) -> None:
    ours, theirs, _ = both(dtype, activation)
    tolerance = TOLERANCES[dtype]
    for name in ("pre_variance", "variance", "gradient_variance", "kernel_gradient_norm"):
        expected = np.array([getattr(layer, name) for layer in theirs])
        compare.max_relative(getattr(ours, name)[0], expected.astype(dtype), tolerance=tolerance, name=name).require()
    for name in ("pre_mean", "mean", "gradient_mean"):
        spread = np.sqrt([getattr(layer, name.replace("mean", "variance")) for layer in theirs])
        expected = np.array([getattr(layer, name) for layer in theirs])
        off = (getattr(ours, name)[0] - expected) / spread
        compare.max_abs(off, np.zeros_like(off), tolerance=tolerance, name=name).require()
    for name in ("saturated", "dead", "rank"):
        expected = np.array([getattr(layer, name) for layer in theirs])
        np.testing.assert_allclose(getattr(ours, name)[0], expected, rtol=1e-6, err_msg=name)
    for place, layer in enumerate(theirs):  # small singular values are rounding of the large ones
        scale = layer.jacobian.max().item()
        off = (ours.jacobian[place][0, 0] - layer.jacobian.numpy()) / scale
        compare.max_abs(off, np.zeros_like(off), tolerance=tolerance, name=f"jacobian {place}").require()


def test_other_weights_are_seen() -> None:
    ours, _, _ = both("float64", "tanh")
    _, theirs, _ = both("float64", "softsign")
    expected = np.array([layer.variance for layer in theirs])
    assert not compare.max_relative(ours.variance[0], expected, tolerance=1e-3).passed


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", recipes.NAMES["optimizer"])
@pytest.mark.parametrize("activation", recipes.NAMES["activation"])
def test_every_activation_and_optimizer_trains_alike(activation: str, optimizer: str) -> None:
    mnist = torch_side.load()
    images, labels = mnist.train_images[:1000], mnist.train_labels[:1000]
    changes = {"dtype": "float64", "activation": activation, "optimizer": optimizer, "learning_rate": 0.01, **SHAPE}
    order = next(replayed(recipes.Recipe(name="ours", **changes), len(images)).orders)
    network = drawn(**changes)
    with x64("float64"):
        epoch = jax.jit(partial(train.run_epoch, activation=activation, optimizer=optimizer))
        params = jax_side.params_of(torch_side.tensors_of(network))
        state = train.start(params, changes["learning_rate"], optimizer)
        _, ours = epoch(state, jnp.asarray(images), jnp.asarray(labels), jnp.asarray(order))
    batches = torch_side.Replayed(images, labels, order, "float64")
    rule = torch_train.make_optimizer(torch_recipes.Recipe(name="theirs", **changes), network)
    _, theirs = torch_train.train_epoch(network, rule, batches, torch_side.DEVICE)
    # Ten steps: measured 2e-15 to 4e-14.
    compare.max_relative(np.asarray(ours), torch.stack(theirs).numpy(), tolerance=1e-12).require()


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "tanh", "selu"])
def test_lsuv_scales_alike(activation: str) -> None:
    mnist = torch_side.load()
    changes = {**SHAPE, "init": "lsuv", "dtype": "float64", "activation": activation}
    recipe = recipes.Recipe(name="ours", **changes)
    network = drawn(**changes)
    with x64("float64"):
        draws = replayed(recipe, 60_000)._replace(params=jax_side.params_of(torch_side.tensors_of(network)))
        ours = start_from_images(mnist.train_images, recipe, draws).params
    count = torch_train.LSUV_IMAGES
    assert count == USED
    mnist_train = torch_side.dataset(mnist.train_images[:count], mnist.train_labels[:count])
    torch_model.lsuv_(network, torch_train.scaled(mnist_train, "float64"))
    # In float64 from the same orthogonal start: sums of 10,000 products in another order. Measured: 2e-14.
    compare.relative_l2(interop.to_torch(ours), torch_side.tensors_of(network), tolerance=1e-12).require()


def test_both_sides_know_the_same_names() -> None:
    assert torch_recipes.NAMES.items() <= recipes.NAMES.items()
    assert set(torch_model.ACTIVATIONS) == set(recipes.NAMES["activation"])
    assert set(torch_model.INITS) <= set(recipes.NAMES["init"])
