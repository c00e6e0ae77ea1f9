"""The port's gradients and training steps, from the reference's weights, batches and masks."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jax_impl.parity.arrays import repeated_axes
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


class Programs:
    """What training repeats, each compiled once: the gradients of a batch, and a step of the optimizer."""

    def __init__(self, model: Model, runner: Runner, optimizer: optax.GradientTransformationExtraArgs) -> None:
        def gradients(params: Arrays, state: Any, batch: Any, key: Any, masks: Any) -> Any:
            def loss(params: Arrays) -> Any:
                return runner.loss(params, state, batch, key, masks, train=True)

            (value, (state_after, own)), grads = jax.value_and_grad(loss, has_aux=True)(params)
            drawn = [(math.nan if mask.rate is None else mask.rate, mask.array) for mask in own]
            return grads, (value, optax.tree.norm(grads), state_after, drawn)

        def update(params: Arrays, moments: Any, grads: Arrays, value: Any) -> Any:
            updates, moments = stepped(model, optimizer, grads, moments, params, value=value)
            return {name: array + updates[name].astype(array.dtype) for name, array in params.items()}, moments

        self.gradients = compiled(gradients)
        self.update = compiled(update)
        self.buffers = model.buffers
        self._model, self._optimizer = model, optimizer

    def start(self, params: Arrays) -> Any:
        """Return the optimizer's state before the first step."""
        return self._optimizer.init(self._model.params_tree(params))


def train(
    programs: Programs,
    params: Arrays,
    state: Any,
    batches: Sequence[Any],
    masks: Sequence[Sequence[Any]],
    keys: Sequence[Any],
) -> Iterator[tuple[Step, Arrays, Any]]:
    """Train one step for each batch; yield the step, the parameters and the state after it."""
    moments = programs.start(params)
    for batch, given, key in zip(batches, masks, keys, strict=True):
        grads, (value, norm, state, own) = programs.gradients(params, state, batch, key, list(given))
        after, moments = programs.update(params, moments, grads, value)
        done = Step(
            loss=float(value),
            gradient_norm=float(norm),
            updates=_differences(after, params),
            state=moment_arrays(moments, params),
            buffers=jax.device_get(programs.buffers(state)),
            own_masks=[digest(float(rate), array) for rate, array in own],
        )
        params = after
        yield done, params, state


def inject(programs: Programs, params: Arrays, steps: Iterable[Arrays]) -> Iterator[tuple[Arrays, dict[str, Arrays]]]:
    """Let the optimizer take steps on given gradients; yield each step's updates and the optimizer's state after it."""
    moments = programs.start(params)
    for grads in steps:
        after, moments = programs.update(params, moments, grads, jnp.zeros((), jnp.result_type(float)))
        yield _differences(after, params), moment_arrays(moments, params)
        params = after


def _differences(after: Arrays, before: Arrays) -> Arrays:
    return {name: np.asarray(after[name]) - np.asarray(before[name]) for name in before}


def steps_in_float32(model: Model, optimizer: Any, params: Arrays) -> bool:
    """Return whether an optimizer of float64 parameters computes in float32 inside, as Optax's schedules do."""

    def run(grads: Arrays, moments: Any) -> Any:
        return stepped(model, optimizer, grads, moments, params, value=jnp.zeros(()))

    program = jax.make_jaxpr(run)(params, optimizer.init(model.params_tree(params)))
    wide = all(array.dtype == jnp.float64 for array in params.values())
    return wide and any(map(narrowed, program.eqns))


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
    return {"rate": None if math.isnan(rate) else rate, "shape": list(array.shape), "digest": content,
            "repeated": repeated_axes(array)}  # fmt: skip
