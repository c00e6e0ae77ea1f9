"""Flax Linen models for the recorder."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from flax.errors import ModifyScopeVariableError
from flax.traverse_util import flatten_dict, unflatten_dict

from jax_impl.parity.recording.models.base import Arrays, Model, Module, loss_value, plain_settings
from jax_impl.parity.recording.tracing.calls import called
from jax_impl.parity.recording.tracing.tags import compiled

STREAMS = ("params", "dropout")


class LinenModel(Model):
    """A Linen module, or a pair of it and its variables. `loss(model, batch)` gets it bound."""

    framework = "linen"

    def __init__(self, model: Any, loss: Callable[..., Any], batch: Any, *, seed: int = 0) -> None:
        self._module, variables = model if isinstance(model, tuple) else (model, None)
        self._loss = loss
        self._seen: dict[str, Module] = {}
        if variables is None:
            initialise = nn.init(lambda module: self._value(module, batch, jax.random.key(0), train=True), self._module)
            variables = compiled(initialise)(dict.fromkeys(STREAMS, jax.random.key(seed)))
        variables = jax.tree.map(lambda leaf: leaf, dict(variables))
        self.params: Arrays = _flat(variables.pop("params"))
        self.state = {name: _flat(leaves) for name, leaves in variables.items()}
        self._changes_in_evaluation = False
        jax.eval_shape(lambda: self.loss(self.params, self.state, batch, jax.random.key(0), train=True))
        try:
            jax.eval_shape(lambda: self.loss(self.params, self.state, batch, jax.random.key(0), train=False))
        except ModifyScopeVariableError:
            self._changes_in_evaluation = True

    def completed(self, other: Any) -> Any:
        """Return (module, variables) where only the variables are given."""
        return other if isinstance(other, tuple | nn.Module) else (self._module, other)

    @property
    def modules(self) -> list[Module]:
        """The modules that were called, in the order of their first call."""
        return list(self._seen.values())

    def params_tree(self, params: Arrays) -> Any:
        """Return the nested dict of the collection `params`."""
        return unflatten_dict(params, sep=".")

    def buffers(self, state: Any) -> Arrays:
        """Return the variables of all other collections. A name in two collections keeps the last one's."""
        return {name: array for collection in state.values() for name, array in collection.items()}

    def with_buffers(self, state: Any, buffers: Arrays) -> Any:
        """Return a state with other buffers."""
        return {
            collection: {name: buffers.get(name, array) for name, array in arrays.items()}
            for collection, arrays in state.items()
        }

    def loss(self, params: Arrays, state: Any, batch: Any, key: Any, *, train: bool) -> tuple[Any, Any]:
        """Return the loss of a batch and the new state."""
        variables = {name: unflatten_dict(leaves, sep=".") for name, leaves in {"params": params, **state}.items()}

        def run(module: nn.Module) -> Any:
            with nn.intercept_methods(self._intercepted):
                return self._value(module, batch, key, train=train)

        rngs = dict.fromkeys(STREAMS, key)
        if not (train or self._changes_in_evaluation):  # some modules tell evaluation from training by this alone
            return nn.apply(run, self._module, mutable=False)(variables, rngs=rngs), state
        value, changed = nn.apply(run, self._module, mutable=list(state))(variables, rngs=rngs)
        return value, {name: _flat(changed.get(name, {})) or leaves for name, leaves in state.items()}

    def _value(self, module: nn.Module, batch: Any, key: Any, *, train: bool) -> Any:
        return loss_value(self._loss, module, batch, train=train, key=key)[0]

    def _intercepted(self, function: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        if context.method_name != "__call__":
            return function(*args, **kwargs)
        module, path = context.module, ".".join(context.module.path)
        if path not in self._seen:
            fields = {field.name: getattr(module, field.name) for field in dataclasses.fields(module)}
            self._seen[path] = Module(path, type(module).__name__, plain_settings(fields))
        return called(path, function, *args, **kwargs)


def _flat(leaves: Any) -> Arrays:
    return dict(flatten_dict(dict(leaves), sep="."))
