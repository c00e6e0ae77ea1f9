"""Arrays of a record: how they are sampled, described and stored. docs/records.md has the format.

Both the JAX recorder and the comparison use this file. It imports no framework.
"""

import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from jax_impl.errors import UserError

Array = NDArray[Any]
Reference = dict[str, Any]  # an array's place in a file, and what is known of the whole array

FORMAT = 1
NAME = "record.json"
FILES = ("start", "batches", "masks", "forward", "steps", "fresh")

# The largest number of elements that are stored of an array
FORWARD_LIMIT = 1_048_576
FORCED_LIMIT = 65_536  # in the port's forced pass
GRADIENT_LIMIT = 65_536
STEP_LIMIT = 2_048  # of everything that is recorded at each step
FRESH_LIMIT = 4_096  # of a leaf of one fresh model

FILL = 1e30  # numbers of this size and infinities hold no information: attention masks are filled with them
_FILL16 = 3e4  # the same in float16, which ends at 65,504
TELLING = 64  # elements of a mask: two random ones of this size are not equal by chance
_CHUNK = 1 << 20  # elements that are converted to float64 at a time


def sample_indices(size: int, limit: int) -> NDArray[np.int64]:
    """Return the flat positions of the elements that are stored of an array with `size` > `limit` elements."""
    return np.arange(limit, dtype=np.int64) * size // limit


def sampled(array: Array, limit: int | None) -> Array:
    """Return the array, or a flat sample of `limit` elements if it has more."""
    if limit is None or array.size <= limit:
        return array
    places = np.unravel_index(sample_indices(array.size, limit), array.shape)  # a view need not be copied
    return np.asarray(array[places])


def is_fill(array: Array, dtype: str = "") -> NDArray[np.bool_]:
    """Return which elements are infinite or as large as the fill values of attention masks. NaN is not a fill.

    `dtype` is what the array was before it was stored, if it is not the array's own.
    """
    if not inexact(array):
        return np.zeros(array.shape, bool)
    return np.asarray(np.abs(array) >= (_FILL16 if "float16" in {dtype, array.dtype.name} else FILL))


def inexact(array: Array) -> bool:
    """Return whether the elements are floating-point numbers. bfloat16, which NumPy does not know, is one."""
    return array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat16", "float"))


def repeated_axes(mask: Array) -> list[int]:
    """Return the axes along which all entries of a mask are the same, if each has enough elements to tell."""
    return [
        axis
        for axis, length in enumerate(mask.shape)
        if length > 1 and mask.size // length >= TELLING and bool((mask == np.take(mask, [0], axis)).all())
    ]


def norm_and_largest(array: Array) -> tuple[float, float]:
    """Return the L2 norm and the largest absolute value of the elements that are neither NaN nor fills.

    The sum is computed in float64, a part of the array at a time.
    """
    total, largest = 0.0, 0.0
    flat = array.ravel(order="K")  # as it lies in memory: a transposed array is not copied
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        left_out = is_fill(part)
        values = np.abs(part.astype(np.float64))
        left_out |= np.isnan(values)
        values[left_out] = 0.0
        total += float(np.square(values).sum())
        largest = max(largest, float(values.max(initial=0.0)))
    return math.sqrt(total), largest


def stored(array: Array) -> Array:
    """Return the array as it is stored: bfloat16 as float32, and float64 as float32 if that loses nothing."""
    if array.dtype.kind not in "biuf" and inexact(array):
        return array.astype(np.float32)
    if array.dtype == np.float64:
        with np.errstate(over="ignore", under="ignore"):
            smaller = array.astype(np.float32)
        if np.array_equal(smaller, array, equal_nan=True):
            return smaller
    return array


class Store:
    """Collects the arrays of a record and writes its files. Equal arrays of a file are stored once."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, Array]] = {}
        self._keys: dict[tuple[str, bytes], str] = {}

    def reference(self, file: str, array: Any, limit: int | None = None, *, noise: float | None = None) -> Reference:
        """Store an array, or its sample, and return the reference to it.

        Args:
            file: One of `FILES`.
            array: Anything that NumPy turns into an array of numbers or booleans, in the reference's layout.
            limit: The largest number of elements that are stored; None stores all.
            noise: The L2 norm of the rounding error of the whole array, if it is known.
        """
        array = np.asarray(array)
        norm, largest = norm_and_largest(array)
        part = sampled(array, limit)
        found = {
            "file": file,
            "key": self._key(file, np.array(stored(part), order="C")),  # a copy: the caller may change the array
            "shape": list(array.shape),
            "dtype": array.dtype.name,
            "norm": norm,
            "largest": largest,
            "sampled": part.shape != array.shape,
        }
        return found if noise is None else found | {"noise": float(noise)}

    def put(self, file: str, name: str, array: Any) -> None:
        """Store a whole array under a name, as in `start`, or as `block` and `scale` in `steps`."""
        self.files.setdefault(file, {})[name] = np.array(stored(np.asarray(array)), order="C")

    def write(self, folder: Path, content: Mapping[str, Any]) -> str:
        """Write the files and record.json, to which the format and the checksums are added.

        All files are written under temporary names and flushed to the disk before the first one gets its name.
        record.json is deleted first and comes last, so that a folder with one is complete. An earlier record in the
        folder is replaced, other files are left alone.

        Returns:
            The SHA-256 of record.json, in hexadecimal: the `start_of` of records that start from this one.

        Raises:
            UserError: The folder cannot be written, or the disk is full.
        """
        mark = uuid.uuid4().hex
        paths = {name: folder / f"{name}.safetensors" for name in FILES if self.files.get(name)}
        aside = {name: folder / f".{path.name}.{mark}" for name, path in paths.items()}
        record = folder / f".{NAME}.{mark}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                for name, path in aside.items():
                    safetensors.numpy.save_file(self.files[name], path)
                    _flush(path)
                sums = {paths[name].name: checksum(path) for name, path in aside.items()}
                text = json.dumps({"format": FORMAT, **content, "files": sums}, ensure_ascii=False)
                record.write_text(text + "\n", encoding="utf-8")
                _flush(record)
                digest = checksum(record)
                (folder / NAME).unlink(missing_ok=True)
                for name in FILES:
                    (folder / f"{name}.safetensors").unlink(missing_ok=True)
                for name, path in aside.items():
                    path.replace(paths[name])
                record.replace(folder / NAME)
            finally:
                for path in (*aside.values(), record):
                    path.unlink(missing_ok=True)
        except (OSError, safetensors.SafetensorError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"cannot write the record {folder}: {reason}; free some space, or name another") from error
        return digest

    def _key(self, file: str, array: Array) -> str:
        """Return the key of an array in a file; equal arrays share one."""
        digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
        identity = (file, digest.digest())
        if identity not in self._keys:
            arrays = self.files.setdefault(file, {})
            self._keys[identity] = str(len(arrays))
            arrays[self._keys[identity]] = array
        return self._keys[identity]


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, reading a part at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def references(content: Any) -> Iterator[Reference]:
    """Yield every reference to an array in a record's content, in order."""
    if isinstance(content, dict):
        if {"file", "key", "shape"} <= content.keys():
            yield content
        else:
            for value in content.values():
                yield from references(value)
    elif isinstance(content, list):
        for value in content:
            yield from references(value)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
