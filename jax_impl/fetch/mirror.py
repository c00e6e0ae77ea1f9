"""Downloading the four files from MNIST's mirror with TensorFlow Datasets, in a process of its own.

The library waits for a silent server without end, and its threads outlive a caller who gives up; a process can be ended
whatever it waits for. `python -m jax_impl.fetch.mirror FOLDER WANTED` is that process; it answers on standard output.
"""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax_impl.data import SHA256, DataError

SILENCE = 30.0  # seconds without a byte, after which a server is given up
LIMIT = 600.0  # seconds for all four files: 12 MB, at 20 kB a second

Sums = Mapping[str, tuple[int, str]]  # size in bytes and SHA-256 of each .gz file by its name


def download(
    work: Path, *, mirror: str | None = None, progress: bool = False, sums: Sums | None = None
) -> dict[str, Path]:
    """Download the .gz files into `work` and return where each of the four is.

    Args:
        work: An empty folder.
        mirror: Address of a folder with the files, in place of the official one.
        progress: Show TensorFlow Datasets' progress bars on standard error.
        sums: What to expect, in place of what TensorFlow Datasets has on record.

    Raises:
        DataError: The mirror does not answer, falls silent, takes too long, or sends something else.
        OSError: The folder cannot be written, or the disk is full.
    """
    wanted = {"mirror": mirror, "progress": progress, "sums": sums}
    process = subprocess.Popen(
        [sys.executable, "-m", "jax_impl.fetch.mirror", str(work), json.dumps(wanted)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if progress else subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is for us: we end it
    )
    try:
        _watch(process, work)
    finally:
        process.kill()
        text, _ = process.communicate()
    try:
        answer = json.loads(text)
    except ValueError:
        raise DataError(f"the download ended with exit code {process.returncode} and no answer") from None
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    if "error" in answer:
        raise DataError(answer["error"])
    return {name: Path(path) for name, path in answer["paths"].items()}


def _watch(process: subprocess.Popen[bytes], work: Path) -> None:
    """Wait for the end of a download.

    Raises:
        DataError: Nothing comes any more, or it takes too long.
    """
    begun = last = time.monotonic()
    held = 0
    while True:
        try:
            process.wait(0.1)
            return
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        if (holds := _bytes(work)) != held:
            held, last = holds, now
        if now - last > SILENCE:
            raise DataError(f"nothing came for {SILENCE:g} s")
        if now - begun > LIMIT:
            raise DataError(f"not all had come after {LIMIT:g} s")


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # renamed meanwhile
            continue
    return total


def registered() -> dict[str, Any]:
    """Return the size and SHA-256 that TensorFlow Datasets has on record for each .gz file, by its URL."""
    import tensorflow_datasets as tfds

    return dict(tfds.builder_cls("mnist").url_infos)


def answered(work: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Download into the folder; return the paths of the files, or an error, or the number of the system's."""
    import requests
    import tensorflow_datasets as tfds

    if not wanted["progress"]:
        tfds.disable_progress_bar()
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries are summed up in the error
    infos = registered()
    for url, info in infos.items() if wanted["sums"] else ():
        size, digest = wanted["sums"][info.filename]
        infos[url] = dataclasses.replace(info, size=type(info.size)(size), checksum=digest)
    if wanted["mirror"]:
        infos = {f"{wanted['mirror'].rstrip('/')}/{info.filename}": info for info in infos.values()}
    urls = {info.filename.removesuffix(".gz"): url for url, info in infos.items()}
    try:
        # The manager retries for more than three minutes where there is no network: ask for one small file first.
        requests.head(urls["t10k-labels-idx1-ubyte"], timeout=10, allow_redirects=True).raise_for_status()
        manager = tfds.download.DownloadManager(download_dir=work, url_infos=infos, dataset_name="mnist")
        # One by one: a mirror that fails at one file is not asked for the others.
        return {"paths": {name: str(manager.download(urls[name])) for name in SHA256}}
    except requests.RequestException as error:
        return {"error": _reason(error)}
    except (tfds.download.DownloadError, tfds.core.download.download_manager.NonMatchingChecksumError) as error:
        return {"error": str(error).splitlines()[0]}
    except OSError as error:
        return {"errno": error.errno} if error.errno else {"error": str(error)}


def _reason(error: BaseException) -> str:
    """Return the innermost cause of a failed request in one line."""
    while isinstance(cause := getattr(error, "reason", None) or next(iter(error.args), None), Exception):
        error = cause
    return str(error).splitlines()[0]


def main(work: Path, wanted: Mapping[str, Any]) -> None:
    """Answer, unless nobody is there any more who would end a download that takes too long."""
    if hasattr(signal, "alarm"):
        signal.alarm(int(LIMIT) + 1)
    with contextlib.redirect_stdout(sys.stderr):
        answer = answered(work, wanted)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
