from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_impl.errors import UserError
from jax_impl.parity.recording import training
from jax_impl.parity.recording.models.adapters import adapted
from jax_impl.parity.recording.models.base import Model
from jax_impl.parity.recording.tracing.passes import Call, Runner
from tests.unit.jax_impl.parity.recording import models

LIBRARIES = (models.of_nnx, models.of_linen, models.of_equinox, models.of_tree)
MODULAR = LIBRARIES[:3]
KEY = 0


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


def built(make: Callable[[], Any]) -> tuple[Model, Any, Any]:
    model, loss, state = make()
    found = adapted(model, loss, models.BATCH, state)
    wide = {name: jnp.asarray(array, jnp.float64) for name, array in found.params.items()}
    buffers = {
        name: jnp.asarray(array, jnp.float64) for name, array in found.buffers(found.state).items() if jnp.ndim(array)
    }
    return found, wide, found.with_buffers(found.state, buffers)


def called(make: Callable[[], Any], *, train: bool = True, **options: Any) -> tuple[float, list[Call], list[Any]]:
    model, params, state = built(make)
    return Runner(model).calls(
        params, state, models.BATCH, jax.random.key(KEY), options.pop("masks", []), train=train, **options
    )


@pytest.mark.parametrize("make", LIBRARIES)
def test_leaves_have_dotted_names_and_come_back(make: Callable[[], Any]) -> None:
    model, params, _ = built(make)
    assert all(name.startswith(("conv", "norm", "out")) for name in params)
    assert any(name.startswith("norm") for name in model.buffers(model.state))
    doubled = jax.tree.map(lambda leaf: 2 * leaf, model.params_tree(params))
    assert training.tree_names(model, params) != []
    total = sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(doubled))
    np.testing.assert_allclose(total, 2 * sum(float(jnp.abs(leaf).sum()) for leaf in params.values()))


@pytest.mark.parametrize("make", MODULAR)
def test_calls_are_listed_in_the_order_in_which_they_return(make: Callable[[], Any]) -> None:
    _, calls, masks = called(make)
    assert [call.path for call in calls] == ["conv", "norm", "drop", "out", ""]
    assert [call.order for call in calls] == [1, 2, 3, 4, 0]
    assert calls[-1].outputs[0].shape == (4, 2)
    assert [(mask.array.shape, mask.replaced) for mask in masks] == [((4, 4), False)]
    assert not any(call.float32 for call in calls)


@pytest.mark.parametrize("make", MODULAR)
def test_evaluation_has_no_mask_and_uses_the_running_averages(make: Callable[[], Any]) -> None:
    _, training_calls, _ = called(make)
    _, calls, masks = called(make, train=False)
    assert masks == []
    norm = [next(one.outputs[0] for one in listed if one.path == "norm") for listed in (training_calls, calls)]
    assert not np.allclose(*norm)


@pytest.mark.parametrize("make", MODULAR)
def test_a_mask_takes_the_place_of_the_drawn_one(make: Callable[[], Any]) -> None:
    kept = np.zeros((4, 4), bool)
    kept[1, 2] = True
    _, calls, masks = called(make, masks=[kept])
    dropped = next(call.outputs[0] for call in calls if call.path == "drop")
    assert masks[0].replaced
    assert (dropped != 0).sum() <= 1
    _, _, masks = called(make, masks=[np.zeros((7, 4), bool)])
    assert not masks[0].replaced


@pytest.mark.parametrize("make", MODULAR)
def test_forced_arrays_go_on_and_the_own_ones_are_recorded(make: Callable[[], Any]) -> None:
    _, free, _ = called(make)

    _, forced, _ = called(make, given={("drop", 0, "output", 0): np.full((4, 4), 5.0)})
    before, after = ({call.path: call for call in calls} for calls in (free, forced))
    np.testing.assert_array_equal(after["drop"].outputs[0], before["drop"].outputs[0])
    np.testing.assert_array_equal(after["out"].inputs[0], np.full((4, 4), 5.0))


@pytest.mark.parametrize("make", LIBRARIES)
def test_training_is_that_of_a_plain_loop(make: Callable[[], Any]) -> None:
    """The plain loop takes the gradient of the adapter's loss, without tags; masks come from the same keys."""
    model, params, state = built(make)
    optimizer, keys = optax.sgd(0.1, momentum=0.9), [jax.random.key(number) for number in range(3)]
    programs = training.Programs(model, Runner(model), optax.with_extra_args_support(optimizer))
    steps = [step for step, _, _ in training.train(programs, params, state, [models.BATCH] * 3, [[]] * 3, keys)]
    moments, losses = optimizer.init(params), []
    for key in keys:
        grad = jax.value_and_grad(lambda p, s=state, k=key: model.loss(p, s, models.BATCH, k, train=True), has_aux=True)
        (value, state), grads = grad(params)
        updates, moments = optimizer.update(grads, moments, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(value))
    np.testing.assert_allclose([step.loss for step in steps], losses, rtol=1e-12)
    for name, array in model.buffers(state).items():
        np.testing.assert_allclose(steps[-1].buffers[name], array, rtol=1e-12)
    assert steps[0].state["momentum_buffer"].keys() == params.keys()


def test_a_call_that_computes_in_float32_is_flagged() -> None:
    def loss(params: Any, batch: Any) -> Any:
        from jax_impl.parity import observe

        narrow = observe("narrow", (batch[0].astype(jnp.float32).mean() * params["w"].astype(jnp.float32)))
        return observe("wide", narrow.astype(jnp.float64) * params["w"]).sum()

    model = adapted({"w": np.ones(3)}, loss, models.BATCH)
    _, calls, _ = Runner(model).calls(model.params, None, models.BATCH, jax.random.key(0), [], train=True)
    assert [call.path for call in calls] == ["narrow", "wide"]


def test_what_is_no_model_or_no_loss_is_one_line() -> None:
    with pytest.raises(UserError, match="model must be a Flax NNX, Linen or Equinox module"):
        adapted("network", models.tree_loss, models.BATCH)
    model = adapted({"w": np.ones(3)}, lambda params, batch: params["w"], models.BATCH)
    with pytest.raises(UserError, match=r"loss must return a scalar, got \(3,\): return the mean"):
        Runner(model).calls(model.params, None, models.BATCH, jax.random.key(0), [], train=True)
