"""Named arrays in a safetensors file that carries the SHA-256 of its content.

The checksum covers names, dtypes, shapes, values and metadata. A file without one, from another writer, is accepted.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from jax_impl.errors import UserError
from jax_impl.storage import files

Tensors = dict[str, np.ndarray]
DIGITS = 64  # of a SHA-256 in hexadecimal
Facts = dict[str, Any]  # plain data, as JSON


FLOAT32 = (
    "convert all to float32 in Python: import ml_dtypes; from safetensors.numpy import load_file, save_file; "
    "save_file({name: array.astype('float32') for name, array in load_file('old.safetensors').items()}, "
    "'new.safetensors')"
)


class DamagedError(UserError):
    """The file's content is not what was written."""


def write(path: Path, tensors: Mapping[str, np.ndarray], facts: Facts | None = None) -> None:
    """Write arrays, and facts into the metadata. The file appears complete or not at all.

    Raises:
        UserError: The file cannot be written.
    """
    files.write(path, packed(tensors, facts))


def packed(tensors: Mapping[str, np.ndarray], facts: Facts | None = None) -> bytes:
    """Return the content of the file that `write` writes."""
    plain = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    metadata = {} if facts is None else {"facts": json.dumps(facts)}
    digest = _digest(safetensors.numpy.save(plain, metadata=metadata or None))
    return bytes(safetensors.numpy.save(plain, metadata=metadata | {"sha256": digest}))


def read(path: Path) -> tuple[Tensors, Facts]:
    """Return the arrays and facts of a file.

    Raises:
        UserError: The file cannot be read.
        DamagedError: It is not a safetensors file, or not what was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; name a params.safetensors file") from error
    try:
        tensors: Tensors = safetensors.numpy.load(content)
    except KeyError as error:  # safetensors' name of a dtype that NumPy does not have, such as BF16
        remedy = FLOAT32 if error.args[0] == "BF16" else "save all as float32 with the program that wrote the file"
        raise UserError(f"{path} holds numbers of dtype {error.args[0]}: {remedy}") from error
    except (SafetensorError, ValueError) as error:
        raise DamagedError(f"{path} is not a safetensors file ({error}); name a params.safetensors file") from error
    metadata = _header(content).get("__metadata__", {})
    # A damaged name of the checksum leaves its value, which other writers' metadata do not have.
    unnamed = any(len(value) == DIGITS and value.isalnum() for value in metadata.values())
    if (unnamed or metadata.keys() & {"sha256", "facts"}) and metadata.get("sha256") != _digest(content):
        raise DamagedError(f"{path} is damaged: its checksum does not match; use a copy, or train again")
    return tensors, json.loads(metadata.get("facts", "{}"))


def has_checksum(path: Path) -> bool:
    """Return whether a file that `read` accepts has a checksum, so that damage to it is noticed."""
    return "sha256" in _header(path.read_bytes()).get("__metadata__", {})


def _header(content: bytes) -> dict[str, Any]:
    """Return the JSON header that follows the 8 bytes of its length."""
    return dict(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]))


def _digest(content: bytes) -> str:
    """Return the SHA-256 of everything but the checksum itself."""
    header = _header(content)
    metadata = {name: value for name, value in header.pop("__metadata__", {}).items() if name != "sha256"}
    header |= {"__metadata__": metadata} if metadata else {}
    length = 8 + int.from_bytes(content[:8], "little")
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + content[length:]).hexdigest()
