"""A model of any JAX library as plain arrays by name and one pure function."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jax_impl.errors import UserError

Arrays = dict[str, Any]  # by the dotted path of the leaf


@dataclass(frozen=True)
class Module:
    """A module of the port: its path, its class, and the settings that can be compared."""

    path: str
    type: str
    settings: Mapping[str, Any] = field(default_factory=dict)


class Model(ABC):
    """What the recorder needs of a model.

    Attributes:
        framework: "nnx", "linen", "equinox" or "tree".
        params: What is trained.
        state: What training changes besides: buffers and random streams, as a pytree.
        modules: In the order of registration, or of the first call.
    """

    framework: str
    params: Arrays
    state: Any

    @property
    @abstractmethod
    def modules(self) -> list[Module]:
        """The modules that may be called."""

    @abstractmethod
    def buffers(self, state: Any) -> Arrays:
        """Return the arrays of a state that the reference may have, too."""

    @abstractmethod
    def with_buffers(self, state: Any, buffers: Arrays) -> Any:
        """Return a state with other buffers."""

    @abstractmethod
    def loss(self, params: Arrays, state: Any, batch: Any, key: Any, *, train: bool) -> tuple[Any, Any]:
        """Return the loss of a batch and the new state. Calls are tagged. Pure."""

    def completed(self, other: Any) -> Any:
        """Return another model of this kind, in the form that `adapted` takes."""
        return other

    @abstractmethod
    def params_tree(self, params: Arrays) -> Any:
        """Return the parameters as the optimizer sees them."""


def loss_value(loss: Callable[..., Any], *arguments: Any, train: bool, key: Any) -> tuple[Any, Any]:
    """Call the user's loss; return its value, and what else it returned.

    `train` and `key` are passed if the function has parameters of these names.
    """
    loss = inspect.unwrap(loss)  # of jit: a compiled function may hide an earlier trace
    known = inspect.signature(loss).parameters
    extras = {name: value for name, value in (("train", train), ("key", key)) if name in known}
    result = loss(*arguments, **extras)
    value, *rest = result if isinstance(result, tuple | list) else (result,)
    if getattr(value, "shape", None) != ():
        shape = getattr(value, "shape", type(value).__name__)
        raise UserError(f"loss must return a scalar, got {shape}: return the mean over the batch")
    return value, rest[0] if rest else None


def dotted(path: tuple[Any, ...]) -> str:
    """Return a path of a pytree as text: `layers.0.weight`."""
    return ".".join(str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path)


def plain_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings that JSON can hold: numbers, booleans, text, None, and tuples of these."""
    return {name: plain for name, value in values.items() if name[0] != "_" and (plain := _plain(value)) is not _NOT}


_NOT = object()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        parts = [_plain(part) for part in value]
        return _NOT if _NOT in parts else parts
    return _NOT
