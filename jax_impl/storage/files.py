"""Files that appear complete or not at all."""

import contextlib
import errno
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from jax_impl.errors import UserError

READABLE_LOCKS = os.name != "nt"  # on Windows nobody can read or write a locked file, not even through its owner


def write(path: Path, content: bytes, *, delete: Sequence[Path] = ()) -> None:
    """Write to a temporary file, flush it to the disk, then rename it: readers see the old file or the new one.

    The files in `delete` are deleted just before the file is renamed.

    Raises:
        UserError: The folder cannot be written or the disk is full. The old file is untouched.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            for other in delete:
                other.unlink(missing_ok=True)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; name another folder") from error


def check_room(folder: Path, size: int) -> None:
    """Check that the folder's disk has room for `size` bytes.

    Raises:
        UserError: It has not. Nothing was written.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # not on a Mac
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise UserError(
            f"cannot write {size / 1e6:.0f} MB to {folder}: {error.strerror or error}; free some space, "
            "or name another --out"
        ) from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes while the context lasts.

    The operating system releases the lock when the process ends, even if it is killed. The file names the owner, but
    on Windows.

    Raises:
        UserError: Another process has it, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout  # only commands that write run folders need it

    path = folder / ".lock"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(FileLock(path, timeout=0))
            if READABLE_LOCKS:
                path.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        except Timeout as error:
            owner = path.read_text(encoding="utf-8", errors="replace").strip() if READABLE_LOCKS else ""
            owner = owner or "another process"
            raise UserError(f"{folder} is in use by {owner}: wait for it, or name another --out") from error
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror or error}; name another --out") from error
        yield
