import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import train
from jax_impl.data import Mnist
from jax_impl.draws import native
from jax_impl.model import scale
from jax_impl.recipes import Recipe
from jax_impl.study.presets import measures

TINY = Recipe(name="tiny", layers=(784, 6, 5, 10), bias_init="zeros", epochs=2)


@pytest.mark.slow
def test_symmetry_sees_gradients_and_units(small: Mnist) -> None:
    found = measures.symmetry(TINY, [3, 4], small)
    assert np.shape(found["kernel_gradient"]) == np.shape(found["bias_gradient"]) == (2, 3, 3)
    assert np.shape(found["unit_spread"]) == (2, 3, 2)
    recipe = TINY.with_changes(seed=4)
    params = native(recipe, 1000).params
    images, labels = jnp.asarray(small.test_images[:100]), jnp.asarray(small.test_labels[:100])
    gradient = jax.grad(train.mean_loss)(params, scale(images, "float32"), labels)
    for name in ("kernel", "bias"):
        norms = [np.linalg.norm(gradient[f"linear{number}"][name]) for number in (1, 2, 3)]
        np.testing.assert_allclose(found[f"{name}_gradient"][1][0], norms, rtol=1e-4)


@pytest.mark.slow
def test_symmetry_of_a_constant_is_kept_and_broken_by_one_unit(small: Mnist) -> None:
    found = measures.symmetry(TINY.with_changes(init="constant"), [3], small)
    assert np.max(found["unit_spread"]) < 1e-6
    params = native(TINY.with_changes(init="constant"), 1000).params
    stacked = jax.tree.map(lambda leaf: np.array(leaf)[None], params)
    assert measures._unit_spread(stacked).tolist() == [[0, 0]]
    for layer, name, place, expected in (
        ("linear1", "kernel", (0, 7, 2), [0.5, 0]),
        ("linear1", "bias", (0, 2), [1, 0]),
        ("linear2", "kernel", (0, 2, 3), [0.5, 0.5]),  # out of the first hidden layer, into the second
        ("linear3", "kernel", (0, 4, 9), [0, 0.5]),
    ):
        broken = jax.tree.map(np.copy, stacked)
        broken[layer][name][place] += 0.1
        assert measures._unit_spread(broken)[0] == pytest.approx(expected, abs=1e-6)


def test_steps_are_counted_to_where_the_running_mean_falls_below() -> None:
    losses = np.concatenate([np.full(30, 1.0), np.full(30, 0.5)])
    # After 30 + k steps the mean of the last 20 is 1 - 0.5 k / 20: below 0.6 from k = 17 on.
    assert measures._first_step_below(0.6, losses) == 47
    assert measures._first_step_below(0.4, losses) is None
    assert measures._first_step_below(0.6, np.full(60, np.nan)) is None


@pytest.mark.slow
def test_steps_to_loss_takes_the_best_learning_rate(small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = TINY.with_changes(activation="linear", optimizer="sgd", init="xavier_normal", batch_size=10)
    monkeypatch.setattr(measures, "RATES", (1e-6, 0.8))
    found = measures.steps_to_loss(recipe, [0, 1], small, loss=2.0)
    assert found["learning_rate"] == pytest.approx(0.8 / 3)
    assert all(steps and steps < 100 for steps in found["steps"])
    monkeypatch.setattr(measures, "RATES", (1e-6,))
    assert measures.steps_to_loss(recipe, [0], small, loss=1.0)["steps"] == [None]


@pytest.mark.slow
def test_saturation_probes_every_chunk(small: Mnist) -> None:
    recipe = TINY.with_changes(activation="sigmoid", optimizer="sgd", learning_rate=1.0, batch_size=10)
    found = measures.saturation(recipe, [0, 1], small)
    assert found["steps"] == [0, 50, 100]
    assert np.shape(found["mean"]) == (2, 3, 3)
    # The probe at the end is of the network that one epoch of plain training gives.
    one = recipe.with_changes(epochs=1, seed=1)
    *_, (_, state) = train.fit(one, small, native(one, 1000))
    first = state.params["linear1"]
    hidden = 1 / (1 + np.exp(-(small.test_images[:100] / 255 @ first["kernel"] + first["bias"])))
    np.testing.assert_allclose(found["mean"][1][-1][0], hidden.mean(), rtol=1e-4)


@pytest.mark.slow
def test_scaled_looks_at_images_that_lsuv_did_not_see(small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "USED", 400)
    recipe = TINY.with_changes(init="xavier_normal", activation="tanh", epochs=1)
    found = measures.scaled(recipe, [5], small)
    params = native(recipe.with_changes(seed=5), 1000).params
    z = small.train_images[400:800] / 255 @ np.asarray(params["linear1"]["kernel"])
    assert found["pre_variance"][0][0] == pytest.approx(z.var(), rel=1e-4)
    assert np.shape(found["pre_variance"]) == (1, 3)
    assert np.shape(found["loss"]) == (1, 10)  # ten steps


@pytest.mark.slow
def test_five_seeds_are_the_given_ones_and_those_that_follow(small: Mnist) -> None:
    recipe = TINY.with_changes(epochs=0)
    five, three = (found(recipe, [7, 8, 9], small) for found in (measures.signal_of_five, measures.signal))
    assert np.shape(five["measured"]["variance"]) == (5, 3)
    np.testing.assert_allclose(five["measured"]["variance"][:3], three["measured"]["variance"], rtol=1e-4)
    six = measures.signal_of_five(recipe, range(6), small)
    assert np.shape(six["measured"]["variance"]) == (6, 3)
