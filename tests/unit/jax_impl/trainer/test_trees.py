import numpy as np

from jax_impl.trainer import trees


def test_stacked_trees_are_the_rows_of_one() -> None:
    ones = [{"a": np.full(2, number), "b": np.float32(number)} for number in range(3)]
    together = trees.stacked(ones)
    assert together["a"].shape == (3, 2)
    assert together["b"].tolist() == [0, 1, 2]
