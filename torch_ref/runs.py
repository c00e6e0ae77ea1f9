"""The files of a run, the same as jax_impl's: config.json, metrics.jsonl, params.safetensors, curve.png."""

import hashlib
import json
import os
import platform
import re
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from torch_ref import data as mnist
from torch_ref import plot, train
from torch_ref.errors import UserError
from torch_ref.recipes import Recipe, title

FILES = ("config.json", "metrics.jsonl", "params.safetensors", "curve.png")
WHICH = "name the recipe that it was trained with"
NAMED = re.compile(r"linear[1-9]\d*\.(weight|bias)")


def check(out: Path) -> None:
    """Make the folder `out` and check that it can be written, before a run is trained.

    Raises:
        UserError: `out` is a file, or the folder cannot be made or written.
    """
    try:
        if out.exists() and not out.is_dir():
            raise UserError(f"--out {out} is a file: name a folder, or a new one")
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UserError(f"cannot write to --out {out}: {error.strerror or error}; name another folder") from error


def write(
    out: Path, recipe: Recipe, records: Sequence[train.EpochRecord], tensors: Mapping[str, torch.Tensor], *, loader: str
) -> None:
    """Write the files of a run: its settings, what each epoch measured, and the parameters after the last epoch.

    There is no curve without an epoch. An earlier run in the folder is replaced.

    Raises:
        UserError: The disk is full, or the folder cannot be written. The earlier run is unchanged.
    """
    device = train.device_of_choice()
    packages = {name: version(name) for name in ("torch", "torchvision", "numpy")}
    config = {
        "package": "torch_ref",
        "recipe": asdict(recipe),
        "loader": loader,
        "versions": {"python": platform.python_version()} | packages,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "data_sha256": mnist.SHA256,
    }
    contents = {
        "config.json": (json.dumps(config, indent=2) + "\n").encode(),
        "metrics.jsonl": "".join(json.dumps(asdict(record)) + "\n" for record in records).encode(),
        "params.safetensors": sealed(tensors),
    }
    if records:
        contents["curve.png"] = plot.curve(records, f"{title(recipe)}, PyTorch")
    _replace_files(out, contents)


def _replace_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Replace the files of a run by these contents.

    All contents are written under temporary names and flushed to the disk before a file is deleted or renamed. So a
    full disk or a kill while writing leaves all the old files. The old results are deleted before the first new file
    gets its name, so that a kill never leaves them beside the new settings.
    """
    temporary = {name: folder / f".{name}.{uuid.uuid4().hex}" for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for name, path in temporary.items():
                with path.open("xb") as file:
                    file.write(contents[name])
                    file.flush()
                    os.fsync(file.fileno())
            for name in FILES[1:]:
                (folder / name).unlink(missing_ok=True)
            for name, path in temporary.items():
                path.replace(folder / name)
        finally:
            for path in temporary.values():
                path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; free some disk space, or name another --out"
        ) from error


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of the parameters on the CPU, which training does not change."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def load(path: Path, layers: tuple[int, ...], remedy: str = WHICH) -> dict[str, torch.Tensor]:
    """Read the parameters of a network that jax_impl or torch_ref wrote.

    Args:
        path: A safetensors file. If its metadata hold a SHA-256, the tensors must match it.
        layers: The sizes of the network, from the inputs to the outputs.
        remedy: The end of the message if the file holds another network.

    Returns:
        linear{n}.weight (fan_out, fan_in) and linear{n}.bias (fan_out,), all float32 or all float64, and finite.

    Raises:
        UserError: The file cannot be read, is not a safetensors file, is damaged, or holds something else.
    """
    tensors, _ = read(path)
    expected: dict[str, tuple[int, ...]] = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(layers), start=1):
        expected |= {f"linear{number}.weight": (fan_out, fan_in), f"linear{number}.bias": (fan_out,)}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != expected:
        name = min(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
        raise UserError(
            f"{path} holds another network: {name} must be {expected.get(name, 'absent')}, "
            f"got {shapes.get(name, 'none')}; {remedy}"
        )
    return tensors


def read(path: Path) -> tuple[dict[str, torch.Tensor], bool]:
    """Return the parameters of a network of any size, and whether the file has a SHA-256, which they match.

    Raises:
        UserError: As `load`, but for the sizes of the network.
    """
    try:
        content = path.read_bytes()
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(content)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; name the params.safetensors that `train` wrote"
        ) from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path} is no safetensors file ({error}); name the one that `train` wrote") from error
    seal = _split(content)[0].get("__metadata__", {}).get("sha256")
    if seal is not None and seal != _digest(content):  # files of other programs have no seal
        raise UserError(f"{path} is damaged, its SHA-256 does not match: restore a copy, or train again")
    _check_tensors(tensors, path)
    return tensors, seal is not None


def _check_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise a UserError unless the tensors are those of linear layers, in one dtype, and finite."""
    foreign = [name for name in sorted(tensors) if not NAMED.fullmatch(name)]
    if not tensors:
        raise UserError(f"{path} holds no tensors: name the params.safetensors of a run")
    if all(name.startswith("rbm") for name in tensors):
        raise UserError(f"{path} holds RBMs, which classify nothing: name the params.safetensors of a network")
    if any(name.startswith("state.") for name in foreign):
        raise UserError(f"{path} is a checkpoint: name the params.safetensors in the folder above it")
    if foreign:
        raise UserError(
            f"{path} has tensors of other names, such as {foreign[0][:80]!r}: rename them to linear1.weight, "
            "linear1.bias, linear2.weight and so on, from the pixels to the classes, with weights of shape "
            "(outputs, inputs)"
        )
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    if dtypes not in (["float32"], ["float64"]):
        raise UserError(
            f"{path} must hold only float32 or only float64, got {', '.join(dtypes)}: convert all to float32 in "
            "Python: from safetensors.torch import load_file, save_file; save_file({name: tensor.float() for name, "
            "tensor in load_file('old.safetensors').items()}, 'new.safetensors')"
        )
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(
                f"{path} holds NaN or infinite values, in {name}: these parameters compute nothing; train again, with "
                "a smaller learning rate if the training diverged"
            )


def sealed(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return a safetensors file whose metadata hold the SHA-256 of the tensors, their names, dtypes and shapes."""
    tensors = dict(tensors)
    digest = _digest(safetensors.torch.save(tensors))
    content: bytes = safetensors.torch.save(tensors, metadata={"sha256": digest})
    return content


def _digest(content: bytes) -> str:
    header, data = _split(content)
    header.pop("__metadata__", None)
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + data).hexdigest()


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the data of a safetensors file: 8 bytes with the header's length, JSON, data."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]
