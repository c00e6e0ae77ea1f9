"""How far a training has come, and how that becomes the content of a checkpoint and back.

MLPs, RBMs and DBNs share it: their `state` and their records differ, the rest is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from jax_impl.storage.tensors import Facts, Tensors
from jax_impl.train import EpochRecord
from jax_impl.trainer import processes

LOSSES = "losses"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Everything that a training needs to continue bit for bit, as NumPy arrays of the caller's own.

    Random draws are not in it: they follow from the seed and the number of finished epochs.
    """

    state: Any  # a pytree of arrays: everything that a step changes
    records: tuple[Any, ...] = ()  # one dataclass per finished epoch
    steps: int = 0  # finished in the current epoch
    losses: Float[np.ndarray, "runs steps"] | None = None  # of these steps, in nats; RBMs have none
    seconds: float = 0.0  # of training in the current epoch


@dataclass(frozen=True, kw_only=True)
class EpochOfRuns:
    """One epoch of several runs. A run that diverges continues as NaN and does not affect the others."""

    epoch: int  # from 1
    costs: Float[np.ndarray, " runs"]  # mean over the epoch's batches of the mean loss before each update, in nats
    losses: Float[np.ndarray, "runs steps"]  # the same, batch by batch
    test_accuracies: Float[np.ndarray, " runs"]  # after the epoch, on all test images, from 0 to 1
    finite: Bool[np.ndarray, " runs"]  # whether all losses and parameters are finite numbers
    seconds: float  # of training all runs, without compilation and testing

    def of_run(self, run: int) -> EpochRecord:
        """Return the record of one run."""
        return EpochRecord(
            epoch=self.epoch,
            cost=float(self.costs[run]),
            test_accuracy=float(self.test_accuracies[run]),
            seconds=self.seconds,
        )


def joined(parts: Sequence[EpochOfRuns]) -> EpochOfRuns:
    """Return the record of an epoch of all runs, which trained one part after the other."""
    return EpochOfRuns(
        epoch=parts[0].epoch,
        costs=np.concatenate([part.costs for part in parts]),
        losses=np.concatenate([part.losses for part in parts]),
        test_accuracies=np.concatenate([part.test_accuracies for part in parts]),
        finite=np.concatenate([part.finite for part in parts]),
        seconds=sum(part.seconds for part in parts),
    )


def pack(progress: Progress, epochs: int) -> tuple[Tensors, Facts]:
    """Return the tensors and facts of a checkpoint of a training of `epochs` epochs.

    The state's leaves are called state.PATH, as in state.params.linear1.kernel.
    """
    tensors = {name: np.asarray(leaf) for name, leaf in _named(progress.state).items()}
    if progress.losses is not None:
        tensors[LOSSES] = progress.losses
    records: list[Facts] = []
    for number, record in enumerate(progress.records, start=1):
        values = {field.name: getattr(record, field.name) for field in fields(record)}
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        tensors |= {f"record{number}.{name}": array for name, array in arrays.items()}
        records.append({name: value for name, value in values.items() if name not in arrays})
    facts = {"steps": progress.steps, "seconds": progress.seconds, "records": records}
    return tensors, facts | {"done": len(records), "epochs": epochs}


def unpack(tensors: Mapping[str, np.ndarray], facts: Facts, like: Any, record: type) -> Progress:
    """Return the progress that `pack` packed, with a state of the structure of `like` and this class of records."""
    structure = jax.tree.structure(like)
    records = []
    for number, values in enumerate(facts["records"], start=1):
        prefix = f"record{number}."
        arrays = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
        records.append(record(**values, **arrays))
    return Progress(
        state=jax.tree.unflatten(structure, [tensors[name] for name in _named(like)]),
        records=tuple(records),
        steps=facts["steps"],
        losses=tensors.get(LOSSES),
        seconds=facts["seconds"],
    )


def from_first_process(progress: Progress | None, like: Any, record: type) -> Progress | None:
    """Return the first process's progress in every process. Every process must call this.

    The state has the structure and shapes of `like`; the class of records has no arrays.
    """
    facts = processes.from_first(None if progress is None else pack(progress, 0)[1])
    if facts is None:
        return None
    losses = processes.from_first(None if progress is None or progress.losses is None else progress.losses.tolist())
    state = processes.arrays_from_first(like if progress is None else progress.state)
    shared = unpack(pack(Progress(state=state), 0)[0], facts, like, record)
    dtype = jax.tree.leaves(like)[0].dtype
    return Progress(**{**vars(shared), LOSSES: None if losses is None else np.array(losses, dtype)})


def _named(state: Any) -> dict[str, Any]:
    """Return the leaves of a state by their names, such as state.params.linear1.kernel."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {f"state.{jax.tree_util.keystr(path, simple=True, separator='.')}": leaf for path, leaf in leaves}
