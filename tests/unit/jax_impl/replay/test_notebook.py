"""The replayed draws against torch's own, and against what the notebook printed."""

from itertools import islice

import jax
import numpy as np
import pytest

import torch_ref.model
import torch_ref.recipes
import torch_ref.train
from jax_impl import interop, recipes
from jax_impl.errors import ArgumentError
from jax_impl.replay import notebook
from tests.parity.torch_side import FUSED

# What the notebook's cell 10 printed of linear3.weight: its first, second, third and last three rows, the first and
# last three columns of each.
PRINTED = np.array(
    [
        [-0.0039, -0.0166, -0.0415, 0.1375, -0.0556, -0.0868],
        [-0.0806, 0.0315, -0.1408, -0.1330, -0.0807, 0.0600],
        [0.1287, 0.0014, -0.0580, 0.0508, -0.0500, -0.1308],
        [-0.1004, -0.0187, -0.0075, -0.0087, -0.0063, 0.0588],
        [0.1414, 0.1065, 0.1057, 0.1154, -0.0272, -0.0432],
        [-0.1199, -0.0441, -0.1109, -0.0223, 0.0153, 0.0347],
    ]
)


def last_layer(init_passes: int) -> np.ndarray:
    recipe = recipes.named("mnist_nn_xavier").but(init_passes=init_passes)
    weight = interop.to_torch(notebook.replayed(recipe, 1000).params)["linear3.weight"]
    return weight[np.ix_([0, 1, 2, -3, -2, -1], [0, 1, 2, -3, -2, -1])]


def test_the_init_cell_run_twice_gives_the_tensor_that_the_notebook_printed() -> None:
    np.testing.assert_array_equal(np.round(last_layer(init_passes=2).astype(np.float64), 4), PRINTED)
    assert not np.any(np.round(last_layer(init_passes=1), 4) == PRINTED)


@pytest.mark.parametrize("init", torch_ref.model.INITS)
def test_initial_weights_are_torch_s(init: str) -> None:
    recipe = recipes.named("mnist_nn_xavier").but(layers=(60, 40, 40, 10), init=init, seed=5)
    ours = interop.to_torch(notebook.replayed(recipe, 1000).params)
    torch_ref.train.seed_everything(5)
    theirs = torch_ref.model.build(
        torch_ref.recipes.named("mnist_nn_xavier").but(layers=(60, 40, 40, 10), init=init)
    ).state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        expected = theirs[name].numpy()
        # Normal draws go through log and cos, and the orthogonal ones through LAPACK, which round as they like.
        sigma = expected.std() if init.endswith("normal") or init == "sparse" else 0
        atol = 2e-6 if init in {"orthogonal", "lsuv"} and "weight" in name else 1e-6 * sigma + (0 if FUSED else 6e-8)
        np.testing.assert_allclose(tensor, expected, rtol=0, atol=atol, err_msg=name)
        assert tensor.dtype == np.float32


def test_batches_are_the_dataloader_s_in_every_epoch() -> None:
    recipe = recipes.named("mnist_nn_xavier").but(seed=11)
    ours = list(islice(notebook.replayed(recipe, 1234).orders, 4))
    torch_ref.train.seed_everything(11)
    torch_ref.model.build(torch_ref.recipes.named("mnist_nn_xavier"))
    loader = torch_ref.train.make_loader(torch_ref.recipes.named("mnist_nn_xavier"), range(1234))
    for order in ours:
        assert order.shape == (12, 100)
        np.testing.assert_array_equal(order, np.stack([batch.numpy() for batch in loader]))


def test_float64_starts_from_torch_s_float32_draws() -> None:
    recipe = recipes.named("mnist_nn_he")
    single = interop.to_torch(notebook.replayed(recipe, 1000).params)
    double = interop.to_torch(notebook.replayed(recipe.but(dtype="float64"), 1000).params)
    for name, tensor in single.items():
        assert double[name].dtype == np.float64
        np.testing.assert_array_equal(double[name], tensor.astype(np.float64))


def test_zeros_are_zero_and_still_draw() -> None:
    """torch's Linear draws before the zeros are written over it, so the batches are those of any other init."""
    zeros, xavier = (
        notebook.replayed(recipes.named(name).but(init=init), 1000)
        for name, init in (("mnist_nn_zeros", None), ("mnist_nn_xavier", "linear_default"))
    )
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(zeros.params))
    np.testing.assert_array_equal(next(zeros.orders), next(xavier.orders))


def test_what_torch_cannot_draw_is_refused() -> None:
    with pytest.raises(ArgumentError, match="torch has no init 'he_normal' to replay: use --stream jax"):
        notebook.replayed(recipes.named("mnist_nn").but(init="he_normal"), 1000)
    with pytest.raises(ArgumentError, match="unknown init 'xavier_unifrom': did you mean 'xavier_uniform'"):
        notebook.replayed(recipes.named("mnist_nn").but(init="xavier_unifrom"), 1000)
    with pytest.raises(ArgumentError, match="unknown bias init 'ones'"):
        notebook.replayed(recipes.named("mnist_nn").but(bias_init="ones"), 1000)
    with pytest.raises(ArgumentError, match="batch size must be at most the 99 training images"):
        notebook.replayed(recipes.named("mnist_nn"), 99)
