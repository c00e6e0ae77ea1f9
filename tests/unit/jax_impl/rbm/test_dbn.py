"""Stacks of RBMs: how they are trained, what they generate, and how they become a network."""

from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import draws, interop, model, recipes
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, UserError
from jax_impl.pixels import scale
from jax_impl.rbm import dbn, machine
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import RbmRecord

SETTINGS = Settings(epochs=2, batch_size=50)


def machines(*sizes: int, seed: int = 0) -> list[machine.Rbm]:
    rng = np.random.default_rng(seed)
    return [
        machine.Rbm(*(rng.normal(size=shape).astype(np.float32) for shape in ((below, above), below, above)))
        for below, above in pairwise(sizes)
    ]


def test_each_machine_learns_what_the_one_below_makes_of_the_images(small: Mnist) -> None:
    train, test = (scale(jnp.asarray(part), "float32") for part in (small.train_images, small.test_images))
    seen = list(dbn.fit_stack([20, 12], SETTINGS, train, test))
    assert [(record and (record.layer, record.epoch), len(stack)) for record, stack in seen] == [
        (None, 1), ((1, 1), 1), ((1, 2), 1), (None, 2), ((2, 1), 2), ((2, 2), 2),
    ]  # fmt: skip
    first, second = seen[-1][1]
    assert (first.weight.shape, second.weight.shape) == ((784, 20), (20, 12))
    np.testing.assert_array_equal(first.weight, seen[2][1][0].weight)
    hidden = machine.hidden_given_visible(first, train)
    p = np.clip(hidden.mean(axis=0), 1e-4, 1 - 1e-4)
    np.testing.assert_allclose(seen[3][1][1].visible_bias, np.log(p / (1 - p)), atol=1e-5)
    np.testing.assert_allclose(dbn.up(seen[-1][1], train), machine.hidden_given_visible(second, hidden), atol=1e-6)


def test_a_stack_without_machines_or_with_a_size_of_0_is_refused_before_any_training(small: Mnist) -> None:
    train = scale(jnp.asarray(small.train_images), "float32")
    with pytest.raises(ArgumentError, match="a DBN needs at least one hidden layer, got none"):
        next(dbn.fit_stack([], SETTINGS, train, train))
    with pytest.raises(ArgumentError, match="hidden must be an integer >= 1, got 0"):
        next(dbn.fit_stack([20, 0], SETTINGS, train, train))


def test_down_goes_through_every_machine() -> None:
    one, two = machines(6, 4, 3)
    h = jnp.asarray(np.random.default_rng(1).uniform(size=(5, 3)), jnp.float32)
    expected = machine.visible_given_hidden(one, machine.visible_given_hidden(two, h))
    np.testing.assert_allclose(dbn.down([one, two], h), expected, atol=1e-6)


def test_what_is_generated_has_the_model_s_distribution() -> None:
    """Of a stack small enough to enumerate: the top RBM's visible units, and what these make of the pixels."""
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


def test_unrolled_a_stack_computes_its_own_probabilities() -> None:
    stack = machines(784, 30, 20)
    recipe = recipes.named("mnist_dbn").but(layers=(784, 30, 20, 10))
    before = model.init_params(recipe.but(init="xavier_uniform"), key=jax.random.key(0))
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


def test_the_initialiser_pretrains_or_takes_a_stack(small: Mnist) -> None:
    recipe = recipes.named("mnist_dbn").but(layers=(784, 12, 8, 10), seed=4)
    drawn = draws.native(recipe, len(small.train_images))
    records: list[RbmRecord] = []
    found = draws.look_at(small.train_images, recipe, drawn, watch=records.append)
    assert [(record.layer, record.epoch) for record in records] == [(layer, n) for layer in (1, 2) for n in range(1, 6)]
    images = scale(jnp.asarray(small.train_images), "float32")
    settings = Settings(epochs=5, seed=4)
    *_, (_, stack) = dbn.fit_stack((12, 8), settings, images, images[:500])
    for number in (1, 2):
        np.testing.assert_allclose(found.params[f"linear{number}"]["kernel"], stack[number - 1].weight, atol=1e-6)
        np.testing.assert_allclose(found.params[f"linear{number}"]["bias"], stack[number - 1].hidden_bias, atol=1e-6)
    np.testing.assert_array_equal(found.params["linear3"]["kernel"], drawn.params["linear3"]["kernel"])
    assert all(abs(record.free_energy_gap) < 1e-3 for record in records)  # of the images against themselves
    held: list[RbmRecord] = []
    again = draws.look_at(small.train_images, recipe, drawn, held_out=small.test_images, watch=held.append)
    np.testing.assert_array_equal(again.params["linear1"]["kernel"], found.params["linear1"]["kernel"])
    assert all(abs(record.free_energy_gap) > 1e-2 for record in held)
    given = draws.look_at(small.train_images, recipe, drawn, stack=machines(784, 12, 8), watch=records.append)
    np.testing.assert_array_equal(given.params["linear1"]["kernel"], machines(784, 12, 8)[0].weight)
    assert len(records) == 10


def test_stacks_are_written_as_torch_lays_out_their_layers(tmp_path: Path) -> None:
    path = tmp_path / "params.safetensors"
    stack = machines(9, 4, 3)
    interop.save_stack(path, stack)
    found = interop.load_stack(path)
    for one, other in zip(stack, found, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(UserError, match="is no safetensors file"):
        interop.load_stack(path)
    for wrong in (
        machines(9, 4) + machines(3, 2),  # the second does not fit on the first
        [stack[0]._replace(visible_bias=stack[0].visible_bias[:-1])],
        [machine.Rbm(*np.zeros(3, np.float32))],  # no arrays, but numbers
    ):
        interop.save_stack(path, wrong)
        with pytest.raises(UserError, match="holds no RBMs"):
            interop.load_stack(path)
    interop.save(path, {"linear1": {"kernel": np.zeros((4, 3), np.float32), "bias": np.zeros(3, np.float32)}})
    with pytest.raises(UserError, match=r"holds no RBMs: name the params\.safetensors that `rbm` or `dbn` wrote"):
        interop.load_stack(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(UserError, match="is no safetensors file"):
        interop.load_stack(path)
    with pytest.raises(UserError, match="cannot read"):
        interop.load_stack(tmp_path / "none")
