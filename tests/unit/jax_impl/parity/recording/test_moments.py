from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from jax_impl.parity.recording.moments import moment_arrays

PARAMS = {"a": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array([0.5])}
GRADIENTS = [{"a": jnp.array([0.1, 0.2, -3.0]), "b": jnp.array([float(step)])} for step in range(1, 4)]

PAIRS = {
    "sgd": (optax.sgd(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "adam": (optax.adam(0.1), lambda p: torch.optim.Adam(p, lr=0.1)),
    "amsgrad": (optax.amsgrad(0.1), lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True)),
    "rmsprop": (
        optax.rmsprop(0.1, decay=0.99, eps=1e-8, eps_in_sqrt=False),
        lambda p: torch.optim.RMSprop(p, lr=0.1),
    ),
    "adagrad": (
        optax.adagrad(0.1, initial_accumulator_value=0.0),
        lambda p: torch.optim.Adagrad(p, lr=0.1),
    ),
    "groups": (
        optax.partition({"x": optax.adam(0.1), "y": optax.sgd(0.1, momentum=0.9)}, {"a": "x", "b": "y"}),
        None,
    ),
}


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "groups"])
def test_moments_have_torch_s_names_and_values(name: str) -> None:
    ours, theirs = PAIRS[name]
    leaves = {key: torch.tensor(np.asarray(array), requires_grad=True) for key, array in PARAMS.items()}
    reference, state, params = theirs(list(leaves.values())), ours.init(PARAMS), PARAMS
    for gradients in GRADIENTS:
        for key, leaf in leaves.items():
            leaf.grad = torch.tensor(np.asarray(gradients[key]))
        reference.step()
        updates, state = ours.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    found = moment_arrays(state, PARAMS)
    assert found
    for moment, arrays in found.items():
        for key, array in arrays.items():
            np.testing.assert_allclose(array, reference.state[leaves[key]][moment].numpy(), rtol=2e-6, atol=1e-7)


def test_groups_have_their_own_moments() -> None:
    found = moment_arrays(PAIRS["groups"][0].init(PARAMS), PARAMS)
    assert {moment: set(arrays) for moment, arrays in found.items()} == {
        "exp_avg": {"a"}, "exp_avg_sq": {"a"}, "momentum_buffer": {"b"},
    }  # fmt: skip


def test_what_rmsprop_traces_is_not_torch_s_momentum() -> None:
    """Optax adds up steps that the learning rate has scaled."""
    for centred in (False, True):
        found = moment_arrays(optax.rmsprop(0.1, momentum=0.9, centered=centred).init(PARAMS), PARAMS)
        assert set(found) == {"square_avg", *(["grad_avg"] if centred else [])}


def test_chains_and_schedules_are_looked_into() -> None:
    chain: Any = optax.chain(optax.clip_by_global_norm(1.0), optax.inject_hyperparams(optax.adamw)(learning_rate=0.1))
    assert set(moment_arrays(jax.jit(chain.init)(PARAMS), PARAMS)) == {"exp_avg", "exp_avg_sq"}
