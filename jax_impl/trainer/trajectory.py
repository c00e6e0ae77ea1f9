"""How far a training has come: its state, what every epoch gave, and all that it needs to go on."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import optax
from jaxtyping import Array, Float

from jax_impl.errors import DivergedError
from jax_impl.model import Params


class State(NamedTuple):
    """All that a training step changes."""

    params: Params
    opt_state: optax.OptState  # Adam's two moments and its step count; nothing for SGD
    learning_rate: Array  # traced, so that another one compiles nothing anew


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One line of `metrics.jsonl`, and of what a run prints."""

    epoch: int  # from 1
    cost: float  # mean over the epoch of each batch's mean loss before its update, in nats
    test_accuracy: float  # of all 10,000 test images, after the epoch, from 0 to 1
    seconds: float  # of training; compiling and testing apart

    def __str__(self) -> str:
        """Return the notebook's own line, followed by the test accuracy and the seconds."""
        return (
            f"Epoch: {self.epoch:04d} cost = {self.cost:.9f}  "
            f"test accuracy = {self.test_accuracy:.2%}  ({self.seconds:.2f} s)"
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training has come: all that it needs to go on bit for bit, as NumPy arrays of the caller's own."""

    state: State
    stream: dict[
        str, np.ndarray
    ]  # where the orders were before that of the epoch under way; nothing if they cannot tell
    records: tuple[EpochRecord, ...]  # of the whole epochs
    losses: Float[np.ndarray, " steps"]  # of the epoch under way so far
    seconds: float  # of training, in it


def diverged(epoch: int, losses: Float[np.ndarray, " steps"], learning_rate: float) -> DivergedError:
    """Return the error that says where the cost stopped being finite, and the likely cause."""
    steps = np.flatnonzero(~np.isfinite(losses))
    cost, step = (losses[steps[0]], steps[0] + 1) if len(steps) else ("nan", len(losses) + 1)
    return DivergedError(
        f"the cost became {cost} in epoch {epoch}, step {step}: the learning rate {learning_rate:g} is probably too "
        "large, or the initial weights are; try --learning-rate 0.001"
    )
