"""Downloads the four .gz files from MNIST's mirror, with the addresses and checksums that TensorFlow Datasets knows.

TensorFlow Datasets' own download manager waits for a silent server forever, so the download has limits of its own.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jax_impl.data import SHA256, DataError

SILENCE = 30.0  # seconds without a byte after which a server is given up
LIMIT = 600.0  # seconds for all four files: 12 MB at 20 kB per second

Sums = Mapping[str, tuple[int, str]]  # size in bytes and SHA-256 of each .gz file, by its name
Watch = Callable[[int, int], None]  # takes the bytes that have arrived, and all bytes


def registered() -> dict[str, Any]:
    """Return the size and SHA-256 that TensorFlow Datasets has on record for each .gz file, by its URL."""
    import tensorflow_datasets as tfds

    return dict(tfds.builder_cls("mnist").url_infos)


def download(
    work: Path, *, mirror: str | None = None, watch: Watch | None = None, sums: Sums | None = None
) -> dict[str, Path]:
    """Download the .gz files into `work` and return the path of each of the four files.

    Args:
        work: An empty folder.
        mirror: URL of a folder with the files, used instead of the official one.
        watch: Is called with every piece that arrives.
        sums: Sizes and checksums to expect, instead of the registered ones.

    Raises:
        DataError: The mirror does not answer, stops sending, is too slow, or sends something else.
        OSError: The folder cannot be written, or the disk is full.
    """
    infos = {info.filename: (url, int(info.size), info.checksum) for url, info in registered().items()}
    if mirror:
        infos = {name: (f"{mirror.rstrip('/')}/{name}", *rest) for name, (_, *rest) in infos.items()}
    if sums:
        infos = {name: (url, *sums[name]) for name, (url, *_) in infos.items()}
    total, arrived, deadline = sum(size for _, size, _ in infos.values()), 0, time.monotonic() + LIMIT
    paths = {}
    for name in SHA256:
        url, _, checksum = infos[f"{name}.gz"]
        paths[name] = work / f"{name}.gz"
        sha256 = hashlib.sha256()
        with paths[name].open("xb") as file:
            for piece in _pieces(url, deadline):
                file.write(piece)
                sha256.update(piece)
                arrived += len(piece)
                if watch:
                    watch(arrived, total)
        if sha256.hexdigest() != checksum:
            raise DataError(f"{url} has a wrong checksum, {sha256.hexdigest()} instead of {checksum}")
    return paths


def _pieces(url: str, deadline: float) -> Any:
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
