"""Downloads the four .gz files from MNIST's mirror, with the addresses and checksums that TensorFlow Datasets knows.

TensorFlow Datasets' own download manager waits for a silent server forever, so the download has limits of its own.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from jax_impl.data import SHA256, DataError
from jax_impl.fetch.folder import gunzip

SILENCE = 30.0  # seconds without a byte after which a server is given up
LIMIT = 600.0  # seconds for all four files: 12 MB at 20 kB per second

Watch = Callable[[int, int], None]  # takes the bytes that have arrived, and all bytes


def registered() -> dict[str, tuple[str, int, str]]:
    """Return the URL, size in bytes and SHA-256 that TensorFlow Datasets has on record for each .gz file, by its name."""
    import tensorflow_datasets as tfds

    infos = tfds.builder_cls("mnist").url_infos
    return {info.filename: (url, int(info.size), info.checksum) for url, info in infos.items()}


def download(work: Path, *, address: str | None = None, watch: Watch | None = None) -> dict[str, bytes]:
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
        found = hashlib.sha256(packed.read_bytes()).hexdigest()
        if found != checksum:
            raise DataError(f"{url} has a wrong checksum, {found} instead of {checksum}")
        content[name] = gunzip(packed.read_bytes())
    return content


def _pieces(url: str, deadline: float) -> Iterator[bytes]:
    """Yield what arrives from a URL, until the deadline of the monotonic clock.

    Raises:
        DataError: The server does not answer, stops sending, or is too slow.
    """
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
    """Return the innermost cause of a failed request in one line."""
    while isinstance(cause := getattr(error, "reason", None) or next(iter(error.args), None), Exception):
        error = cause
    return str(error).splitlines()[0]
