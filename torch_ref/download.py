"""Downloading MNIST with torchvision, in a process of its own.

The library waits for a silent server without end; a process can be ended whatever it waits for.
`python -m torch_ref.download FOLDER WANTED` is that process, whose standard output is its answer.
"""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from torch_ref.errors import UserError

SILENCE = 30.0  # seconds without a byte, after which a server is given up
LIMIT = 600.0  # seconds for all four files: 12 MB, at 20 kB a second
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # errors of a disk, not of a mirror


class DownloadError(UserError):
    """What torchvision could not do, mirror by mirror."""


def download(root: Path, *, progress: bool = False, sums: Mapping[str, str] | None = None) -> None:
    """Let torchvision download MNIST into an empty folder.

    Args:
        root: The folder.
        progress: Show torchvision's progress bars on standard error.
        sums: The MD5 of each .gz file by its name, in place of what torchvision has on record.

    Raises:
        DownloadError: No mirror, or not that of $MNIST_MIRROR, gave all files in the time that they have.
        OSError: The disk is full.
    """
    mirror = os.environ.get("MNIST_MIRROR")
    wanted = {"mirrors": [mirror] if mirror else None, "sums": sums, "silence": SILENCE, "limit": LIMIT}
    process = subprocess.Popen(
        [sys.executable, "-m", "torch_ref.download", str(root), json.dumps(wanted)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if progress else subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is for us: we end it
    )
    try:
        text, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise DownloadError(f"not all had come after {LIMIT:g} s") from None
    finally:
        process.kill()
        process.communicate()
    try:
        answer = json.loads(text)
    except ValueError:
        raise DownloadError(f"the download ended with exit code {process.returncode} and no answer") from None
    if isinstance(answer, int):
        raise OSError(answer, os.strerror(answer))
    if answer:
        raise DownloadError("; ".join(answer))


def answered(root: Path, wanted: Mapping[str, Any]) -> list[str] | int:
    """Ask one mirror after the other for all files.

    Returns:
        Why each of them failed, nothing once one gave all; or the number of the system's error if the disk is full.
    """
    import torchvision.datasets as dsets

    if wanted["sums"]:
        dsets.MNIST.resources = list(wanted["sums"].items())
    found = []
    for mirror in wanted["mirrors"] or dsets.MNIST.mirrors:
        dsets.MNIST.mirrors = [f"{mirror.rstrip('/')}/"]
        try:
            dsets.MNIST(root=root, download=True)
        except (RuntimeError, HTTPException, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                return error.errno
            # "Error downloading FILE:\nTried MIRROR, got:\nREASON"
            found.append(f"{mirror}: {' '.join(str(error).rpartition('got:')[2].split()) or type(error).__name__}")
        else:
            return []
    return found


def main(root: Path, wanted: Mapping[str, Any]) -> None:
    """Do what is wanted, unless nobody is there any more who would end a download that takes too long."""
    if hasattr(signal, "alarm"):
        signal.alarm(int(wanted["limit"]) + 1)
    socket.setdefaulttimeout(wanted["silence"])
    with contextlib.redirect_stdout(sys.stderr):  # torchvision reports its attempts with print
        answer = answered(root, wanted)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
