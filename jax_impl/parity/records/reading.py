"""Reading records: one line says what is wrong with a record that cannot be compared."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from jax_impl.errors import UserError
from jax_impl.parity.arrays import FILES, FORMAT, NAME, Array, checksum, references
from jax_impl.parity.records.content import Content, Reference, arrays_of
from jax_impl.parity.records.decoding import MalformedError, decoded
from jax_impl.parity.records.names import check_mapping, check_names

AGAIN = "copy the whole folder again, or record again"


@dataclass(frozen=True)
class Record:
    """A record whose files match their checksums. Arrays are read when they are asked for."""

    folder: Path
    digest: str  # SHA-256 of record.json
    content: Content

    def array(self, reference: Reference) -> Array:
        """Return the stored elements of an array: flat if it is a sample, otherwise in its shape."""
        found: Array = self._files[reference.file].get_tensor(reference.key)
        return found

    def start(self, name: str) -> Array | None:
        """Return a parameter or buffer before training; None if it was not recorded."""
        if "start" not in self._files or name not in self.start_names:
            return None
        found: Array = self._files["start"].get_tensor(name)
        return found

    @cached_property
    def start_names(self) -> frozenset[str]:
        """The names of the parameters and buffers whose numbers were recorded before training."""
        return frozenset(self._files["start"].keys()) if "start" in self._files else frozenset()

    @cached_property
    def _files(self) -> dict[str, Any]:
        names = [name for name in FILES if f"{name}.safetensors" in self.content.files]
        return {name: safe_open(self.folder / f"{name}.safetensors", framework="numpy") for name in names}


def read(folder: Path) -> Record:
    """Return the record in a folder, after its checksums and everything in record.json were verified.

    Raises:
        UserError: It is missing, damaged, of another format, or no record. The message is one line with the remedy.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name the folder that `save` wrote")
    try:
        text = (folder / NAME).read_bytes()
        digest = checksum(folder / NAME)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{folder} holds no record ({NAME}: {reason}): name the folder that `save` wrote") from error
    values = _parsed(folder, text)
    try:
        record = Record(folder, digest, decoded(Content, values))
        check_names(record.content)
        for name, expected in record.content.files.items():
            _verify(folder, name, expected)
        _check_references(record, values)
        for batch in (*record.content.batches, *(record.content.own_batches or ())):
            list(arrays_of(batch))
    except (MalformedError, RecursionError) as error:
        raise UserError(f"{folder / NAME} is damaged, {error}: {AGAIN}") from error
    return record


def _parsed(folder: Path, text: bytes) -> Any:
    """Return the JSON text as plain values."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise UserError(f"{folder / NAME} is damaged, it is not JSON: {AGAIN}") from error
    if not isinstance(values, dict) or "format" not in values or "side" not in values:
        raise UserError(f"{folder / NAME} is not that of a record: name the folder that `save` wrote")
    if values["format"] != FORMAT:
        raise UserError(
            f"{folder} has format {str(values['format'])[:20]} and this program reads format {FORMAT}: "
            "record again, or use the version that wrote it"
        )
    return values


def _verify(folder: Path, name: str, expected: str) -> None:
    """Check the SHA-256 of a file, and that it is a safetensors file."""
    if name.removesuffix(".safetensors") not in FILES or not name.endswith(".safetensors"):
        raise MalformedError(f"it names a file {name[:60]!r}")
    try:
        if checksum(folder / name) != expected:
            raise UserError(f"{folder / name} is damaged, its SHA-256 does not match: {AGAIN}")
        with safe_open(folder / name, framework="numpy"):
            pass
    except FileNotFoundError as error:
        raise UserError(f"{folder / name} is missing: {AGAIN}") from error
    except OSError as error:
        raise UserError(f"cannot read {folder / name}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise UserError(f"{folder / name} is not a safetensors file: {AGAIN}") from error


def _check_references(record: Record, values: Any) -> None:
    """Check that each referenced array is in its file, with a shape that fits.

    Raises:
        MalformedError: One is not, or has a shape or a norm that no array has.
    """
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for raw in references(values):
        reference: Reference = decoded(Reference, raw, "a reference")
        if reference.file not in shapes:
            shapes[reference.file] = _shapes(record, reference.file)
        stored = shapes[reference.file].get(reference.key)
        if stored is None:
            raise MalformedError(f"{reference.file}.safetensors has no array {reference.key[:60]!r}")
        whole = tuple(reference.shape)
        fits = len(stored) == 1 and 0 <= stored[0] <= reference.size if reference.sampled else stored == whole
        if not fits or min(whole, default=0) < 0:
            raise MalformedError(f"{reference.file} {reference.key[:60]!r} has shape {stored}, not {whole}")
        for number in (reference.norm, reference.largest, reference.noise or 0.0):
            if number < 0:
                raise MalformedError(f"{reference.file} {reference.key[:60]!r} has the norm {number}")


def _shapes(record: Record, name: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of a file."""
    if f"{name}.safetensors" not in record.content.files:
        raise MalformedError(f"it refers to {name[:60]!r}, which is not among its files")
    with safe_open(record.folder / f"{name}.safetensors", framework="numpy") as file:
        try:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - no dict
        except SafetensorError as error:
            raise MalformedError(f"{name}.safetensors: {error}") from error


def read_pair(theirs: Path, ours: Path) -> tuple[Record, Record]:
    """Return the reference's record and the port's, which must have started from the reference's.

    Raises:
        UserError: As `read`; or the two do not belong together.
    """
    first, second = read(theirs), read(ours)
    reference, port = first.content.start_of is None, second.content.start_of is not None
    if not reference and not port:
        raise UserError(f"the records are swapped: name the reference first, prove {ours} {theirs}")
    if not reference:
        raise UserError(f"{theirs} is the record of a port: name the reference's record first, then the port's")
    if not port:
        raise UserError(f"{ours} is the record of a reference: record the port with start={str(theirs)!r}")
    if second.content.start_of != first.digest:
        root = next((module.type for module in first.content.modules if not module.path), "the model")
        raise UserError(
            f"{ours} did not start from {theirs} ({root}): one is another model's, or theirs was recorded again; "
            f"record the port with start={str(theirs)!r}"
        )
    try:
        check_mapping(first.content, second.content)
    except MalformedError as error:
        raise UserError(f"{ours / NAME} is damaged, {error}: {AGAIN}") from error
    return first, second
