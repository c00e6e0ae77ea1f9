"""The arrays in an Optax state, under the names that torch's optimizers give them."""

from typing import Any

import jax
import numpy as np

from jax_impl.parity.recording.models.base import Arrays, dotted

# Fields of Optax's states that hold one array for each parameter, and torch's keys in `optimizer.state[parameter]`.
# `nu` is a second moment everywhere; torch calls it by the optimizer's rule.
NAMES = {
    "ScaleByAdamState": {"mu": "exp_avg", "nu": "exp_avg_sq"},
    "ScaleByAmsgradState": {"mu": "exp_avg", "nu": "exp_avg_sq"},  # its maximum is not of the same quantity as torch's
    "ScaleByAdaMaxState": {"mu": "exp_avg", "nu": "exp_inf"},
    "ScaleByRmsState": {"nu": "square_avg"},
    "ScaleByRStdDevState": {"mu": "grad_avg", "nu": "square_avg"},
    "ScaleByRssState": {"sum_of_squares": "sum"},
    "TraceState": {"trace": "momentum_buffer"},
}
ROOTS = {"ScaleByRmsState", "ScaleByRStdDevState"}  # `optax.rmsprop` traces what follows them and the learning rate


def moment_arrays(state: Any, params: Arrays) -> dict[str, Arrays]:
    """Return the arrays of an Optax state: by torch's name of the moment, then by the parameter's name.

    Parts of the state that no torch optimizer has are left out. So is the momentum of RMSprop, which torch takes before
    the learning rate, and Optax after it: with a schedule, they are no multiples of each other.
    """
    found: dict[str, Arrays] = {}
    states = _states(state)
    root = any(type(part).__name__ in ROOTS for part in states)
    for part in states:
        if root and type(part).__name__ == "TraceState":
            continue
        for field, name in NAMES[type(part).__name__].items():
            for path, leaf in jax.tree_util.tree_flatten_with_path(getattr(part, field))[0]:
                if (key := _name(path, params)) is not None:
                    found.setdefault(name, {})[key] = np.asarray(leaf)
    return found


def _states(state: Any) -> list[Any]:
    """Return the states inside chains, groups and masks that `NAMES` knows."""
    if type(state).__name__ in NAMES:
        return [state]
    if isinstance(state, dict):
        return [part for child in state.values() for part in _states(child)]
    if isinstance(state, tuple | list):
        return [part for child in state for part in _states(child)]
    return []


def _name(path: tuple[Any, ...], params: Arrays) -> str | None:
    """Return the parameter at a path; NNX adds a last step into the variable, which has no name of its own."""
    name = dotted(path)
    while name and name not in params:
        name = name.rpartition(".")[0]
    return name or None
