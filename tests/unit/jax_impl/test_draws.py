from itertools import islice

import jax
import numpy as np
import pytest

from jax_impl import draws, recipes
from jax_impl.errors import ArgumentError

RECIPE = recipes.named("mnist_nn_xavier").with_changes(layers=(784, 32, 10))


def test_orders_are_permutations_cut_into_full_batches() -> None:
    orders = list(islice(draws.native(RECIPE, 1050).orders, 3))
    for order in orders:
        assert (order.shape, order.dtype) == ((10, 100), np.int32)
        assert len(np.unique(order)) == 1000
        assert 0 <= order.min() <= order.max() < 1050
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[1], orders[2])


def test_full_batches_keep_the_permutation_s_order_and_drop_the_rest() -> None:
    found = draws.full_batches(np.array([6, 5, 4, 3, 2, 1, 0]), 3)
    assert found.dtype == np.int32
    assert found.tolist() == [[6, 5, 4], [3, 2, 1]]


def test_an_order_depends_on_the_key_and_the_number_of_its_epoch_only() -> None:
    """So a resumed run need not draw the orders of the epochs that it skips."""
    orders = draws.native(RECIPE, 300).orders
    for epoch in range(3):
        np.testing.assert_array_equal(next(orders), draws.shuffled(orders.key, epoch, 300, 100))


def test_the_same_seed_draws_the_same_parameters_and_orders() -> None:
    first, again, other = (draws.native(RECIPE.with_changes(seed=seed), 500) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    assert not np.array_equal(first.params["linear1"]["kernel"], other.params["linear1"]["kernel"])
    order = next(first.orders)
    np.testing.assert_array_equal(order, next(again.orders))
    assert not np.array_equal(order, next(other.orders))


def test_a_batch_larger_than_the_data_set_is_refused() -> None:
    with pytest.raises(ArgumentError, match="batch size must be at most the 1000 training images, got 1001"):
        draws.native(RECIPE.with_changes(batch_size=1001), 1000)


def test_two_passes_of_the_init_cell_need_torch_s_stream() -> None:
    with pytest.raises(ArgumentError, match=r"init passes must be 1 with --stream jax, got 2: use --stream torch"):
        draws.native(RECIPE.with_changes(init_passes=2), 1000)
