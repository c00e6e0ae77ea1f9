"""Stacks of RBMs: their training, the images that they generate, and the networks that they become."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import model, recipes
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError
from jax_impl.model import scale
from jax_impl.rbm import dbn, machine, training
from jax_impl.rbm.settings import Settings
from jax_impl.trainer.progress import Progress, pack

SETTINGS = Settings(epochs=2, batch_size=50)


def machines(*sizes: int, seed: int = 0) -> list[machine.Rbm]:
    rng = np.random.default_rng(seed)
    return [
        machine.Rbm(*(rng.normal(size=shape).astype(np.float32) for shape in ((below, above), below, above)))
        for below, above in pairwise(sizes)
    ]


def test_each_machine_is_trained_on_the_hidden_probabilities_of_the_one_below(small: Mnist) -> None:
    images, held_out = (scale(jnp.asarray(part), "float32") for part in (small.train_images, small.test_images))
    train, test = images[:, 400:412], held_out[:, 400:412]  # so both machines have one shape
    seen = list(dbn.fit_stack([12, 12], SETTINGS, train, test))
    assert [(record and (record.layer, record.epoch), len(stack)) for record, stack in seen] == [
        (None, 1), ((1, 1), 1), ((1, 2), 1), (None, 2), ((2, 1), 2), ((2, 2), 2),
    ]  # fmt: skip
    first, second = seen[-1][1]
    assert (first.weight.shape, second.weight.shape) == ((12, 12), (12, 12))
    np.testing.assert_array_equal(first.weight, seen[2][1][0].weight)
    hidden = machine.hidden_given_visible(first, train)
    p = np.clip(hidden.mean(axis=0), 1e-4, 1 - 1e-4)
    np.testing.assert_allclose(seen[3][1][1].visible_bias, np.log(p / (1 - p)), atol=1e-5)
    np.testing.assert_allclose(dbn.up(seen[-1][1], train), machine.hidden_given_visible(second, hidden), atol=1e-6)


def test_wrong_sizes_are_refused_before_any_training(small: Mnist) -> None:
    train = scale(jnp.asarray(small.train_images), "float32")
    with pytest.raises(ArgumentError, match="a DBN needs at least one hidden layer, got none"):
        next(dbn.fit_stack([], SETTINGS, train, train))
    with pytest.raises(ArgumentError, match="hidden must be an integer from 1 to 2147483647, got 0"):
        next(dbn.fit_stack([20, 0], SETTINGS, train, train))


def test_down_passes_through_every_machine() -> None:
    one, two = machines(6, 4, 3)
    h = jnp.asarray(np.random.default_rng(1).uniform(size=(5, 3)), jnp.float32)
    expected = machine.visible_given_hidden(one, machine.visible_given_hidden(two, h))
    np.testing.assert_allclose(dbn.down([one, two], h), expected, atol=1e-6)


def test_generated_images_have_the_model_s_distribution() -> None:
    """The stack is small enough to enumerate the top RBM's states."""
    stack = machines(3, 4, 3, seed=2)
    top = stack[-1]
    states = machine.states(4, "float32")
    h_states = machine.states(3, "float32")
    joint = np.exp(-jax.vmap(lambda h: machine.energy(top, states, jnp.tile(h[None], (16, 1))))(h_states))
    p_h = joint.sum(axis=1) / joint.sum()
    expected = p_h @ np.asarray(dbn.down(stack, h_states))
    start = jnp.full((20_000, 3), 0.5, jnp.float32)
    moments = dbn.generate([jax.tree.map(jnp.asarray, one) for one in stack], jax.random.key(0), start, (1, 30))
    assert moments.shape == (2, 20_000, 3)
    np.testing.assert_allclose(moments[1].mean(axis=0), expected, atol=0.015)


def test_an_unrolled_stack_computes_the_same_probabilities() -> None:
    stack = machines(784, 30, 20)
    recipe = recipes.named("mnist_dbn").with_changes(layers=(784, 30, 20, 10))
    before = model.init_params(recipe.with_changes(init="xavier_uniform"), key=jax.random.key(0))
    params = dbn.unroll(stack, before)
    np.testing.assert_array_equal(params["linear3"]["kernel"], before["linear3"]["kernel"])
    v = jnp.asarray(np.random.default_rng(1).uniform(size=(7, 784)), jnp.float32)
    for activation in ("sigmoid", "relu"):
        first, second, _ = model.pre_activations(params, v, activation)
        np.testing.assert_allclose(first, v @ stack[0].weight + stack[0].hidden_bias[None], rtol=1e-4, atol=1e-4)
        inputs = jax.nn.sigmoid(first) if activation == "sigmoid" else jax.nn.relu(first)
        np.testing.assert_allclose(second, inputs @ stack[1].weight + stack[1].hidden_bias[None], rtol=1e-4, atol=1e-3)
    hidden = model.pre_activations(params, v, "sigmoid")[1]
    np.testing.assert_allclose(jax.nn.sigmoid(hidden), dbn.up(stack, v), atol=1e-5)


@pytest.mark.parametrize("sizes", [(784, 30), (784, 20, 30), (784, 30, 20, 10), (100, 30, 20)])
def test_a_stack_of_other_sizes_is_refused(sizes: tuple[int, ...]) -> None:
    recipe = recipes.Recipe(name="ours", layers=(784, 30, 20, 10))
    params = model.init_params(recipe, key=jax.random.key(0))
    found = "-".join(map(str, sizes))
    with pytest.raises(ArgumentError) as error:
        dbn.unroll(machines(*sizes), params)
    assert str(error.value) == (
        f"a DBN of {found} units does not fit a network of 784-30-20-10: its hidden layers need --hidden 30,20"
    )


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_structure_of_a_checkpoint_follows_from_its_tensors(count: int) -> None:
    *below, top = machines(*range(9, 7 - count, -1))
    state = dbn.StackState(tuple(below), training.State(top, top, np.zeros((2, 3)), np.zeros(3)))
    found = dbn.structure(pack(Progress(state=state), 3)[0])
    assert len(found.below) == count
    assert jax.tree.structure(found) == jax.tree.structure(state)


def test_a_stack_is_untrained_until_its_last_machine_takes_a_step() -> None:
    """Its second machine is new here."""
    one, two = machines(9, 8, 7)
    state = dbn.StackState((one,), training.State(two, two, np.zeros((2, 3)), np.zeros(3)))
    values = {"pseudo_log_likelihood", "reconstruction_error", "free_energy_gap", "hidden_activity", "seconds"}
    first, second = (training.RbmRecord(layer=n, epoch=1, **dict.fromkeys(values, 0.0)) for n in (1, 2))
    assert dbn.is_untrained(Progress(state=state, records=(first,)))
    assert not dbn.is_untrained(Progress(state=state, records=(first,), steps=1))
    assert not dbn.is_untrained(Progress(state=state, records=(first, second)))
    alone = dbn.StackState((), state.current)
    assert dbn.is_untrained(Progress(state=alone))
    assert not dbn.is_untrained(Progress(state=alone, steps=1))
    assert not dbn.is_untrained(Progress(state=alone, records=(first,)))
