"""The replayed draws compared with torch's own."""

from itertools import islice

import jax
import numpy as np
import pytest

import torch_ref.model
import torch_ref.recipes
import torch_ref.train
from jax_impl import draws, interop, recipes
from jax_impl.errors import ArgumentError
from jax_impl.recipes import DATA_DRIVEN
from jax_impl.starts.replayed import replayed
from tests.parity.test_06_seeded_weights import UNFUSED_TOLERANCE
from tests.parity.torch_side import FUSED


@pytest.mark.parametrize("init", torch_ref.model.INITS)
def test_initial_weights_are_torch_s(init: str) -> None:
    recipe = recipes.named("mnist_nn_xavier").with_changes(layers=(60, 40, 40, 10), init=init, seed=5)
    ours = interop.to_torch(replayed(recipe, 1000).params)
    torch_ref.train.seed_everything(5)
    theirs = torch_ref.model.build(
        torch_ref.recipes.named("mnist_nn_xavier").with_changes(layers=(60, 40, 40, 10), init=init)
    ).state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        expected = theirs[name].numpy()
        # Orthogonal weights pass through LAPACK, whose rounding differs. So do all without fused multiply-adds.
        rounded = 0 if FUSED else UNFUSED_TOLERANCE["normal"] * expected.std() + 6e-8
        atol = 2e-6 if init in {"orthogonal", "lsuv"} and "weight" in name else rounded
        np.testing.assert_allclose(tensor, expected, rtol=0, atol=atol, err_msg=name)
        assert tensor.dtype == np.float32


def test_batches_are_the_dataloader_s_in_every_epoch() -> None:
    recipe = recipes.named("mnist_nn_xavier").with_changes(seed=11)
    ours = list(islice(replayed(recipe, 1234).orders, 4))
    torch_ref.train.seed_everything(11)
    torch_ref.model.build(torch_ref.recipes.named("mnist_nn_xavier"))
    loader = torch_ref.train.make_loader(torch_ref.recipes.named("mnist_nn_xavier"), range(1234))
    for order in ours:
        assert order.shape == (12, 100)
        np.testing.assert_array_equal(order, np.stack([batch.numpy() for batch in loader]))


def test_float64_starts_from_torch_s_float32_draws() -> None:
    recipe = recipes.named("mnist_nn_he")
    single = interop.to_torch(replayed(recipe, 1000).params)
    double = interop.to_torch(replayed(recipe.with_changes(dtype="float64"), 1000).params)
    for name, tensor in single.items():
        assert double[name].dtype == np.float64
        np.testing.assert_array_equal(double[name], tensor.astype(np.float64))


def test_zeros_advance_the_generator_as_other_inits_do() -> None:
    """torch's Linear draws before it is overwritten with zeros, so the batches are those of any other init."""
    zeros, xavier = (
        replayed(recipes.named(name).with_changes(init=init), 1000)
        for name, init in (("mnist_nn_zeros", None), ("mnist_nn_xavier", "linear_default"))
    )
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(zeros.params))
    np.testing.assert_array_equal(next(zeros.orders), next(xavier.orders))


def test_an_init_that_torch_does_not_have_is_refused() -> None:
    with pytest.raises(ArgumentError, match="torch has no init 'he_normal' to replay: use --stream jax"):
        replayed(recipes.named("mnist_nn").with_changes(init="he_normal"), 1000)


def test_a_batch_larger_than_the_data_set_is_refused() -> None:
    with pytest.raises(ArgumentError, match="batch size must be at most the 99 training images"):
        replayed(recipes.named("mnist_nn"), 99)


@pytest.mark.parametrize("init", DATA_DRIVEN)
def test_data_driven_initialisers_have_the_same_random_start_in_both_streams(init: str) -> None:
    """Their draws are those of the initialiser from which they start."""
    recipe = recipes.Recipe(name="small", layers=(784, 16, 10), init=init)
    for draw in (draws.native, replayed):
        ours, theirs = (draw(one, 1000).params for one in (recipe, recipe.with_changes(init=DATA_DRIVEN[init])))
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
