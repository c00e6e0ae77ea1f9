"""Rung 3: the replayed batches against those of the real DataLoader."""

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "batch order"
QUESTION = "Does every epoch visit the images in the same order?"


def measure(size: Size) -> Measured:
    comparisons = []
    # 60,000 is a whole number of batches; 1,234 is not, and shows what becomes of the ragged last one.
    for recipe, n_images in (("mnist_nn_xavier", 60_000), ("mnist_nn_deep", 60_000), ("mnist_nn_xavier", 1_234)):
        ours, theirs = (side.orders(recipe, n_images, size.order_epochs) for side in (jax_side, torch_side))
        name = f"{recipe}, {size.order_epochs} epochs of {n_images:,} images"
        comparisons.append(compare.exact(ours.astype("int64"), theirs, name=name))
    return Measured(comparisons=comparisons)


def test_rung() -> None:
    measure(QUICK).require()
