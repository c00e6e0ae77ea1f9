"""Checkpoints: what a computation needs to continue bit for bit, each a safetensors file with a checksum.

The last two are kept. If the newest one is damaged, the one before it is used.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_impl.errors import ArgumentError, Log, UserError
from jax_impl.storage import files, tensors
from jax_impl.storage.configs import difference
from jax_impl.storage.tensors import DamagedError, Facts, Tensors

FOLDER = "checkpoints"  # inside a run folder
KEPT = 2


class Checkpoint(NamedTuple):
    """The content of one checkpoint."""

    tensors: Tensors
    facts: Facts


class Checkpoints(NamedTuple):
    """The checkpoints of one computation. Only one process at a time may use the folder."""

    folder: Path
    identity: Facts  # everything that the computation's result depends on, as plain data

    def save(self, step: int, content: Mapping[str, np.ndarray], facts: Facts) -> None:
        """Write a checkpoint, complete or not at all. `step` grows from one to the next.

        Raises:
            UserError: It cannot be written.
        """
        path = self.folder / f"{step:09d}.safetensors"
        tensors.write(path, content, {"identity": self.identity, "facts": facts})
        half_written = self.folder.glob(".*")  # by a process that was killed
        for old in (*self.paths()[:-KEPT], *half_written):
            old.unlink(missing_ok=True)

    def newest(self, log: Log) -> Checkpoint | None:
        """Return the newest undamaged checkpoint, or None if there are no checkpoints. Damaged ones are renamed.

        Raises:
            ArgumentError: It belongs to another computation. The message names the setting that differs.
            UserError: The folder cannot be read, or all checkpoints are damaged.
        """
        paths = self.paths()
        for path in reversed(paths):
            try:
                content, facts = tensors.read(path)
                identity, progress = facts["identity"], facts["facts"]
            except (DamagedError, KeyError):  # a KeyError: another kind of file was put in its place
                aside = path.with_name(f"{path.name}.damaged")
                path.replace(aside)
                log(f"checkpoint {path} is damaged: renamed to {aside.name}")
                continue
            if differing := difference(identity, self.identity):
                raise ArgumentError(
                    f"{self.folder.parent} cannot be resumed: {differing}; use the settings it was started with, or "
                    "another --out"
                )
            return Checkpoint(content, progress)
        if paths:
            raise UserError(f"all checkpoints in {self.folder} are damaged: start again without --resume")
        return None

    def to_resume(self, log: Log) -> Checkpoint | None:
        """Return the checkpoint to resume from, or None, and a line in the log, if there is none.

        Raises:
            ArgumentError: As `newest`.
            UserError: As `newest`.
        """
        found = self.newest(log)
        if found is None:
            log(f"nothing to resume in {self.folder.parent}: starting")
        return found

    def peek(self) -> Facts | None:
        """Return the facts of the newest undamaged checkpoint, whatever computation it belongs to."""
        newest = self._newest_metadata()
        return newest and dict(newest["facts"])

    def can_be_resumed(self, epochs: int) -> bool:
        """Return whether the same computation with `epochs` epochs would continue from the newest checkpoint."""
        newest = self._newest_metadata()
        if newest is None or difference(newest["identity"], self.identity):
            return False
        return bool(newest["facts"]["done"] + bool(newest["facts"].get("steps")) <= epochs)

    def _newest_metadata(self) -> Facts | None:
        """Return the identity and the facts of the newest undamaged checkpoint."""
        for path in reversed(self.paths()):
            try:
                _, found = tensors.read(path)
                return {"identity": found["identity"], "facts": found["facts"]}
            except (DamagedError, KeyError):
                continue
        return None

    def paths(self) -> list[Path]:
        """Return the checkpoints' files, oldest first.

        Raises:
            UserError: The folder cannot be read.
        """
        try:
            return sorted(path for path in self.folder.iterdir() if re.fullmatch(r"\d+\.safetensors", path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"cannot read {self.folder}: {error.strerror or error}; name another --out") from error

    def check_room(self, content: Mapping[str, np.ndarray]) -> None:
        """Check that the disk has room for the checkpoints and results of a run, before an earlier run is replaced.

        Raises:
            UserError: It has not. Nothing was written.
        """
        size = sum(array.nbytes for array in content.values())
        files.check_room(self.folder.parent, (KEPT + 2) * size)  # one more while the oldest still exists; the results

    def remove(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)
