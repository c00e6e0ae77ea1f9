"""Cell 6 of the notebook: MNIST through torchvision, with the content of its files verified."""

import hashlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision.datasets as dsets
from filelock import FileLock, Timeout
from torchvision import transforms

from torch_ref.download import DownloadError, download
from torch_ref.errors import UserError

# The content (unpacked) of the four canonical files.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class DataError(UserError):
    """MNIST is not there, not whole, or not to be had."""


def load(
    data_dir: Path | None = None,
    *,
    dtype: str = "float32",
    log: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> tuple[dsets.MNIST, dsets.MNIST]:
    """Return the training and the test set, downloaded if need be.

    The folder is `data_dir`, else $MNIST_DATA_DIR, else MNIST_data as in the notebook. `log` hears a line about a
    file that is set aside.

    Raises:
        DataError: A file is missing or damaged and cannot be downloaded.
    """
    root = Path(data_dir or os.environ.get("MNIST_DATA_DIR") or "MNIST_data")
    transform = transforms.ToTensor() if dtype == "float32" else _to_float64
    try:
        ensure(root, log)
        # MNIST dataset
        mnist_train = dsets.MNIST(root=root, train=True, transform=transform, download=True)
        mnist_test = dsets.MNIST(root=root, train=False, transform=transform, download=True)
    except OSError as error:
        raise DataError(f"cannot use {root}: {error.strerror or error}; name another with --data-dir") from error
    return mnist_train, mnist_test


def ensure(root: Path, log: Callable[[str], None]) -> None:
    """Let torchvision download what is missing; a damaged file is set aside, and none is ever seen half-written.

    torchvision writes in place and believes any file that exists, so it downloads into a folder of its own, and what
    it brought is verified and moved in.
    """
    raw = root / "MNIST" / "raw"
    if not _wanting(raw):
        return
    raw.mkdir(parents=True, exist_ok=True)
    lock = FileLock(raw / ".lock")  # processes that start together take turns
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log(f"another process fetches MNIST into {raw}: waiting for it")
        lock.acquire()
    try:
        if _wanting(raw):
            _download(raw, log)
    finally:
        lock.release()


def _download(raw: Path, log: Callable[[str], None]) -> None:
    for leftover in raw.glob(".torchvision-*"):
        shutil.rmtree(leftover, ignore_errors=True)  # its process was killed: the lock is ours, so it is nobody's
    wanting = _wanting(raw)
    with tempfile.TemporaryDirectory(dir=raw, prefix=".torchvision-") as work:
        try:
            download(Path(work), progress=sys.stderr.isatty())
        except DownloadError as error:
            raise DataError(
                f"{', '.join(wanting)} not whole in {raw}, and torchvision could not download them ({error}): "
                "run `python -m jax_impl data`, which knows more sources, or name another folder with --data-dir"
            ) from error
        for name in wanting:
            fresh = Path(work) / "MNIST" / "raw" / name
            if not _is_genuine(fresh):
                raise DataError(f"{name} from torchvision's mirror is not MNIST's: run `python -m jax_impl data`")
            if (raw / name).exists():
                aside = raw / f"{name}.damaged-{uuid.uuid4().hex[:8]}"
                (raw / name).rename(aside)
                log(f"{raw / name} is not MNIST's (truncated or altered): set aside as {aside.name}")
            fresh.replace(raw / name)


def _wanting(raw: Path) -> list[str]:
    return [name for name in SHA256 if not _is_genuine(raw / name)]


def _is_genuine(path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[path.name]


def _to_float64(image: object) -> torch.Tensor:
    """Do as `ToTensor`, which rounds to float32, in float64."""
    pixels: torch.Tensor = transforms.functional.pil_to_tensor(image)
    return pixels.to(torch.float64).div(255)
