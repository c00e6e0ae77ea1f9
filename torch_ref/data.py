"""Cell 6 of the notebook: MNIST through torchvision, with the content of its files verified."""

import contextlib
import hashlib
import io
import os
import re
import socket
import ssl
import sys
import tempfile
from http.client import HTTPException
from pathlib import Path

import torch
import torchvision.datasets as dsets
from torchvision import transforms

from torch_ref.errors import UserError

# SHA-256 of the four unpacked files: http://yann.lecun.com/exdb/mnist, LeCun, Cortes, Burges.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SILENCE = 30.0  # seconds without a byte after which the download is given up


class DataError(UserError):
    """MNIST is missing, damaged or cannot be downloaded."""


def load(data_dir: Path | None = None, *, dtype: str = "float32") -> tuple[dsets.MNIST, dsets.MNIST]:
    """Return the training set and the test set. Missing files are downloaded first.

    Args:
        data_dir: The folder that contains MNIST/raw; else $MNIST_DATA_DIR, else MNIST_data as in the notebook.
        dtype: Of the pixels that the data sets yield, float32 or float64, in [0, 1].

    Raises:
        DataError: A file is damaged, or missing and cannot be downloaded, or the folder cannot be used.
    """
    root = Path(data_dir or os.environ.get("MNIST_DATA_DIR") or "MNIST_data")
    transform = transforms.ToTensor() if dtype == "float32" else _to_float64
    try:
        _ensure_files(root)
        # MNIST dataset
        mnist_train = dsets.MNIST(root=root, train=True, transform=transform, download=True)
        mnist_test = dsets.MNIST(root=root, train=False, transform=transform, download=True)
    except OSError as error:
        raise DataError(
            f"cannot use {error.filename or root}: {error.strerror or error}; check it, or name another "
            "folder with --data-dir or MNIST_DATA_DIR"
        ) from error
    return mnist_train, mnist_test


def _ensure_files(root: Path) -> None:
    """Verify the four files, and download those that are missing.

    torchvision writes in place and trusts every file that exists. So it downloads into a temporary folder, and only
    verified files are moved to their place.
    """
    raw = root / "MNIST" / "raw"
    _check_folder(raw)
    missing = [name for name in SHA256 if not (raw / name).exists()]
    for name in SHA256.keys() - missing:
        if not _is_genuine(raw / name):
            raise DataError(f"{raw / name} is damaged: run `python -m jax_impl data --data-dir {root}` to repair it")
    if not missing:
        return
    raw.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as work:
        try:
            _download(Path(work))
            if wrong := [name for name in missing if not _is_genuine(Path(work) / "MNIST" / "raw" / name)]:
                raise RuntimeError(f"the mirror's {', '.join(wrong)} is not MNIST's")
        except (RuntimeError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            reason = " ".join(re.sub(r"<urlopen error (\[Errno -?\d+\] )?([^>]*)>", r"\2;", str(error)).split())
            reason = reason.removesuffix(";") or type(error).__name__
            raise DataError(
                f"torchvision could not download MNIST into {root} ({reason}): run `python -m jax_impl data --data-dir "
                f"{root}`, which tries more sources"
            ) from error
        for name in missing:
            (Path(work) / "MNIST" / "raw" / name).replace(raw / name)


def _check_folder(folder: Path) -> None:
    """Raise a DataError if a part of the path is a file or a link to nothing, or may not be entered."""
    remedy = "name another folder with --data-dir or MNIST_DATA_DIR"
    for part in (*reversed(folder.parents), folder):
        if part.is_dir():
            if not os.access(part, os.X_OK):
                raise DataError(f"cannot enter {part}: change its permissions, or {remedy}")
        elif part.is_symlink():
            raise DataError(f"{part} is a link to {part.readlink()}, which is no folder: remove it, or {remedy}")
        elif part.exists():
            raise DataError(f"{part} is a file, but MNIST needs a folder there: move it, or {remedy}")


def _download(folder: Path) -> None:
    """Let torchvision download MNIST from its mirrors, or from $MNIST_MIRROR. Progress shows only on a terminal."""
    if mirror := os.environ.get("MNIST_MIRROR"):
        dsets.MNIST.mirrors = [f"{mirror.rstrip('/')}/"]
    output = sys.stderr if sys.stderr.isatty() else io.StringIO()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)  # torchvision itself would wait for a silent server forever
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            dsets.MNIST(root=folder, download=True)
    finally:
        socket.setdefaulttimeout(before)


def _is_genuine(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[path.name]


def _to_float64(image: object) -> torch.Tensor:
    """Scale an image to [0, 1] like `ToTensor`, but in float64."""
    pixels: torch.Tensor = transforms.functional.pil_to_tensor(image)
    return pixels.to(torch.float64).div(255)
