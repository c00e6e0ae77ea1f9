"""Equinox models for the recorder."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jax_impl.parity.recording.models.base import Arrays, Model, Module, dotted, loss_value, plain_settings
from jax_impl.parity.recording.tracing.calls import classes_tagged


class EquinoxModel(Model):
    """An Equinox module for `loss(model, batch)`.

    With a state it is `loss(model, batch, state)`, which returns the value and the new state.
    """

    framework = "equinox"

    def __init__(self, model: eqx.Module, loss: Callable[..., Any], state: Any = None) -> None:
        self._leaves, self._structure = jax.tree_util.tree_flatten_with_path(model)
        self.params: Arrays = {dotted(path): leaf for path, leaf in self._leaves if eqx.is_inexact_array(leaf)}
        self.state = jax.tree.map(_widened, state)  # it refuses updates of another dtype
        self._loss = loss
        found = list(_parts(model, ()))
        self._modules = [
            Module(dotted(path), type(part).__name__, _settings(part)) for path, part in found if _is_module(part)
        ]
        self._indices = {dotted(path): part for path, part in found if isinstance(part, eqx.nn.StateIndex)}

    @property
    def modules(self) -> list[Module]:
        """The modules, in the order of registration."""
        return self._modules

    def params_tree(self, params: Arrays) -> Any:
        """Return the model without what is not trained, as `eqx.filter(model, eqx.is_inexact_array)`."""
        return eqx.filter(self._model(params), eqx.is_inexact_array)

    def buffers(self, state: Any) -> Arrays:
        """Return the arrays of the state under the paths of their `StateIndex`."""
        state = _copied(state)
        return {
            f"{name}.{dotted(path)}".rstrip("."): leaf
            for name, index in self._indices.items()
            for path, leaf in jax.tree_util.tree_flatten_with_path(state.get(index))[0]
        }

    def with_buffers(self, state: Any, buffers: Arrays) -> Any:
        """Return a state with other arrays."""
        state = _copied(state)
        for name, index in self._indices.items():
            value = jax.tree_util.tree_map_with_path(
                lambda path, leaf, name=name: buffers.get(f"{name}.{dotted(path)}".rstrip("."), leaf), state.get(index)
            )
            state = state.set(index, value)
        return state

    def loss(self, params: Arrays, state: Any, batch: Any, key: Any, *, train: bool) -> tuple[Any, Any]:
        """Return the loss of a batch and the new state."""
        model = eqx.nn.inference_mode(self._model(params), value=not train)
        modules = {id(part): (dotted(path), part) for path, part in _parts(model, ()) if _is_module(part)}
        paths = {number: path for number, (path, _) in modules.items()}
        extra = () if self.state is None else (state,)
        with classes_tagged(paths, {number: part for number, (_, part) in modules.items()}):
            value, changed = loss_value(self._loss, model, batch, *extra, train=train, key=key)
        return value, changed if extra else state

    def _model(self, params: Arrays) -> Any:
        leaves = [params.get(dotted(path), leaf) for path, leaf in self._leaves]
        return jax.tree.unflatten(self._structure, leaves)


def _parts(part: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every module and state index with its path, parents before children."""
    if isinstance(part, eqx.Module | eqx.nn.StateIndex):
        yield path, part
    if isinstance(part, eqx.nn.StateIndex):
        return
    children: dict[Any, Any] = {}
    if isinstance(part, eqx.Module):
        children = {field.name: getattr(part, field.name, None) for field in dataclasses.fields(part)}
    elif isinstance(part, dict):
        children = part
    elif isinstance(part, list | tuple):
        children = dict(enumerate(part))
    for key, child in children.items():
        yield from _parts(child, (*path, key))


def _copied(state: Any) -> Any:
    """Return the same state, for reading: Equinox refuses a state that was read and changed before."""
    return jax.tree.map(lambda leaf: leaf, state)


def _widened(leaf: Any) -> Any:
    """Return an array of a state as wide as the program computes: float64, and int64 counters, where enabled."""
    if getattr(leaf, "weak_type", False):
        return jnp.asarray(leaf.item())
    wide = jnp.result_type(float) == jnp.float64 and jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(jnp.float64) if wide else leaf


def _is_module(part: Any) -> bool:
    return isinstance(part, eqx.Module) and callable(part)


def _settings(module: eqx.Module) -> dict[str, Any]:
    return plain_settings({field.name: getattr(module, field.name, None) for field in dataclasses.fields(module)})
