"""One process alone exchanges nothing. tests/scale covers several processes."""

import numpy as np

from jax_impl.trainer import processes


def test_one_process_gets_its_own_values_back() -> None:
    tree = {"a": np.arange(3)}
    assert processes.gathered([1, "two"]) == [1, "two"]
    assert processes.from_first({"a": None}) == {"a": None}
    assert processes.arrays_from_first(tree) is tree
