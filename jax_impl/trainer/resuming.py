"""What of a training goes into a checkpoint, and comes back from it."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jax_impl.data import Mnist, digest
from jax_impl.draws import Draws
from jax_impl.errors import ArgumentError
from jax_impl.recipes import Recipe
from jax_impl.storage.checkpoint import Checkpoints
from jax_impl.storage.checkpoint_orbax import Saved
from jax_impl.storage.packing import Arrays, Facts, flat, unflat
from jax_impl.train import begin
from jax_impl.trainer import devices
from jax_impl.trainer.trajectory import EpochRecord, Progress

VERSION = 1  # raise it when the same settings train otherwise than before


def identity(recipe: Recipe, mnist: Mnist, **more: Any) -> Facts:
    """Return all that the course of a training depends on but the number of its epochs, as plain data."""
    settings = {name: value for name, value in asdict(recipe).items() if name != "epochs"}
    return {"version": VERSION, "recipe": settings, **more, "data": digest(mnist)}


def file_digest(path: Path | None) -> str | None:
    """Return the SHA-256 of a file, if one is given."""
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def place(progress: Progress, steps: int) -> int:
    """Return how many steps a training has taken, of so many an epoch."""
    return len(progress.records) * steps + len(progress.losses)


def packed(progress: Progress, epochs: int) -> tuple[Arrays, Facts]:
    """Return what a checkpoint takes of a training of so many epochs."""
    arrays = flat("state", progress.state) | flat("stream", progress.stream)
    if len(progress.losses):
        arrays["losses"] = progress.losses
    records = [asdict(record) for record in progress.records]
    return arrays, {"records": records, "seconds": progress.seconds, "done": len(records), "epochs": epochs}


def unpacked(saved: Saved, recipe: Recipe, drawn: Draws) -> Progress:
    """Return how far a training had come; `drawn` is where it had begun."""
    like = begin(recipe, drawn)
    return Progress(
        state=unflat("state", like.state, saved.arrays),
        stream=unflat("stream", like.stream, saved.arrays),
        records=tuple(EpochRecord(**record) for record in saved.facts["records"]),
        losses=saved.arrays.get("losses", like.losses),
        seconds=saved.facts["seconds"],
    )


def found(
    kept: Checkpoints, recipe: Recipe, drawn: Draws, *, resume: bool, log: Callable[[str], None]
) -> Progress | None:
    """Return how far the training in a folder had come, if it is to be resumed; `log` hears what a person should know.

    Raises:
        ArgumentError: Another training was begun there, or one of more epochs.
        UserError: An unfinished one would be lost, or no checkpoint is whole.
    """
    saved = kept.to_resume(resume=resume, log=log)
    if saved is None:
        return None
    since = unpacked(saved, recipe, drawn)
    reached = len(since.records) + bool(len(since.losses))
    if recipe.epochs < reached:
        raise ArgumentError(
            f"{kept.folder.parent} has come to epoch {reached}: --epochs must not be less, got {recipe.epochs}"
        )
    return since


def shared(since: Progress | None, recipe: Recipe, drawn: Draws) -> Progress | None:
    """Return in all processes how far the first of them says that the training had come."""
    if jax.process_count() == 1:
        return since
    facts = None
    if since is not None:
        facts = {"stream": {name: values.tolist() for name, values in since.stream.items()}, "seconds": since.seconds}
        facts |= {"records": [asdict(record) for record in since.records], "losses": since.losses.tolist()}
    facts = devices.from_first(facts)
    if facts is None:
        return None
    ours = since or begin(recipe, drawn)
    return Progress(
        state=devices.arrays_from_first(ours.state),
        stream={name: np.array(values, ours.stream[name].dtype) for name, values in facts["stream"].items()},
        records=tuple(EpochRecord(**record) for record in facts["records"]),
        losses=np.array(facts["losses"], ours.losses.dtype),
        seconds=facts["seconds"],
    )
