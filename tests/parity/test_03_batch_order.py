"""Rung 3: the replayed batches against those of the real DataLoader, and JAX's own batches."""

import numpy as np

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "batch order"
QUESTION = "Does each epoch visit the images in the same order, and are JAX's own orders proper shuffles?"


def measure(size: Size) -> Measured:
    comparisons = []
    # 60,000 is a whole number of batches. 1,234 is not: its last, incomplete batch must be dropped.
    for recipe, n_images in (("mnist_nn_xavier", 60_000), ("mnist_nn_deep", 60_000), ("mnist_nn_xavier", 1_234)):
        ours, theirs = (side.orders(recipe, n_images, size.order_epochs) for side in (jax_side, torch_side))
        name = f"{recipe}, {size.order_epochs} epochs of {n_images:,} images"
        comparisons.append(compare.exact(ours.astype("int64"), theirs, name=name))
    return Measured(comparisons=comparisons + own_orders())


def own_orders() -> list[compare.Comparison]:
    """Check that JAX's own orders visit each image once per epoch, and that no two epochs or seeds have the same."""
    n_images = 1_200
    orders = [jax_side.own_orders("mnist_nn_xavier", n_images, 3, seed=seed) for seed in (0, 1)]
    rows = np.concatenate(orders).reshape(6, -1).astype("int64")  # (seeds and epochs, images)
    others = np.concatenate([rows, np.arange(rows.shape[1])[None]])
    # Two random permutations of 1,200 images agree in 1 place on average, and in 20 or more with probability 1e-19.
    apart = np.array([[(a == b).sum() < 20 for b in rows] for a in others])
    return [
        compare.exact(np.sort(rows), np.tile(np.arange(n_images), (6, 1)), name="JAX's own: each image once per epoch"),
        compare.exact(
            apart, ~np.eye(7, 6, dtype=bool), name="JAX's own: no two epochs or seeds alike, and none sorted"
        ),
    ]


def test_rung() -> None:
    measure(QUICK).require()
