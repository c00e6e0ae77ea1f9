"""Checkpoints as `torch.save` writes them: what a training needs to go on bit for bit. The last two are kept.

They are read with `weights_only=True`, so that nothing in a file is run. A file's name holds its place and the SHA-256
of its content: one that was damaged later is noticed, and the one before it taken.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from torch_ref import runs
from torch_ref.errors import ArgumentError, UserError
from torch_ref.recipes import Recipe
from torch_ref.train import EpochRecord, Training

KEPT = 2
FOLDER = "checkpoints"  # in that of a run
VERSION = 1  # raise it when the same settings train otherwise than before


def identity(recipe: Recipe, **more: Any) -> dict[str, Any]:
    """Return all that the course of a training depends on but the number of its epochs, as plain data."""
    settings = {name: value for name, value in asdict(recipe).items() if name != "epochs"}
    return json.loads(json.dumps({"version": VERSION, "recipe": settings, **more}))  # type: ignore[no-any-return]


def save(out: Path, settings: Mapping[str, Any], recipe: Recipe, training: Training) -> None:
    """Write a checkpoint of a run to its folder; those before the last two go.

    Raises:
        UserError: It cannot be written; those before it stay.
    """
    content = io.BytesIO()
    torch.save(
        {
            "identity": dict(settings),
            "epochs": recipe.epochs,
            "model": training.model.state_dict(),
            "optimizer": training.optimizer.state_dict(),
            "generator": training.generator,
            "records": [asdict(record) for record in training.records],
            "steps": training.steps,
            "avg_cost": training.avg_cost,
            "seconds": training.seconds,
        },
        content,
    )
    place = len(training.records) * training.total_batch + training.steps
    name = f"{place:09d}-{hashlib.sha256(content.getvalue()).hexdigest()[:32]}.pt"
    runs.write(out / FOLDER / name, content.getvalue())
    for path in places(out)[:-KEPT]:
        path.unlink(missing_ok=True)


def places(out: Path) -> list[Path]:
    """Return the checkpoints of a run's folder, the newest last."""
    return sorted((out / FOLDER).glob("[0-9]*-*.pt"))


def newest(out: Path, log: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the newest checkpoint that is whole, or None where there is none.

    One that is damaged is set aside under another name, and `log` hears of it.

    Raises:
        UserError: A file cannot be read, or none of several is whole.
    """
    found = places(out)
    for path in reversed(found):
        content = _read(path)
        if content is not None:
            return content
        aside = path.with_suffix(".damaged")
        path.rename(aside)
        log(f"checkpoint {path} is damaged: set aside as {aside.name}")
    if found:
        raise UserError(f"no checkpoint in {out / FOLDER} is whole: begin anew, without --resume")
    return None


def glance(out: Path) -> dict[str, Any] | None:
    """Return the newest checkpoint that is whole; the others stay where they are."""
    return next((content for path in reversed(places(out)) if (content := _read(path))), None)


def remove(out: Path) -> None:
    """Forget all of them: another training begins in their place, or it would diverge again."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def restore_(training: Training, saved: Mapping[str, Any]) -> None:
    """Bring a training, and torch's generator, to where a checkpoint was taken."""
    training.model.load_state_dict(saved["model"])
    training.optimizer.load_state_dict(saved["optimizer"])
    training.generator = saved["generator"]
    torch.set_rng_state(training.generator)
    training.records = [EpochRecord(**record) for record in saved["records"]]
    training.steps, training.avg_cost, training.seconds = saved["steps"], saved["avg_cost"], saved["seconds"]


def check(saved: Mapping[str, Any], settings: Mapping[str, Any], recipe: Recipe, out: Path) -> None:
    """Check that a run can go on from a checkpoint.

    Raises:
        ArgumentError: It belongs to another training, or to one of more epochs; the message names what differs.
    """
    if differing := difference(saved["identity"], settings):
        raise ArgumentError(f"{out} cannot be resumed: {differing}; give what it was begun with, or name another --out")
    reached = len(saved["records"]) + bool(saved["steps"])
    if recipe.epochs < reached:
        raise ArgumentError(f"{out} has come to epoch {reached}: --epochs must not be less, got {recipe.epochs}")


def difference(saved: Mapping[str, Any], asked: Mapping[str, Any], where: str = "") -> str:
    """Return the first setting in which two identities differ, in words; nothing if they are the same."""
    for name in dict.fromkeys((*asked, *saved)):
        was, now = saved.get(name), asked.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            if inner := difference(was, now, f"{where}{name}."):
                return inner
        elif was != now:
            return f"its {where}{name} is {json.dumps(was)}, not {json.dumps(now)}"
    return ""


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a checkpoint, or None if it is not what its name says."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; name another --out") from error
    if hashlib.sha256(content).hexdigest()[:32] != path.stem.partition("-")[2]:
        return None
    return dict(torch.load(io.BytesIO(content), weights_only=True))
