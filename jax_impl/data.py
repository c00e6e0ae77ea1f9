"""MNIST as verified uint8 arrays, read from a folder in torchvision's layout (`MNIST_data/MNIST/raw`).

Only content whose SHA-256 is the published one is accepted, so its source does not matter. `fetch` fills the folder.
"""

import hashlib
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from jax_impl.errors import UserError

# SHA-256 of the four unpacked files: http://yann.lecun.com/exdb/mnist, LeCun, Cortes, Burges.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class DataError(UserError):
    """MNIST is missing, damaged or cannot be fetched."""


class Mnist(NamedTuple):
    """The data set. Pixels run from 0 (paper) to 255 (ink)."""

    train_images: UInt8[np.ndarray, "train pixels"]
    train_labels: Int32[np.ndarray, " train"]
    test_images: UInt8[np.ndarray, "test pixels"]
    test_labels: Int32[np.ndarray, " test"]


def raw_folder(data_dir: Path | None = None) -> Path:
    """Return the folder of the four files: under `data_dir`, else $MNIST_DATA_DIR, else MNIST_data."""
    return Path(data_dir or os.environ.get("MNIST_DATA_DIR") or "MNIST_data") / "MNIST" / "raw"


def load(data_dir: Path | None = None) -> Mnist:
    """Read and verify the four files.

    Raises:
        DataError: A file is missing, unreadable, or its content is not MNIST's.
    """
    folder = raw_folder(data_dir)
    check_folder(folder)
    content = {name: read(folder / name) or b"" for name in SHA256}
    if wrong := [name for name in SHA256 if not is_genuine(name, content[name])]:
        raise DataError(f"{', '.join(wrong)} missing or damaged in {folder}: run `python -m jax_impl data` to fetch it")
    return Mnist(*(parse_idx(content[name]) for name in SHA256))


def check_folder(folder: Path) -> None:
    """Check that a folder which may not exist yet can be one, and that its files can be read.

    Raises:
        DataError: A part of the path is a file or a link to nothing, or may not be entered. The message names the part.
    """
    remedy = "name another folder with --data-dir or MNIST_DATA_DIR"
    for part in (*reversed(folder.parents), folder):
        try:
            if part.is_dir():
                if not os.access(part, os.X_OK):
                    raise DataError(f"cannot enter {part}: change its permissions, or {remedy}")
            elif part.is_symlink():
                raise DataError(f"{part} is a link to {part.readlink()}, which is no folder: remove it, or {remedy}")
            elif part.exists():
                raise DataError(f"{part} is a file, but MNIST needs a folder there: move it, or {remedy}")
        except OSError as error:  # such as a name that is too long
            raise DataError(f"cannot use {folder}: {error.strerror or error}; {remedy}") from error


def read(path: Path) -> bytes | None:
    """Return the content of a file, or None if it does not exist.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}; check it, or name another folder with "
            "--data-dir or MNIST_DATA_DIR"
        ) from error


def parse_idx(content: bytes) -> UInt8[np.ndarray, "n pixels"] | Int32[np.ndarray, " n"]:
    """Parse an IDX file of unsigned bytes: images become (n, pixels) uint8, labels (n,) int32.

    Raises:
        DataError: The header is not that of an IDX file of bytes, or the size does not match the header.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or content[3] not in (1, 3):
        raise DataError(f"not an IDX file of unsigned bytes: it starts with {content[:4].hex() or 'nothing'}")
    header = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[offset : offset + 4], "big") for offset in range(4, header, 4))
    if len(content) != header + math.prod(shape):
        raise DataError(f"an IDX file of shape {shape} cannot have {len(content)} bytes: it is truncated or altered")
    values = np.frombuffer(content, np.uint8, offset=header)
    return values.astype(np.int32) if len(shape) == 1 else values.reshape(shape[0], math.prod(shape[1:]))


def is_genuine(name: str, content: bytes | None) -> bool:
    """Return whether `content` is that of MNIST's file `name`."""
    return content is not None and hashlib.sha256(content).hexdigest() == SHA256[name]


def digest(mnist: Mnist) -> str:
    """Return the SHA-256 of the images and labels, as hexadecimal digits."""
    sha256 = hashlib.sha256()
    for array in mnist:
        sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()
