"""Flax NNX models for the recorder."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jax_impl.parity.recording.models.base import Arrays, Model, Module, loss_value, plain_settings
from jax_impl.parity.recording.tracing.calls import classes_tagged


class NnxModel(Model):
    """An NNX module, split once. `loss(model, batch)` gets it merged again, in training or evaluation mode."""

    framework = "nnx"

    def __init__(self, model: nnx.Module, loss: Callable[..., Any]) -> None:
        graph, params, state = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
        self._graph, self.state = graph, state
        self._paths = {_name(path): path for path, _ in nnx.to_flat_state(params)}
        self._params = params
        self.params: Arrays = {_name(path): variable.get_value() for path, variable in nnx.to_flat_state(params)}
        self._loss = loss
        self._modules = [
            Module(_name(path), type(module).__name__, plain_settings(vars(module)))
            for path, module in sorted(nnx.iter_modules(model), key=lambda item: _sort_key(item[0]))
        ]

    @property
    def modules(self) -> list[Module]:
        """The modules, in the order of registration."""
        return self._modules

    def params_tree(self, params: Arrays) -> nnx.State[Any, Any]:
        """Return an NNX state of parameters, as `nnx.state(model, nnx.Param)` is."""
        flat = [(path, variable.replace(params[_name(path)])) for path, variable in nnx.to_flat_state(self._params)]
        return nnx.from_flat_state(flat)

    def buffers(self, state: Any) -> Arrays:
        """Return all variables but parameters and random streams."""
        return {
            _name(path): variable.get_value()
            for path, variable in nnx.to_flat_state(state)
            if not isinstance(variable, nnx.RngState) and hasattr(variable.get_value(), "shape")
        }

    def with_buffers(self, state: Any, buffers: Arrays) -> Any:
        """Return a state with other buffers."""
        flat = [
            (path, variable.replace(buffers[_name(path)]) if _name(path) in buffers else variable)
            for path, variable in nnx.to_flat_state(state)
        ]
        return nnx.from_flat_state(flat)

    def loss(self, params: Arrays, state: Any, batch: Any, key: Any, *, train: bool) -> tuple[Any, Any]:
        """Return the loss of a batch and the new state."""
        model = nnx.merge(self._graph, self.params_tree(params), state, copy=True)
        model.train() if train else model.eval()
        _widen(model)
        modules = {id(module): module for _, module in nnx.iter_modules(model)}
        paths = {id(module): _name(path) for path, module in nnx.iter_modules(model)}
        with classes_tagged(paths, modules):
            value, _ = loss_value(self._loss, model, batch, train=train, key=key)
        return value, nnx.state(model, nnx.Not(nnx.Param))


def _widen(model: nnx.Module) -> None:
    """Let modules compute in float64, if that is enabled, although they were made to compute in float32."""
    for _, module in nnx.iter_modules(model) if jnp.result_type(float) == jnp.float64 else ():
        for name in ("dtype", "param_dtype"):
            if getattr(module, name, None) == jnp.float32:
                setattr(module, name, jnp.float64)


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def _sort_key(path: tuple[Any, ...]) -> tuple[tuple[int, Any], ...]:
    """Parents come before children, and list entries in the order of their numbers."""
    return tuple((0, part) if isinstance(part, int) else (1, str(part)) for part in path)
