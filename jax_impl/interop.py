"""Parameters in torch's names and layout, and the file that both implementations read. It needs no torch.

torch stores `linear1.weight` as (fan_out, fan_in), Flax a kernel as (fan_in, fan_out). The transpose happens here and
nowhere else. Shape checks cannot see a missing transpose of a square kernel.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np

from jax_impl.errors import UserError
from jax_impl.model import Params, from_linears, linears
from jax_impl.storage import tensors as tensor_files
from jax_impl.storage.tensors import Tensors


def to_torch(params: Params) -> Tensors:
    """Return `linear1.weight` (fan_out, fan_in), `linear1.bias` (fan_out,), … as contiguous NumPy arrays."""
    tensors = {}
    for number, layer in enumerate(linears(params), start=1):
        tensors[f"linear{number}.weight"] = np.ascontiguousarray(np.asarray(layer["kernel"]).T)
        tensors[f"linear{number}.bias"] = np.asarray(layer["bias"])
    return tensors


def from_torch(tensors: Tensors, layers: tuple[int, ...]) -> Params:
    """Return the parameters of a network with these layer sizes from torch's tensors.

    Raises:
        ValueError: A tensor is missing or unexpected, or has another shape or dtype.
    """
    expected: dict[str, tuple[int, ...]] = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(layers), start=1):
        expected |= {f"linear{number}.weight": (fan_out, fan_in), f"linear{number}.bias": (fan_out,)}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            sizes = "-".join(map(str, layers))
            raise ValueError(
                f"{name} must be {expected.get(name, 'absent')} in a network {sizes} as torch stores it, "
                f"got {shapes.get(name, 'none')}"
            )
    dtypes = {tensors[name].dtype.name for name in expected}
    if dtypes not in ({"float32"}, {"float64"}):
        raise ValueError(f"tensors must be all float32 or all float64, got {', '.join(sorted(dtypes))}")
    return from_linears(
        {
            "kernel": np.ascontiguousarray(tensors[f"linear{number}.weight"].T),
            "bias": tensors[f"linear{number}.bias"],
        }
        for number in range(1, len(layers))
    )


def save(path: Path, params: Params) -> None:
    """Write parameters to a safetensors file in torch's layout. It appears complete or not at all."""
    tensor_files.write(path, to_torch(params))


def load(path: Path, layers: tuple[int, ...]) -> Params:
    """Read the parameters of a network with these layer sizes, written by either implementation.

    Raises:
        UserError: The file cannot be read, is damaged, or holds another network.
    """
    tensors, _ = tensor_files.read(path)
    try:
        return from_torch(tensors, layers)
    except ValueError as error:
        raise UserError(f"{path} holds another network: {error}; name the recipe that trained it") from error
