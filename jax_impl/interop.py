"""Parameters in torch's names and layout, and the file that both implementations read. It needs no torch.

torch stores `linear1.weight` as (fan_out, fan_in), Flax a kernel as (fan_in, fan_out). The transpose happens here and
nowhere else. Shape checks cannot see a missing transpose of a square kernel.
"""

import re
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


def read(path: Path) -> Tensors:
    """Read the tensors of a network of any size, in torch's names and layout, written by either implementation.

    Raises:
        UserError: The file cannot be read, is damaged, or does not hold finite float32 or float64 parameters under
            these names.
    """
    tensors, _ = tensor_files.read(path)
    _check_names(tensors, path)
    dtypes = sorted({tensor.dtype.name for tensor in tensors.values()})
    if dtypes not in (["float32"], ["float64"]):
        raise UserError(
            f"{path} must hold only float32 or only float64, got {', '.join(dtypes)}: {tensor_files.FLOAT32}"
        )
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise UserError(
                f"{path} holds NaN or infinite values, in {name}: these parameters compute nothing; train again, with "
                "a smaller learning rate if the training diverged"
            )
    return tensors


def _check_names(tensors: Tensors, path: Path) -> None:
    """Raise a UserError, which says what the file probably is, unless all names are those of linear layers."""
    foreign = [name for name in sorted(tensors) if not re.fullmatch(r"linear[1-9]\d*\.(weight|bias)", name)]
    if not tensors:
        raise UserError(f"{path} holds no tensors: name the params.safetensors of a run")
    if not foreign:
        return
    if all(name.startswith("rbm") for name in tensors):
        raise UserError(
            f"{path} holds RBMs, which classify nothing: start a network from them with train mnist_dbn --dbn {path}"
        )
    if any(name.startswith("state.") for name in foreign):
        raise UserError(f"{path} is a checkpoint: name the params.safetensors in the folder above it")
    raise UserError(
        f"{path} has tensors of other names, such as {foreign[0][:80]!r}: rename them to linear1.weight, linear1.bias, "
        "linear2.weight and so on, from the pixels to the classes, with weights of shape (outputs, inputs)"
    )


def save(path: Path, params: Params) -> None:
    """Write parameters to a safetensors file in torch's layout. It appears complete or not at all."""
    tensor_files.write(path, to_torch(params))


def load(path: Path, layers: tuple[int, ...]) -> Params:
    """Read the parameters of a network with these layer sizes, written by either implementation.

    Raises:
        UserError: The file cannot be read, is damaged, or holds another network.
    """
    tensors = read(path)
    try:
        return from_torch(tensors, layers)
    except ValueError as error:
        raise UserError(f"{path} holds another network: {error}; name the recipe that trained it") from error
