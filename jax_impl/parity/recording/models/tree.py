"""Plain functions over a pytree of arrays, for the recorder."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jax_impl.parity.recording.models.base import Arrays, Model, Module, dotted, loss_value


class TreeModel(Model):
    """A pytree of parameters for `loss(params, batch)`.

    With a state it is `loss(params, batch, state)`, which returns the value and the new state.
    """

    framework = "tree"

    def __init__(self, model: Any, loss: Callable[..., Any], state: Any = None) -> None:
        self._leaves, self._structure = jax.tree_util.tree_flatten_with_path(model)
        self.params: Arrays = {dotted(path): leaf for path, leaf in self._leaves if _is_trained(leaf)}
        self.state = state
        self._loss = loss
        names = [name.split(".")[:-1] for name in self.params]
        self._modules = [Module(path, "") for path in dict.fromkeys(_prefixes(names))]

    @property
    def modules(self) -> list[Module]:
        """The modules, in the order of registration."""
        return self._modules

    def params_tree(self, params: Arrays) -> Any:
        """Return the pytree with other parameters."""
        leaves = [params.get(dotted(path), leaf) for path, leaf in self._leaves]
        return jax.tree.unflatten(self._structure, leaves)

    def buffers(self, state: Any) -> Arrays:
        """Return the arrays of the state."""
        return {dotted(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]}

    def with_buffers(self, state: Any, buffers: Arrays) -> Any:
        """Return a state with other arrays."""
        return jax.tree_util.tree_map_with_path(lambda path, leaf: buffers.get(dotted(path), leaf), state)

    def loss(self, params: Arrays, state: Any, batch: Any, key: Any, *, train: bool) -> tuple[Any, Any]:
        """Return the loss of a batch and the new state."""
        extra = () if self.state is None else (state,)
        value, changed = loss_value(self._loss, self.params_tree(params), batch, *extra, train=train, key=key)
        return value, changed if extra else state


def _is_trained(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def _prefixes(names: list[list[str]]) -> list[str]:
    return [".".join(parts[:end]) for parts in names for end in range(len(parts) + 1)]
