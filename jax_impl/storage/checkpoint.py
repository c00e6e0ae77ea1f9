"""Checkpoints: what a computation needs to go on bit for bit, kept by Orbax as plain arrays and facts.

They are written aside while the computation goes on, and appear whole or not at all. The last two are kept, and each
carries the SHA-256 of its content: one that was damaged later is noticed, and the one before it taken.
"""

import contextlib
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from jax_impl.errors import ArgumentError, UserError
from jax_impl.storage import files
from jax_impl.storage.checkpoint_orbax import KEPT, Saved, content, manager, read
from jax_impl.storage.packing import Facts, difference

FOLDER = "checkpoints"  # in that of a run


class Checkpoints:
    """The checkpoints of one computation, in a folder of their own; a context at whose end all are written."""

    def __init__(self, folder: Path, identity: Facts) -> None:
        """Keep what belongs to `identity`: all that the computation's result depends on, as plain data."""
        self.folder, self.identity = folder, identity
        self.manager: Any = None
        for name in ("absl", "orbax"):  # what is wrong is said by the errors below
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.manager is not None:
            try:
                self.wait()
            finally:
                done, self.manager = self.manager, None
                with contextlib.suppress(Exception):  # what it may fail for was told already
                    done.close()

    def save(self, place: int, arrays: Mapping[str, Any], facts: Facts) -> None:
        """Begin to write a checkpoint; `place` grows from one to the next.

        Args:
            place: How far the computation has come.
            arrays: They may be changed once this returns.
            facts: As JSON can spell them.

        Raises:
            UserError: This one, or the one before it, cannot be written.
        """
        own = {name: np.asarray(array) for name, array in arrays.items()}
        try:
            if self.manager is None:
                self._clean()
                self.manager = manager(self.folder.absolute())
            self.manager.save(place, args=content(own, self.identity, facts))
        except Exception as error:  # of Orbax, TensorStore or the system, in many forms
            raise self._failed(error) from error

    def wait(self) -> None:
        """Wait until what was saved is on the disk.

        Raises:
            UserError: It could not be written.
        """
        try:
            if self.manager is not None:
                self.manager.wait_until_finished()
        except Exception as error:  # as above
            raise self._failed(error) from error

    def newest(self, log: Callable[[str], None]) -> Saved | None:
        """Return the newest checkpoint that is whole, or None where there is none.

        One that is damaged is set aside under another name, and `log` hears of it.

        Raises:
            ArgumentError: It belongs to another computation; the message names what differs.
            UserError: The folder cannot be read, or none of several is whole.
        """
        places = self.places()
        for place in reversed(places):
            path = self.folder / str(place)
            found = read(path)
            if found is None:
                log(f"checkpoint {path} is damaged: set aside as {_aside(path).name}")
                continue
            if differing := difference(found.facts["identity"], self.identity):
                raise ArgumentError(
                    f"{self.folder.parent} cannot be resumed: {differing}; give what it was begun with, or name "
                    "another --out"
                )
            return Saved(found.arrays, found.facts["facts"])
        if places:
            raise UserError(f"no checkpoint in {self.folder} is whole: begin anew, without --resume")
        return None

    def to_resume(self, *, resume: bool, log: Callable[[str], None]) -> Saved | None:
        """Return what to go on from; without `resume`, nothing, but no unfinished computation is given up for that.

        Facts must say how many of how many `epochs` are `done`.

        Raises:
            ArgumentError: As `newest`.
            UserError: An unfinished one would be lost; or as `newest`.
        """
        out = self.folder.parent
        if resume:
            found = self.newest(log)
            if found is None:
                log(f"nothing to resume in {out}: beginning")
            return found
        facts = self.glance()
        if facts and facts["done"] < facts["epochs"]:
            raise UserError(
                f"{out} holds an unfinished run, {facts['done']} of {facts['epochs']} epochs: add --resume to go on "
                "with it, or name another --out, or delete the folder"
            )
        return None

    def glance(self) -> Facts | None:
        """Return the facts of the newest checkpoint that is whole, whosever it is; the others stay where they are.

        Raises:
            UserError: The folder cannot be read.
        """
        found = (read(self.folder / str(place)) for place in reversed(self.places()))
        return next((dict(saved.facts["facts"]) for saved in found if saved), None)

    def places(self) -> list[int]:
        """Return how far each of the checkpoints has come, in rising order.

        Raises:
            UserError: The folder cannot be read.
        """
        try:
            return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"cannot read {self.folder}: {error.strerror or error}; name another --out") from error

    def check_room(self, *trees: Any) -> None:
        """Check that there is room for checkpoints of trees, and for as much again beside them.

        Raises:
            UserError: There is not; nothing was written.
        """
        size = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(trees))
        files.check_room(self.folder.parent, (KEPT + 2) * size)  # the oldest goes when the next one is there

    def remove(self) -> None:
        """Forget all of them: their computation is over, or another one begins in its place."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clean(self) -> None:
        """Remove what a killed process left half written: the folder is ours alone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(path, ignore_errors=True)

    def _failed(self, error: Exception) -> UserError:
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        else:
            reason = " ".join(str(error).split("[")[0].split())[:200] or type(error).__name__
        return UserError(f"cannot write a checkpoint to {self.folder}: {reason}; name an --out that can be written")


def _aside(path: Path) -> Path:
    """Set a checkpoint aside under a name that is not taken."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return path.rename(aside)
