"""Files of records: one line of JSON per record (JSONL), so that interrupted work can continue.

A record is a dict with a `key`, which depends on everything that the record's content depends on. Each line also holds
a checksum, so that damaged numbers are noticed. An incomplete last line, left by a full disk, is ignored; the next
record replaces it.
"""

import hashlib
import json
import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from jax_impl.errors import UserError

Record = dict[str, Any]


def load(path: Path) -> dict[str, Record]:
    """Return the records of a file by their keys, or an empty dict if the file does not exist.

    Raises:
        UserError: The file cannot be read, or a complete line is not a record or is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; name another --out") from error
    records = {}
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            record = verified(json.loads(line))
            records[record["key"]] = record
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}, line {number}, is damaged: delete the line and repeat the command, which measures it again"
            ) from error
    return records


def add(path: Path, record: Record) -> None:
    """Append a record and flush it to the disk. It replaces an incomplete last line.

    Raises:
        UserError: The file cannot be written.
    """
    line = json.dumps(with_checksum(record), allow_nan=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.truncate(_end_of_lines(file))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; name another --out") from error


def with_checksum(content: Record) -> Record:
    """Return plain data with its SHA-256 added as `sha256`."""
    return content | {"sha256": _checksum(content)}


def verified(content: Any) -> Record:
    """Return the data without its checksum: the inverse of `with_checksum`.

    Raises:
        ValueError: The checksum is missing or wrong.
    """
    if isinstance(content, dict):
        data = {name: value for name, value in content.items() if name != "sha256"}
        if content.get("sha256") == _checksum(data):
            return data
    raise ValueError("its checksum is missing or wrong")


def _checksum(content: Record) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _end_of_lines(file: BinaryIO) -> int:
    """Return the position after the last complete line. A long file is not read as a whole."""
    if not file.seek(0, os.SEEK_END):
        return 0  # an empty file cannot be mapped
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.rfind(b"\n") + 1


def plain(values: Any) -> Any:
    """Return arrays as nested lists of numbers with 6 digits. NaN and infinities become None; JSON has no such numbers.

    A NamedTuple becomes a dict.
    """
    if hasattr(values, "_asdict"):
        return {name: plain(value) for name, value in values._asdict().items()}
    array = np.asarray(jax.device_get(values), np.float64)
    if array.ndim:
        return [plain(row) for row in array]
    return float(f"{array:.6g}") if np.isfinite(array) else None
