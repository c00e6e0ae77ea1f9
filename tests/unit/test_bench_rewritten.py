"""The other forms of an epoch train as the kept one does, so their times can be compared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import train
from jax_impl.model import init_params
from jax_impl.recipes import Recipe
from tests.bench.rewritten import FORMS, run_epoch

RECIPE = Recipe(name="small", layers=(784, 12, 8, 10), dtype="float64", batch_size=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_a_form_has_the_losses_of_the_kept_epoch(name: str) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 784)).astype(np.uint8), rng.integers(0, 10, 40).astype(np.int32)
    order = rng.permutation(40).astype(np.int32).reshape(8, 5)
    with jax.enable_x64(True):
        params = init_params(RECIPE, key=jax.random.key(0))
        params = jax.tree.map(lambda leaf: leaf + 0.01, params)  # biases, too
        arrays = jnp.asarray(images), jnp.asarray(labels), jnp.asarray(order)
        _, expected = train.run_epoch(train.start(params, 1e-3), *arrays)
        form = FORMS[name]
        _, losses = run_epoch(form, RECIPE, train.start(form.stored(params), 1e-3), *arrays)
        np.testing.assert_allclose(losses, expected, rtol=1e-12)  # of eight steps; rounding is 1e-16 a sum
