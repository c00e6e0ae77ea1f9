import copy

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.data import Mnist
from jax_impl.draws import native
from jax_impl.study import cells, figures
from jax_impl.study.grid import Grid
from jax_impl.study.propagation import propagate
from jax_impl.trainer.trees import stacked


def test_a_signal_that_overflows_is_drawn(small: Mnist) -> None:
    """Weights of 1e15 overflow float32 in the third layer, so no gradient is finite."""
    (cell,) = Grid(inits=("normal",), depths=(3,), width=16, seeds=1, epochs=0).cells()
    (record,) = cells.run([cell], small)
    params = jax.tree.map(lambda leaf: 1e15 * leaf, native(cell.recipe, 1000).params)
    images, labels = jnp.asarray(small.test_images), jnp.asarray(small.test_labels)
    record["propagation"] = cells.summary(propagate(stacked([params]), images, labels))
    measured = record["propagation"]["measured"]
    assert not any(np.isfinite(np.array(measured["gradient_variance"], float)[0]))
    assert np.isfinite(measured["variance"][0][0])
    for picture in figures.pictures([record]):
        assert picture.png().startswith(b"\x89PNG")


def test_a_seed_that_diverges_is_drawn_up_to_that_epoch() -> None:
    record = {"test_accuracy": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "diverged_in": [None, 2]}
    before = copy.deepcopy(record)
    found = figures.accuracies_before_divergence(record)
    np.testing.assert_array_equal(found, [[0.1, 0.2, 0.3], [0.4, np.nan, np.nan]])
    assert record == before
