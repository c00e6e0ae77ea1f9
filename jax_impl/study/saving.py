"""Checkpoints of a study's cells. Cells of one shape train together and are saved together."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from jax_impl.errors import Log
from jax_impl.storage.checkpoints import FOLDER, Checkpoints
from jax_impl.trainer.progress import EpochOfRuns, Progress, unpack
from jax_impl.trainer.saving import VERSION, Saver

Advance = Callable[[Progress], Iterator[Progress]]  # trains from a progress


class Session(NamedTuple):
    """How a study trains its cells: where it saves unfinished ones, and how it learns that it must stop."""

    out: Path
    data: str  # digest of the images and labels
    raise_if_stopped: Callable[[], None]
    log: Log
    every: int | None = None  # steps between two checkpoints within an epoch; None for none there
    max_bytes: float | None = None  # of a device's memory; None for most of it

    def checkpoints(self, keys: Sequence[str]) -> Checkpoints:
        """Return the checkpoints of the cells that train together."""
        name = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:16]
        return Checkpoints(self.out / FOLDER / name, {"version": VERSION, "cells": list(keys), "data": self.data})

    def train(
        self, keys: Sequence[str], begun: Progress, advance: Advance, *, epochs: int, steps: int
    ) -> tuple[EpochOfRuns, ...]:
        """Train the cells with these keys, and return the records of their `epochs` epochs of `steps` steps.

        The training starts from the last checkpoint, or from `begun` if there is none. With several processes nothing
        is saved: each would have to find its own runs again.

        Raises:
            UserError: A checkpoint cannot be written.
            Interrupted: The study was asked to stop. What was reached is saved.
        """
        since, saver = begun, None
        if jax.process_count() == 1:
            checkpoints = self.checkpoints(keys)
            if (saved := checkpoints.newest(self.log)) is not None:
                since = unpack(*saved, like=begun.state, record=EpochOfRuns)
                step = f", step {since.steps}" if since.steps else ""
                self.log(f"continuing after epoch {len(since.records)} of {epochs}{step}")
            saver = Saver(checkpoints, epochs=epochs, steps=steps, every=self.every)
        progress = since
        try:
            for progress in advance(since):
                if len(progress.records) < epochs:
                    if saver:
                        saver.reached(progress)
                    self.raise_if_stopped()
        except KeyboardInterrupt:
            if saver:
                saver.save()
            raise
        return progress.records

    def forget(self, keys: Iterable[str]) -> None:
        """Delete the checkpoints of cells whose records are written."""
        checkpoints = self.checkpoints(list(keys))
        checkpoints.remove()
        with contextlib.suppress(OSError):  # not empty
            checkpoints.folder.parent.rmdir()
