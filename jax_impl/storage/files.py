"""Files that appear whole or not at all."""

import contextlib
import errno
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from jax_impl.errors import UserError


def write(path: Path, content: bytes) -> None:
    """Write aside, flush to the disk, then rename: a reader sees the old file or the new one, never a part.

    Raises:
        UserError: The folder cannot be written or the disk is full; the old file stays.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; name a folder that can be written") from error


def check_room(folder: Path, size: int) -> None:
    """Check that so many bytes can be written to a folder, before what is in it gives way to them.

    Raises:
        UserError: They cannot; nothing was written.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # not on a Mac
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise UserError(
            f"cannot write {size / 1e6:.0f} MB to {folder}: {error.strerror or error}; make room, or name another --out"
        ) from error


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder for as long as the context lasts.

    The lock is the system's, on a file that names its owner: it ends with the process, however that ends.

    Raises:
        UserError: Another process has it, or the folder cannot be written.
    """
    path = folder / ".lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
        path.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
    except Timeout as error:
        owner = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        raise UserError(f"{folder} is in use by {owner}: wait for it, or name another --out") from error
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}; name another --out") from error
    try:
        yield
    finally:
        lock.release()
