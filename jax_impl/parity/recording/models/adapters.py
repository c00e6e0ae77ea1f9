"""Which adapter a model gets."""

from collections.abc import Callable
from typing import Any

import jax

from jax_impl.errors import UserError
from jax_impl.parity.recording.models.base import Model


def adapted(model: Any, loss: Callable[..., Any], batch: Any, state: Any = None, *, seed: int = 0) -> Model:
    """Return the adapter of a model. A Linen module without variables is initialised from `seed`.

    Raises:
        UserError: It is no model of a library that is known.
    """
    # Each library is imported only for its own models: it may not be installed.
    kinds = {kind.__module__.partition(".")[0] for kind in _module_classes(model)}
    if "flax" in kinds:
        from flax import nnx

        if isinstance(model, nnx.Module):
            from jax_impl.parity.recording.models.nnx import NnxModel

            return NnxModel(model, loss)
        from jax_impl.parity.recording.models.linen import LinenModel

        return LinenModel(model, loss, batch, seed=seed)
    if "equinox" in kinds:
        from jax_impl.parity.recording.models.equinox import EquinoxModel

        return EquinoxModel(model, loss, state)
    from jax_impl.parity.recording.models.tree import TreeModel

    if not any(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(model)):
        raise UserError(
            f"model must be a Flax NNX, Linen or Equinox module, or a pytree of arrays, got {type(model).__name__}: "
            "pass the network itself, or (module, variables) for Linen"
        )
    return TreeModel(model, loss, state)


def _module_classes(model: Any) -> tuple[type, ...]:
    first = model[0] if isinstance(model, tuple) and model else model
    return tuple(kind for kind in type(first).__mro__ if kind.__name__ == "Module")
