"""Records that are kept line by line as JSON (JSONL), so that long work goes on where it was stopped.

A record is a dict with a `key` that changes with anything that changes its content. Its line also carries a seal, so
that a number that was altered on the disk is never taken for a measured one. A line that was cut short, as by a full
disk, is not a record; the next one takes its place.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from jax_impl.errors import UserError

Record = dict[str, Any]
BLOCK = 2**16  # bytes read at a time in search of the end of a line


def load(path: Path) -> dict[str, Record]:
    """Return the records of a file by their keys; none where there is no file.

    Raises:
        UserError: The file cannot be read, or a whole line is no record, or not what was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; name another --out") from error
    kept = {}
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            record = unsealed(json.loads(line))
            kept[record["key"]] = record
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}, line {number}, is no record as it was written: delete the line, and what it held is measured "
                "anew"
            ) from error
    return kept


def add(path: Path, record: Record) -> None:
    """Append a record, flushed to the disk; a torn line at the end gives way to it.

    Raises:
        UserError: The file cannot be written.
    """
    line = json.dumps(sealed(record), allow_nan=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.truncate(_end_of_lines(file))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; name a folder that can be written") from error


def sealed(content: Record) -> Record:
    """Return plain data with the SHA-256 of all the rest in it."""
    return content | {"sha256": _seal(content)}


def unsealed(content: Any) -> Record:
    """Return what was sealed.

    Raises:
        ValueError: It is not what was sealed.
    """
    if isinstance(content, dict):
        rest = {name: value for name, value in content.items() if name != "sha256"}
        if content.get("sha256") == _seal(rest):
            return rest
    raise ValueError("not what was sealed")


def _seal(content: Record) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _end_of_lines(file: BinaryIO) -> int:
    """Return where the last whole line ends, read from the end: a file of a million records is long."""
    start = file.seek(0, os.SEEK_END)
    while start:
        stop, start = start, max(0, start - BLOCK)
        file.seek(start)
        if (found := file.read(stop - start).rfind(b"\n")) >= 0:
            return start + found + 1
    return 0


def plain(values: Any) -> Any:
    """Return arrays as nested lists of 6 digits, a number that is none as None, which JSON can spell."""
    if hasattr(values, "_asdict"):
        return {name: plain(one) for name, one in values._asdict().items()}
    array = np.asarray(jax.device_get(values), np.float64)
    if array.ndim:
        return [plain(row) for row in array]
    return float(f"{array:.6g}") if np.isfinite(array) else None
