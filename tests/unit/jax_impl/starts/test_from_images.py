"""Initialisers that use training images, and the draws of many seeds."""

from itertools import islice, pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import draws, recipes
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError
from jax_impl.model import scale
from jax_impl.rbm import dbn
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import RbmRecord
from jax_impl.starts import from_images, lsuv
from jax_impl.starts.from_images import draw_seeds, start_from_images

SMALL = recipes.Recipe(name="small", layers=(784, 16, 16, 10))


def stack_of(*sizes: int) -> list[Rbm]:
    rng = np.random.default_rng(0)
    return [
        Rbm(*(rng.normal(size=shape).astype(np.float32) for shape in ((below, above), below, above)))
        for below, above in pairwise(sizes)
    ]


@pytest.mark.slow
def test_dbn_pretrains_a_stack_or_takes_a_trained_one(small: Mnist) -> None:
    """On 32 pixels. All layers have this size and share compiled programs."""
    images = small.train_images[:, 392:424]
    recipe = recipes.named("mnist_dbn").with_changes(layers=(32, 32, 32, 10), seed=4)
    drawn = draws.native(recipe, 1000)
    records: list[RbmRecord] = []
    found = start_from_images(images, recipe, drawn, watch=records.append)
    assert [(record.layer, record.epoch) for record in records] == [(layer, n) for layer in (1, 2) for n in range(1, 6)]
    inputs = scale(jnp.asarray(images), "float32")
    *_, (_, stack) = dbn.fit_stack((32, 32), Settings(epochs=5, seed=4), inputs, inputs)
    for number in (1, 2):
        np.testing.assert_array_equal(found.params[f"linear{number}"]["kernel"], stack[number - 1].weight)
        np.testing.assert_array_equal(found.params[f"linear{number}"]["bias"], stack[number - 1].hidden_bias)
    np.testing.assert_array_equal(found.params["linear3"]["kernel"], drawn.params["linear3"]["kernel"])
    assert found.orders is drawn.orders
    assert all(abs(record.free_energy_gap) < 1e-3 for record in records)  # between the training images and themselves
    held: list[RbmRecord] = []
    again = start_from_images(images, recipe, drawn, held_out=255 - images, watch=held.append)
    np.testing.assert_array_equal(again.params["linear1"]["kernel"], found.params["linear1"]["kernel"])
    assert all(record.free_energy_gap > 100 for record in held[:5])
    assert all(a.reconstruction_error != b.reconstruction_error for a, b in zip(held, records, strict=True))
    given = start_from_images(images, recipe, drawn, stack=stack_of(32, 32, 32), watch=records.append)
    np.testing.assert_array_equal(given.params["linear1"]["kernel"], stack_of(32, 32, 32)[0].weight)
    assert len(records) == 10


def test_lsuv_uses_the_first_training_images(small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_images, "USED", 300)
    recipe = SMALL.with_changes(init="lsuv", activation="tanh")
    drawn = draws.native(recipe, 1000)
    found = start_from_images(small.train_images, recipe, drawn)
    inputs = scale(jnp.asarray(small.train_images[:300]), "float32")
    jax.tree.map(np.testing.assert_array_equal, found.params, lsuv.rescale(drawn.params, inputs, "tanh"))
    assert found.orders is drawn.orders
    assert not np.array_equal(found.params["linear1"]["kernel"], drawn.params["linear1"]["kernel"])


def test_other_initialisers_do_not_use_images(small: Mnist) -> None:
    for init in recipes.TORCH_INITS + recipes.JAX_INITS:
        drawn = draws.Draws({}, iter(()))
        assert start_from_images(small.train_images, SMALL.with_changes(init=init), drawn) is drawn


@pytest.mark.parametrize("init", ["xavier_normal", "lsuv"])
def test_each_seed_gets_the_draws_of_a_run_with_this_seed(init: str, small: Mnist) -> None:
    recipe = SMALL.with_changes(init=init)
    for seed, found in zip((5, 3), draw_seeds(recipe, (5, 3), small), strict=True):
        one = recipe.with_changes(seed=seed)
        expected = start_from_images(small.train_images, one, draws.native(one, 1000))
        jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)
        for ours, theirs in zip(islice(found.orders, 2), islice(expected.orders, 2), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_must_differ(small: Mnist, seeds: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match="seeds must be one or more, all different"):
        draw_seeds(SMALL, seeds, small)
