"""The port's gradients and training steps, from the reference's weights, batches and masks."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jax_impl.parity.recording.models.base import Arrays, Model
from jax_impl.parity.recording.moments import moment_arrays
from jax_impl.parity.recording.tracing.passes import Runner
from jax_impl.parity.recording.tracing.tags import compiled, narrowed


@dataclass(frozen=True)
class Step:
    """What one step of training did. Arrays are NumPy's, under the port's names."""

    loss: float
    gradient_norm: float
    updates: Arrays
    state: dict[str, Arrays]  # by torch's name of the moment, then by leaf
    buffers: Arrays
    own_masks: list[dict[str, Any]]


def gradients(
    runner: Runner, params: Arrays, state: Any, batch: Any, key: Any, masks: Sequence[Any]
) -> tuple[float, Arrays]:
    """Return the loss of a batch in training mode, and its gradient for each parameter."""

    def loss(params: Arrays) -> Any:
        return runner.loss(params, state, batch, key, masks, train=True)[0]

    value, found = jax.device_get(compiled(jax.value_and_grad(loss))(params))
    return float(value), found


def train(
    model: Model,
    runner: Runner,
    optimizer: optax.GradientTransformationExtraArgs,
    params: Arrays,
    state: Any,
    batches: Sequence[Any],
    masks: Sequence[Sequence[Any]],
    keys: Sequence[Any],
) -> Iterator[tuple[Step, Arrays, Any]]:
    """Train one step for each batch; yield the step, the parameters and the state after it."""

    @compiled
    def step(params: Arrays, state: Any, moments: Any, batch: Any, key: Any, masks: Any) -> Any:
        def loss(params: Arrays) -> Any:
            return runner.loss(params, state, batch, key, masks, train=True)

        (value, (new_state, own)), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, moments = stepped(model, optimizer, grads, moments, params, value=value)
        after = {name: array + updates[name].astype(array.dtype) for name, array in params.items()}
        norm = optax.tree.norm(grads)
        drawn = [(math.nan if mask.rate is None else mask.rate, mask.array) for mask in own]
        return value, norm, after, new_state, moments, drawn

    moments = optimizer.init(model.params_tree(params))
    for batch, given, key in zip(batches, masks, keys, strict=True):
        value, norm, after, state, moments, own = step(params, state, moments, batch, key, list(given))
        done = Step(
            loss=float(value),
            gradient_norm=float(norm),
            updates={name: np.asarray(after[name]) - np.asarray(params[name]) for name in params},
            state=moment_arrays(moments, params),
            buffers=jax.device_get(model.buffers(state)),
            own_masks=[digest(float(rate), array) for rate, array in own],
        )
        params = after
        yield done, params, state


def steps_in_float32(model: Model, optimizer: Any, params: Arrays) -> bool:
    """Return whether an optimizer of float64 parameters computes in float32 inside, as Optax's schedules do."""

    def run(grads: Arrays, moments: Any) -> Any:
        return stepped(model, optimizer, grads, moments, params, value=jnp.zeros(()))

    program = jax.make_jaxpr(run)(params, optimizer.init(model.params_tree(params)))
    wide = all(array.dtype == jnp.float64 for array in params.values())
    return wide and any(map(narrowed, program.eqns))


def inject(
    model: Model, optimizer: optax.GradientTransformationExtraArgs, params: Arrays, steps: Sequence[Arrays]
) -> Iterator[tuple[Arrays, dict[str, Arrays]]]:
    """Let the optimizer take steps on given gradients; yield each step's updates and the optimizer's state after it."""

    @compiled
    def step(params: Arrays, moments: Any, grads: Arrays) -> Any:
        updates, moments = stepped(model, optimizer, grads, moments, params, value=jnp.zeros(()))
        return {name: array + updates[name].astype(array.dtype) for name, array in params.items()}, moments

    moments = optimizer.init(model.params_tree(params))
    for grads in steps:
        after, moments = step(params, moments, grads)
        yield (
            {name: np.asarray(after[name]) - np.asarray(params[name]) for name in params},
            moment_arrays(moments, params),
        )
        params = after


def stepped(
    model: Model, optimizer: Any, grads: Arrays, moments: Any, params: Arrays, *, value: Any
) -> tuple[Arrays, Any]:
    """Return the optimizer's updates by name, and its new state. It sees the parameters as the user's pytree."""
    tree = model.params_tree(params)
    updates, moments = optimizer.update(model.params_tree(grads), moments, tree, value=value)
    return dict(zip(tree_names(model, params), jax.tree.leaves(updates), strict=True)), moments


def tree_names(model: Model, params: Arrays) -> list[str]:
    """Return the name of each leaf of the user's pytree, in the pytree's order."""
    numbered = {name: np.full((), float(number)) for number, name in enumerate(params)}
    names = list(params)
    return [names[int(leaf)] for leaf in jax.tree.leaves(model.params_tree(numbered))]


def digest(rate: float, mask: Any) -> dict[str, Any]:
    """Return what is recorded of a mask that the port drew. `rate` is NaN if the program computes it."""
    array = np.asarray(mask)
    content = hashlib.sha256(np.packbits(array).tobytes()).hexdigest()
    return {"rate": None if math.isnan(rate) else rate, "shape": list(array.shape), "digest": content}
