"""Parameters in torch's names and layout, and the file in which both implementations exchange them. No torch needed.

torch stores `linear1.weight` as (fan_out, fan_in), Flax a kernel as (fan_in, fan_out): every kernel is transposed
here, once, in each direction. A square kernel hides a forgotten transpose from every shape check.
"""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from jax_impl.errors import UserError
from jax_impl.model import Params
from jax_impl.rbm.machine import Rbm
from jax_impl.storage import files

Tensors = dict[str, np.ndarray]


def to_torch(params: Params) -> Tensors:
    """Return `linear1.weight` (fan_out, fan_in), `linear1.bias` (fan_out,), … as contiguous NumPy arrays."""
    tensors = {}
    for number in range(1, len(params) + 1):
        layer = params[f"linear{number}"]
        tensors[f"linear{number}.weight"] = np.ascontiguousarray(np.asarray(layer["kernel"]).T)
        tensors[f"linear{number}.bias"] = np.asarray(layer["bias"])
    return tensors


def from_torch(tensors: Tensors, layers: tuple[int, ...]) -> Params:
    """Return the parameters of a network of these layers from torch's tensors.

    Raises:
        ValueError: A tensor is missing, not expected, of another shape, or of another dtype than the others.
    """
    expected: dict[str, tuple[int, ...]] = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(layers), start=1):
        expected |= {f"linear{number}.weight": (fan_out, fan_in), f"linear{number}.bias": (fan_out,)}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            wanted, came = expected.get(name, "absent"), found.get(name, "none")
            raise ValueError(f"{name} must be {wanted} in a network {_text(layers)} as torch stores it, got {came}")
    dtypes = {tensors[name].dtype.name for name in expected}
    if dtypes not in ({"float32"}, {"float64"}):
        raise ValueError(f"tensors must be all float32 or all float64, got {', '.join(sorted(dtypes))}")
    return {
        f"linear{number}": {
            "kernel": np.ascontiguousarray(tensors[f"linear{number}.weight"].T),
            "bias": tensors[f"linear{number}.bias"],
        }
        for number in range(1, len(layers))
    }


def save(path: Path, params: Params) -> None:
    """Write the parameters to a safetensors file in torch's layout; it appears whole or not at all."""
    files.write(path, sealed(to_torch(params)))


def load(path: Path, layers: tuple[int, ...]) -> Params:
    """Read the parameters of a network of these layers from what either implementation wrote.

    Raises:
        UserError: The file cannot be read, is no safetensors file, is damaged, or holds another network.
    """
    tensors = _read(path)
    try:
        return from_torch(tensors, layers)
    except ValueError as error:
        raise UserError(f"{path} is another network's: {error}; name the recipe that it was trained with") from error


def save_stack(path: Path, stack: Sequence[Rbm]) -> None:
    """Write machines, `rbm1` at the pixels: `rbm1.weight` (hidden, visible), `rbm1.visible_bias`, `rbm1.hidden_bias`.

    A weight is laid out as that of the `Linear` which it becomes.
    """
    tensors = {}
    for number, rbm in enumerate(stack, start=1):
        tensors[f"rbm{number}.weight"] = np.ascontiguousarray(np.asarray(rbm.weight).T)
        tensors[f"rbm{number}.visible_bias"] = np.asarray(rbm.visible_bias)
        tensors[f"rbm{number}.hidden_bias"] = np.asarray(rbm.hidden_bias)
    files.write(path, sealed(tensors))


def load_stack(path: Path) -> list[Rbm]:
    """Read machines that `save_stack` wrote, or torch_ref.

    Raises:
        UserError: The file cannot be read, is no safetensors file, is damaged, or holds something else.
    """
    tensors = _read(path)
    stack: list[Rbm] = []
    while (rbm := _machine(tensors, len(stack) + 1)) is not None:
        stack.append(rbm)
    fits = all(len(below.hidden_bias) == len(above.visible_bias) for below, above in pairwise(stack))
    if not stack or not fits or len(tensors) != 3 * len(stack):
        raise UserError(f"{path} holds no RBMs: name the params.safetensors that `rbm` or `dbn` wrote")
    return stack


def _machine(tensors: Tensors, number: int) -> Rbm | None:
    """Return the machine of this number, unless a tensor is missing or of another shape."""
    names = [f"rbm{number}.{part}" for part in ("weight", "visible_bias", "hidden_bias")]
    if not tensors.keys() >= set(names):
        return None
    weight, visible_bias, hidden_bias = (tensors[name] for name in names)
    if visible_bias.ndim != 1 or weight.shape != hidden_bias.shape + visible_bias.shape:
        return None
    return Rbm(np.ascontiguousarray(weight.T), visible_bias, hidden_bias)


def sealed(tensors: Tensors) -> bytes:
    """Return a safetensors file whose metadata hold the SHA-256 of the tensors, their names, dtypes and shapes."""
    digest = _digest(safetensors.numpy.save(tensors))
    content: bytes = safetensors.numpy.save(tensors, metadata={"sha256": digest})
    return content


def _read(path: Path) -> Tensors:
    try:
        content = path.read_bytes()
        tensors: Tensors = safetensors.numpy.load(content)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name the params.safetensors of a run") from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} is no safetensors file ({error}); name the params.safetensors of a run") from error
    seal = _header(content).get("__metadata__", {}).get("sha256")
    if seal is not None and seal != _digest(content):  # other writers set none
        raise UserError(f"{path} is damaged, for its content is not what was written: take a copy, or train it anew")
    return tensors


def _header(content: bytes) -> dict[str, Any]:
    """Return what stands before the tensors of a safetensors file: 8 bytes of its length, and JSON."""
    header: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return header


def _digest(content: bytes) -> str:
    header = {name: place for name, place in _header(content).items() if name != "__metadata__"}
    length = 8 + int.from_bytes(content[:8], "little")
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + content[length:]).hexdigest()


def _text(layers: tuple[int, ...]) -> str:
    return "-".join(map(str, layers))
