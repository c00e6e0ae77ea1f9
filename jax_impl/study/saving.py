"""The checkpoints of a study's cells: those of one shape train together, and are saved together."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jax_impl.storage.checkpoint import FOLDER, Checkpoints
from jax_impl.storage.checkpoint_orbax import Saved
from jax_impl.storage.packing import Arrays, Facts, flat, unflat
from jax_impl.trainer.trajectories import EpochOfRuns, Reached

VERSION = 1  # raise it when what a checkpoint holds changes
MEASURED = ("costs", "losses", "test_accuracies", "finite")  # what of an `EpochOfRuns` is an array


class Saving(NamedTuple):
    """Where a study keeps what is half done, and what it listens to."""

    out: Path
    data: str  # digest of the images and labels
    heed: Callable[[], None]  # raises once the study is asked to end
    log: Callable[[str], None]
    every: int | None = None  # steps from one checkpoint within an epoch to the next; None for none there

    def kept(self, keys: Sequence[str]) -> Checkpoints:
        """Return the checkpoints of the cells that train together."""
        name = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:16]
        return Checkpoints(self.out / FOLDER / name, {"version": VERSION, "cells": list(keys), "data": self.data})

    def followed(
        self, keys: Sequence[str], begun: Reached, epochs: int, course: Callable[[Reached], Iterator[Reached]]
    ) -> tuple[EpochOfRuns, ...]:
        """Follow a training, from its last checkpoint if there is one, and return what its epochs gave.

        Several processes only listen: each would have to find its own runs again.

        Raises:
            UserError: A checkpoint cannot be written.
            Interrupted: The study is asked to end; what was reached is saved.
        """
        with self.kept(keys) if jax.process_count() == 1 else contextlib.nullcontext() as kept:
            if kept and (saved := kept.newest(self.log)):
                begun = unpacked(saved, begun)
                steps = begun.losses.shape[1]
                self.log(f"going on after epoch {len(begun.epochs)} of {epochs}" + (f", step {steps}" if steps else ""))
            reached = begun
            for reached in course(begun):
                if len(reached.epochs) < epochs:
                    if kept:
                        kept.save(place(reached), *packed(reached, epochs))
                    self.heed()
        return reached.epochs

    def forget(self, keys: Iterable[str]) -> None:
        """Remove the checkpoints of cells whose records are written."""
        kept = self.kept(list(keys))
        kept.remove()
        with contextlib.suppress(OSError):  # others are there
            kept.folder.parent.rmdir()


def place(reached: Reached) -> int:
    """Return how many steps the runs have taken."""
    return sum(losses.shape[1] for losses in (*(epoch.losses for epoch in reached.epochs), reached.losses))


def packed(reached: Reached, epochs: int) -> tuple[Arrays, Facts]:
    """Return what a checkpoint takes of runs that train for so many epochs."""
    state = jax.tree.map(lambda *rows: np.concatenate(rows), *reached.states)
    arrays = flat("state", state) | flat("streams", reached.streams)
    for record in reached.epochs:
        arrays |= {f"epoch {record.epoch}, {name}": getattr(record, name) for name in MEASURED}
    if reached.losses.size:
        arrays["losses"] = reached.losses
    seconds = [record.seconds for record in reached.epochs]
    return arrays, {"seconds": seconds, "under way": reached.seconds, "done": len(seconds), "epochs": epochs}


def unpacked(saved: Saved, begun: Reached) -> Reached:
    """Return how far runs had come; `begun` is where they had begun, and says which of them train at a time now."""
    whole = unflat("state", begun.states[0], saved.arrays)
    states, first = [], 0
    for part in begun.states:
        last = first + len(jax.tree.leaves(part)[0])
        states.append(jax.tree.map(lambda rows, place=slice(first, last): rows[place], whole))
        first = last
    records = tuple(
        EpochOfRuns(epoch=epoch, seconds=seconds, **{name: saved.arrays[f"epoch {epoch}, {name}"] for name in MEASURED})
        for epoch, seconds in enumerate(saved.facts["seconds"], start=1)
    )
    streams, losses = unflat("streams", begun.streams, saved.arrays), saved.arrays.get("losses", begun.losses)
    return Reached(states, streams, records, losses, saved.facts["under way"])
