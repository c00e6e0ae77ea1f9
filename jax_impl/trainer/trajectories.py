"""How far trainings of one shape have come together: their states, and what every epoch gave."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from jax_impl.model import Params
from jax_impl.trainer.trajectory import State


@dataclass(frozen=True, kw_only=True)
class EpochOfRuns:
    """What one epoch gave in every run; a run that diverges goes on as NaN and does not touch the others."""

    epoch: int  # from 1
    costs: Float[np.ndarray, " runs"]  # mean over the epoch of each batch's mean loss before its update, in nats
    losses: Float[np.ndarray, "runs steps"]  # the same, batch by batch
    test_accuracies: Float[np.ndarray, " runs"]  # of all test images, from 0 to 1
    finite: Bool[np.ndarray, " runs"]  # whether every loss and every parameter still is a number
    seconds: float  # of training all runs; compiling and testing apart


class Reached(NamedTuple):
    """How far the runs have come: all that their training needs to go on, as NumPy arrays of the caller's own."""

    states: list[State]  # of the runs of each part that trains at a time, each leaf with an axis of runs
    streams: list[dict[str, np.ndarray]]  # where each run's orders were before that of the epoch under way
    epochs: tuple[EpochOfRuns, ...]  # the whole ones
    losses: Float[np.ndarray, "runs steps"]  # of the epoch under way so far
    seconds: float  # of training, in it

    @property
    def params(self) -> Params:
        """The parameters of all runs."""
        params: Params = jax.tree.map(lambda *rows: np.concatenate(rows), *(state.params for state in self.states))
        return params
