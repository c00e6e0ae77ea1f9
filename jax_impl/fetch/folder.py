"""Fills the data folder with MNIST's four files, verified and never half-written."""

import gzip
import shutil
import tempfile
import uuid
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from jax_impl.data import SHA256, DataError, check_folder, is_genuine, raw_folder, read
from jax_impl.errors import Log
from jax_impl.storage import files

# A source takes an empty folder to work in and returns the content of every file by name.
Source = Callable[[Path], dict[str, bytes]]


def ensure(data_dir: Path | None, *, sources: Iterable[tuple[str, Source]], log: Log) -> str:
    """Make sure that the four files are in the folder and genuine. Return the title of the source that gave them.

    The sources are tried in their order. Processes that start together take turns: the first one fetches, the others
    find the files. A file with wrong content is renamed, not deleted. `log` gets a line about every damaged file and
    every source that failed.

    Raises:
        DataError: No source gave all files. The message names each attempt and the remedy.
    """
    folder = raw_folder(data_dir)
    check_folder(folder)
    if not missing_files(folder):
        return "the folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            log(f"waiting for another process that fetches MNIST into {folder}")
            held = lock.acquire()
        with held:
            return _fill(folder, sources, log)
    except OSError as error:
        raise DataError(
            f"cannot write {folder}: {error.strerror or error}; name another folder with --data-dir or MNIST_DATA_DIR"
        ) from error


def missing_files(folder: Path) -> list[str]:
    """Return the names of the files that are missing or not genuine."""
    return [name for name in SHA256 if not is_genuine(name, read(folder / name))]


def gunzip(content: bytes) -> bytes:
    """Unpack a .gz file.

    Raises:
        DataError: It is truncated, altered, or not a .gz file.
    """
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"a damaged .gz file ({error})") from error


def _fill(folder: Path, sources: Iterable[tuple[str, Source]], log: Log) -> str:
    """Try the .gz files in the folder, then each source. The caller holds the folder's lock."""
    for leftover in folder.glob(".fetch-*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a process that was killed: only one holds the lock
    if not (missing := missing_files(folder)):
        return "the folder"  # another process filled it while this one waited
    for path in (folder / name for name in missing):
        if path.exists():
            aside = path.with_name(f"{path.name}.damaged-{uuid.uuid4().hex[:8]}")
            path.rename(aside)
            log(f"{path} is truncated or altered: renamed to {aside.name}")
    failures: list[str] = []
    packed: tuple[str, Source] = ("the .gz files in the folder", lambda _: _unpacked(folder, missing, log))
    for title, source in (packed, *sources):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as work:
            try:
                content = source(Path(work))
                if wrong := [name for name in missing if not is_genuine(name, content.get(name))]:
                    raise DataError(f"the content of {', '.join(wrong)} is not MNIST's")
            except DataError as error:
                failures.append(f"{title}: {error}")
                continue
        for name in missing:
            files.write(folder / name, content[name])
        for failure in failures[1:]:
            log(f"skipped {failure}")
        return title
    raise DataError(
        f"MNIST is not in {folder} and cannot be fetched ({'; '.join(failures[1:])}): connect to a network, copy its "
        "four files there, or name the folder that has them with --data-dir or MNIST_DATA_DIR"
    )


def _unpacked(folder: Path, names: Iterable[str], log: Log) -> dict[str, bytes]:
    """Return the content of these files, as far as the folder holds their .gz files."""
    content = {}
    for name in names:
        if (packed := read(folder / f"{name}.gz")) is not None:
            try:
                content[name] = gunzip(packed)
            except DataError as error:
                log(f"skipped {folder / name}.gz: {error}")
    return content
