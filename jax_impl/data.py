"""MNIST as verified uint8 arrays, from a folder in torchvision's layout (`MNIST_data/MNIST/raw`).

`load` reads the folder and nothing else. `ensure` fills it first, from the sources of `sources.py`, and trusts only
content whose SHA-256 is the published one, so where the bytes came from does not matter.
"""

import gzip
import hashlib
import math
import os
import shutil
import tempfile
import uuid
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Int32, UInt8

from jax_impl.errors import UserError
from jax_impl.storage import files

# The content (unpacked) of the four canonical files: http://yann.lecun.com/exdb/mnist, LeCun, Cortes, Burges.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# A source takes an empty folder to work in and returns the content of every file by name.
Source = Callable[[Path], dict[str, bytes]]


class DataError(UserError):
    """MNIST is not there, not whole, or not to be had."""


class Mnist(NamedTuple):
    """The data set; pixels are 0 (paper) to 255 (ink)."""

    train_images: UInt8[np.ndarray, "train pixels"]
    train_labels: Int32[np.ndarray, " train"]
    test_images: UInt8[np.ndarray, "test pixels"]
    test_labels: Int32[np.ndarray, " test"]


def raw_folder(data_dir: Path | None = None) -> Path:
    """Return where the files lie: under `data_dir`, else under $MNIST_DATA_DIR, else under MNIST_data."""
    return Path(data_dir or os.environ.get("MNIST_DATA_DIR") or "MNIST_data") / "MNIST" / "raw"


def load(data_dir: Path | None = None) -> Mnist:
    """Read and verify the four files.

    Raises:
        DataError: A file is missing or its content is not MNIST's.
    """
    folder = raw_folder(data_dir)
    content = {name: _read(folder / name) or b"" for name in SHA256}
    if wrong := [name for name in SHA256 if not is_genuine(name, content[name])]:
        raise DataError(
            f"{folder} lacks a whole {', '.join(wrong)}: run `python -m jax_impl data`, which fetches it anew"
        )
    return Mnist(*(parse_idx(content[name]) for name in SHA256))


def parse_idx(content: bytes) -> UInt8[np.ndarray, "n pixels"] | Int32[np.ndarray, " n"]:
    """Parse an IDX file of unsigned bytes: images become (n, pixels) uint8, labels (n,) int32.

    Raises:
        DataError: The header is not that of an IDX file of bytes, or the size is not what the header says.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or content[3] not in (1, 3):
        raise DataError(f"not an IDX file of unsigned bytes: it begins with {content[:4].hex() or 'nothing'}")
    header = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[place : place + 4], "big") for place in range(4, header, 4))
    if len(content) != header + math.prod(shape):
        raise DataError(f"an IDX file of shape {shape} cannot have {len(content)} bytes: it is cut or altered")
    values = np.frombuffer(content, np.uint8, offset=header)
    return values.astype(np.int32) if len(shape) == 1 else values.reshape(shape[0], math.prod(shape[1:]))


def is_genuine(name: str, content: bytes | None) -> bool:
    """Return whether `content` is that of MNIST's file `name`."""
    return content is not None and hashlib.sha256(content).hexdigest() == SHA256[name]


def digest(mnist: Mnist) -> str:
    """Return the SHA-256 of the images and labels."""
    found = hashlib.sha256()
    for part in mnist:
        found.update(np.ascontiguousarray(part).data)
    return found.hexdigest()


def ensure(
    data_dir: Path | None = None,
    *,
    sources: Iterable[tuple[str, Source]],
    log: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> str:
    """Make the four files stand in the folder, whole and verified, and return which source gave them.

    Processes that start together take turns: the first fetches, the others find the files. A file with wrong content
    is set aside under another name. `log` hears a line about everything that is not as it should be.

    Raises:
        DataError: No source gave all files; the message names each attempt and the remedy.
    """
    folder = raw_folder(data_dir)
    if not _wanting(folder):
        return "the folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log(f"another process fetches MNIST into {folder}: waiting for it")
            lock.acquire()
        try:
            return _fill(folder, sources, log)
        finally:
            lock.release()
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}; name another with --data-dir") from error


def _fill(folder: Path, sources: Iterable[tuple[str, Source]], log: Callable[[str], None]) -> str:
    for leftover in folder.glob(".fetch-*"):
        shutil.rmtree(leftover, ignore_errors=True)  # its process was killed: the lock is ours, so it is nobody's
    for name in _wanting(folder):
        if (folder / name).exists():
            aside = folder / f"{name}.damaged-{uuid.uuid4().hex[:8]}"
            (folder / name).rename(aside)
            log(f"{folder / name} is not MNIST's (truncated or altered): set aside as {aside.name}")
    attempts: list[str] = []
    own: tuple[str, Source] = ("the .gz files in the folder", partial(_unpacked, folder, log))
    for title, source in (own, *sources):
        if not _wanting(folder):
            return "the folder"  # another process was faster
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as work:
            try:
                content = source(Path(work))
                wrong = [name for name in _wanting(folder) if not is_genuine(name, content.get(name))]
                if wrong:
                    raise DataError(f"the content of {', '.join(wrong)} is not MNIST's")
            except DataError as error:
                attempts.append(f"{title}: {error}")
                continue
        for name in _wanting(folder):
            files.write(folder / name, content[name])
        for attempt in attempts[1:]:
            log(f"passed over {attempt}")
        return title
    raise DataError(
        f"MNIST is not in {folder} and could not be fetched ({'; '.join(attempts[1:])}): connect to a network, or put "
        f"{', '.join(SHA256)} there, or name the folder that has them with --data-dir or MNIST_DATA_DIR"
    )


def _wanting(folder: Path) -> list[str]:
    return [name for name in SHA256 if not is_genuine(name, _read(folder / name))]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _unpacked(folder: Path, log: Callable[[str], None], _: Path) -> dict[str, bytes]:
    found = {}
    for name in _wanting(folder):
        packed = _read(folder / f"{name}.gz")
        if packed is not None:
            try:
                found[name] = gunzip(packed)
            except DataError as error:
                log(f"passed over {folder / name}.gz: {error}")
    return found


def gunzip(content: bytes) -> bytes:
    """Unpack a .gz file.

    Raises:
        DataError: It is cut, altered, or no .gz file.
    """
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"a damaged .gz file ({error})") from error
