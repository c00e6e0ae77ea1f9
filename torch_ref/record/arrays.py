"""Arrays of a record: what is kept of a tensor, and where (docs/records.md, "References to arrays")."""

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

# The largest number of elements that are stored of an array; larger ones are sampled
FORWARD, GRADIENT, STEP, FRESH = 1_048_576, 65_536, 2_048, 4_096

ROW = 1024  # elements that are summed up at once

NumPyArray = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Array:
    """What a record says about one array. `noise` grows while the noise is measured; see docs/records.md."""

    file: str
    key: str
    shape: tuple[int, ...]
    dtype: str
    norm: float
    largest: float
    sampled: bool
    stored: NumPyArray
    noise: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the reference that record.json holds."""
        return {
            "file": self.file, "key": self.key, "shape": list(self.shape), "dtype": self.dtype,
            "norm": self.norm, "largest": self.largest, "noise": self.noise, "sampled": self.sampled,
        }  # fmt: skip


@dataclass
class Number:
    """A loss or a norm, and how far the noisy runs were from it."""

    value: float
    noise: float = 0.0

    def as_json(self) -> float:
        """Return the noise: the value is in record.json from the start."""
        return self.noise


@dataclass
class Recording:
    """The arrays and numbers of the reference's own run, in memory. `slot` names a place in the run.

    Attributes:
        files: For each file, the arrays by their key.
        slots: What was recorded at each place of the run. The noisy runs come by the same places.
        overwriting: The modules that overwrite their inputs: a noisy run must not hand them copies.
    """

    files: dict[str, dict[str, NumPyArray]] = field(default_factory=dict)
    slots: dict[str, Array | Number] = field(default_factory=dict)
    overwriting: set[str] = field(default_factory=set)
    noisy: bool = False
    _keys: dict[tuple[str, str], str] = field(default_factory=dict)

    def array(self, slot: str, value: torch.Tensor, file: str, limit: int | None = None) -> Array:
        """Keep a copy of a tensor, or a sample of `limit` elements, and return what the record says about it."""
        value = plain(value)
        norm, largest = size(value)
        stored = compact(sample(value, limit))
        key = self._key(file, stored)
        sampled = limit is not None and value.numel() > limit
        array = Array(file, key, tuple(value.shape), name(value.dtype), norm, largest, sampled, self.files[file][key])
        self.slots[slot] = array
        return array

    def number(self, slot: str, value: float) -> Number:
        """Keep a number."""
        number = Number(value)
        self.slots[slot] = number
        return number

    def perturbed(self, value: torch.Tensor) -> torch.Tensor:
        """Return the tensor as it is: this run is the reference's own."""
        return value

    def named(self, file: str, key: str, stored: NumPyArray) -> None:
        """Keep an array under a key that readers know."""
        self.files.setdefault(file, {})[key] = stored

    def _key(self, file: str, stored: NumPyArray) -> str:
        """Store the array unless the file has its content already, and return its key."""
        content = self.files.setdefault(file, {})
        digest = hashlib.sha256(np.ascontiguousarray(stored).data).hexdigest() if stored.size else ""
        identity = (file, f"{stored.dtype} {stored.shape} {digest}")
        if identity not in self._keys:
            self._keys[identity] = str(len(content))
            content[str(len(content))] = np.asarray(stored, order="C")  # safetensors writes memory as it lies
        return self._keys[identity]


def plain(value: torch.Tensor) -> torch.Tensor:
    """Return the tensor without its history, dense and real: a complex one gets a last axis (real, imaginary)."""
    value = value.detach()
    value = value.cpu() if value.device.type == "mps" else value  # which has no float64 to measure sizes in
    value = value.to_dense() if value.layout != torch.strided else value
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value


def name(dtype: torch.dtype) -> str:
    """Return a dtype's name as NumPy writes it."""
    return str(dtype).removeprefix("torch.")


def size(value: torch.Tensor) -> tuple[float, float]:
    """Return the L2 norm and the largest absolute value over the elements that are neither NaN nor fills."""
    if not value.numel():
        return 0.0, 0.0
    value = value if value.is_floating_point() else value.double()
    limit = fill(value.dtype)
    largest = largest_of(value)
    if not largest < limit:
        value = value[value.abs() < limit]
        largest = largest_of(value) if value.numel() else 0.0
    return norm_of(value), largest


def norm_of(value: torch.Tensor) -> float:
    """Return the L2 norm. torch adds one element after the other: a long sum is split, to keep its rounding small."""
    flat = value.reshape(-1)
    whole = flat.numel() // ROW * ROW
    parts = torch.linalg.vector_norm(flat[:whole].view(-1, ROW), dim=1, dtype=torch.float64)
    rest = torch.linalg.vector_norm(flat[whole:], dtype=torch.float64)
    return math.hypot(float(rest), float(torch.linalg.vector_norm(parts)))


def fill(dtype: torch.dtype) -> float:
    """Return from which size on a number is a fill, as masks contain, and holds no information."""
    return 3e4 if dtype == torch.float16 else 1e30


def largest_of(value: torch.Tensor) -> float:
    """Return the largest absolute value, or NaN if there is a NaN."""
    low, high = torch.aminmax(value)  # many times as fast as abs().max() or the infinity norm
    return float(torch.maximum(-low, high))


def sample(value: torch.Tensor, limit: int | None) -> torch.Tensor:
    """Return the tensor, or element i * size // limit of it, flattened, for i = 0 ... limit - 1, if it is larger."""
    count = value.numel()
    if limit is None or count <= limit:
        return value
    return value.reshape(-1)[torch.arange(limit, device=value.device) * count // limit]


def compact(value: torch.Tensor) -> NumPyArray:
    """Return a copy in NumPy. float64 becomes float32 where that is exact; so do dtypes that NumPy does not have."""
    exact = value.dtype not in (torch.bfloat16, *_EIGHT_BITS)
    value = (value if exact else value.float()).detach().cpu()
    array: NumPyArray = np.array(value.numpy(), order="C")  # safetensors writes memory as it lies
    if array.dtype != np.float64:
        return array
    with np.errstate(over="ignore", under="ignore"):
        for some in (array.reshape(-1)[:64], array):  # most arrays fail on the first few elements
            if not np.array_equal(some.astype(np.float32).astype(np.float64), some, equal_nan=True):
                return array
        return array.astype(np.float32)


_EIGHT_BITS = tuple(getattr(torch, word) for word in dir(torch) if word.startswith("float8_"))
