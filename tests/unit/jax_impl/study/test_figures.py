import copy

import numpy as np

from jax_impl.data import Mnist
from jax_impl.study import cells, figures
from jax_impl.study.grid import Grid


def test_a_signal_that_overflows_is_drawn() -> None:
    """50 ReLU layers of N(0, 1) overflow float32 in the forward pass, so no gradient is finite."""
    record = cells.run(
        Grid(inits=("normal",), depths=(50,), width=128, seeds=1, epochs=0).cells(),
        Mnist(*(np.full((500, 784), 255, np.uint8), np.zeros(500, np.int32)) * 2),
    )[0]
    assert not any(np.isfinite(np.array(record["propagation"]["measured"]["gradient_variance"], float)[0]))
    for picture in figures.pictures([record]):
        assert picture.png().startswith(b"\x89PNG")


def test_a_seed_that_diverges_is_drawn_up_to_that_epoch() -> None:
    record = {"test_accuracy": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "diverged_in": [None, 2]}
    before = copy.deepcopy(record)
    found = figures.before_divergence(record, "test_accuracy")
    np.testing.assert_array_equal(found, [[0.1, 0.2, 0.3], [0.4, np.nan, np.nan]])
    assert record == before
