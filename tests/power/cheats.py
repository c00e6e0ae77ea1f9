"""Ports that cheat: each must fail. They are edits of a port's record or of the port itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tests.ports import runs
from tests.ports.catalogue import PORTS

MODEL = "cnn"


@dataclass(frozen=True)
class Cheat:
    """A port that does not do the work.

    Attributes:
        name: What it does in place of it.
        arguments: Those of `parity.save`, from the honest ones.
    """

    name: str
    arguments: Callable[[dict[str, Any]], dict[str, Any]]


def loss_of(change: Callable[[Any, Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return arguments with another loss, made of the honest one's value and the model."""

    def changed(honest: dict[str, Any]) -> dict[str, Any]:
        return honest | {"loss": lambda model, batch: change(honest["loss"](model, batch), model)}

    return changed


def still() -> optax.GradientTransformation:
    """Return an optimizer that makes no step."""
    return optax.GradientTransformation(lambda _: (), lambda grads, state, _=None: (zeros(grads), state))


def zeros(tree: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, tree)


CHEATS = (
    Cheat("a loss that is always zero", loss_of(lambda value, _: 0 * value)),
    Cheat("a constant loss", loss_of(lambda value, _: jax.lax.stop_gradient(value))),
    Cheat("a loss that is not a number", loss_of(lambda value, _: value * jnp.nan)),
    Cheat("a step that does nothing", lambda honest: honest | {"optimizer": still()}),
    Cheat("gradients set to zero", lambda honest: honest | {"optimizer": optax.chain(optax.scale(0.0), still())}),
    Cheat("weights that are its own", lambda honest: honest | {"load": False}),
    Cheat("every fresh model the same", lambda honest: honest | {"fresh": lambda _: honest["fresh"](0)}),
)


def caught(name: str) -> str:
    """Return the first line of the verdict on the cheat of this name; it begins with PASS if it is not caught."""
    (cheat,) = (one for one in CHEATS if one.name == name)
    theirs = runs.recorded(MODEL)
    try:
        return str(runs.proven(theirs, cheat.arguments(PORTS[MODEL].port())).first_line)
    except Exception as error:
        return f"refused: {type(error).__name__}: {error}"[:200]
