"""When a training is saved: often enough to lose little, and rarely enough to cost little."""

import hashlib
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jax_impl.data import Mnist, digest
from jax_impl.errors import UserError
from jax_impl.recipes import Recipe
from jax_impl.storage.checkpoints import Checkpoints
from jax_impl.storage.tensors import Facts
from jax_impl.trainer.progress import Progress, pack

VERSION = 2  # increase it when the same settings train differently, or a checkpoint holds something else
INTERVAL = 10.0  # seconds between two checkpoints, unless every segment is saved; the next one is an epoch later


class Saver:
    """Writes checkpoints of one training."""

    def __init__(self, checkpoints: Checkpoints, *, epochs: int, steps: int, every: int | None) -> None:
        """Save a training of `epochs` epochs of `steps` steps: after each segment if `every` is given."""
        self.checkpoints, self.epochs, self.steps, self.every = checkpoints, epochs, steps, every
        self.saved_at = time.monotonic()
        self.unsaved: Progress | None = None

    def reached(self, progress: Progress) -> None:
        """Save the progress if it is due.

        Raises:
            UserError: The checkpoint cannot be written.
        """
        self.unsaved = progress
        if self.every is not None or time.monotonic() - self.saved_at >= INTERVAL:
            self.save()

    def save(self) -> None:
        """Save the latest progress, unless it is saved already."""
        if self.unsaved is not None:
            step = len(self.unsaved.records) * self.steps + self.unsaved.steps
            self.checkpoints.save(step, *pack(self.unsaved, self.epochs))
            self.unsaved, self.saved_at = None, time.monotonic()


def identity(recipe: Recipe, mnist: Mnist, **more: Any) -> Facts:
    """Return everything that a training depends on except its number of epochs, as plain data."""
    settings = {name: value for name, value in asdict(recipe).items() if name != "epochs"}
    return {"version": VERSION, "recipe": settings, **more, "data": digest(mnist)}


def file_digest(path: Path | None) -> str | None:
    """Return the SHA-256 of a file, or None without a file.

    Raises:
        UserError: The file cannot be read.
    """
    if path is None:
        return None
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}; name the file that rbm or dbn wrote"
        ) from error
