"""The folder of a record: it appears complete or not at all."""

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.numpy

from torch_ref.errors import UserError
from torch_ref.record.arrays import Array, Number, NumPyArray
from torch_ref.record.program.capture import Call

ARRAYS = ("start", "batches", "masks", "forward", "steps", "fresh")
NAMES = frozenset({"record.json", *(f"{name}.safetensors" for name in ARRAYS)})


def check(folder: Path, *, overwrite: bool) -> None:
    """Check that a record can be written, before anything is computed.

    Raises:
        UserError: The folder holds something else than a torch record, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: name a folder for the record")
        found = {path.name for path in folder.iterdir()} if folder.exists() else set()
        if found - NAMES or (found and "record.json" not in found):
            raise UserError(f"{folder} holds {min(found - NAMES or found)}, so it is no record: name another folder")
        if found and not overwrite and _side(folder) != "torch":
            raise UserError(f"{folder} holds a record that is not torch's: name another folder, or pass overwrite=True")
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}; name another folder") from error


def write(folder: Path, record: dict[str, Any], arrays: Mapping[str, Mapping[str, NumPyArray]]) -> None:
    """Write all files aside, then rename the folder; an earlier record is replaced.

    Raises:
        UserError: The folder cannot be written or the disk is full. An earlier record is untouched.
    """
    folder = folder.absolute()
    aside, old = (folder.with_name(f".{folder.name}.{uuid.uuid4().hex}") for _ in range(2))
    try:
        try:
            aside.mkdir(parents=True)
            digests = {}
            for name in ARRAYS:
                if arrays.get(name):
                    path = aside / f"{name}.safetensors"
                    safetensors.numpy.save_file(dict(arrays[name]), path)
                    digests[path.name] = _digest(path)
            text = json.dumps(record | {"files": digests}, default=_encoded, allow_nan=False)
            (aside / "record.json").write_text(text + "\n", encoding="utf-8")
            for name in digests:
                shutil.copymode(aside / "record.json", aside / name)  # safetensors' files are their owner's alone
            if folder.exists():
                folder.rename(old)
            try:
                aside.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
        finally:
            for path in (aside, old):
                shutil.rmtree(path, ignore_errors=True)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"cannot write {folder}: {getattr(error, 'strerror', None) or error}; free space?") from error


def _side(folder: Path) -> object:
    with contextlib.suppress(ValueError, AttributeError):
        return json.loads((folder / "record.json").read_text(encoding="utf-8")).get("side")
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _encoded(value: object) -> object:
    if isinstance(value, Array | Number | Call):
        return value.as_json()
    raise TypeError(f"a record cannot hold {value!r}")
