"""Marks the calls of modules, and dropout masks, while a program is traced."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.parity.recording.tracing.tags import Tag, tag

_numbers = itertools.count()  # never reused: a function compiled inside the model keeps the tags of its first trace
_paths: list[str] = []  # of the modules being called, outermost first


def called(path: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a module's function with its inputs and outputs tagged."""
    if _paths and _paths[-1] == path:  # a method of a base class, called by that of the subclass
        return function(*args, **kwargs)
    number = next(_numbers)
    args, kwargs = _tagged("input", path, number, (args, kwargs))
    _paths.append(path)
    try:
        outputs = function(*args, **kwargs)
    finally:
        _paths.pop()
    return _tagged("output", path, number, outputs)


def observe(path: str, array: Any) -> Any:
    """Return `array`, and compare it with the output of the reference's module `path`.

    For plain functions, which have no modules: `hidden = parity.observe("fc1", x @ w + b)`.
    """
    return _tagged("output", path, next(_numbers), array)


def _tagged(role: str, path: str, number: int, tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree, is_leaf=_is_opaque)
    places = [place for place, leaf in enumerate(leaves) if _is_array(leaf)]
    for index, place in enumerate(places):
        leaves[place] = tag(Tag(role, path, number, index, len(places)), leaves[place])
    return jax.tree.unflatten(structure, leaves)


def _is_opaque(leaf: Any) -> bool:
    """Modules and their states are passed on as they are."""
    return callable(leaf) or type(leaf).__module__.partition(".")[0] == "equinox"


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)


@contextlib.contextmanager
def classes_tagged(paths: Mapping[int, str], modules: Mapping[int, Any]) -> Iterator[None]:
    """Tag the calls of these modules while the context lasts. Both arguments have the modules' `id` as key."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            path = paths.get(id(self))
            if path is None:
                return original(self, *args, **kwargs)
            return called(path, original.__get__(self), *args, **kwargs)

        return call

    with contextlib.ExitStack() as stack:
        for kind in {type(module) for module in modules.values()}:
            if original := kind.__dict__.get("__call__") or getattr(kind, "__call__", None):  # noqa: B004
                stack.enter_context(mock.patch.object(kind, "__call__", wrap(original)))
        yield


@contextlib.contextmanager
def masks_tagged() -> Iterator[None]:
    """Tag what `jax.random.bernoulli` draws while the context lasts: Flax and Equinox draw dropout masks with it."""
    original = jax.random.bernoulli

    def bernoulli(key: Any, p: Any = 0.5, *args: Any, **kwargs: Any) -> Any:
        drawn = original(key, p, *args, **kwargs)
        rate = None if isinstance(p, jax.core.Tracer) else 1 - float(p)
        return tag(Tag("mask", _paths[-1] if _paths else "", next(_numbers), rate=rate), drawn)

    with mock.patch.object(jax.random, "bernoulli", bernoulli):
        yield
