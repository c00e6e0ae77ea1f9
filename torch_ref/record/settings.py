"""What a record says about the program: modules and their settings, leaves, versions and the machine."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torch_ref.record.arrays import name as dtype_name
from torch_ref.record.program.workspace import storage_key
from torch_ref.record.structures import is_plain


@dataclass(frozen=True)
class Leaf:
    """A parameter or a buffer, with the values and the dtype that the model came with.

    Attributes:
        tensor: The model's own tensor: of a buffer, the one before recording.
        value: Its numbers before recording.
        tied: The name of the first leaf that is the same tensor.
    """

    name: str
    kind: str
    tensor: torch.Tensor
    value: torch.Tensor
    trainable: bool
    tied: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry of record.json."""
        return {
            "name": self.name, "kind": self.kind, "shape": list(self.value.shape),
            "dtype": dtype_name(self.value.dtype), "module": self.name.rpartition(".")[0],
            "trainable": self.trainable, "tied": self.tied,
        }  # fmt: skip


def leaves(model: nn.Module) -> list[Leaf]:
    """Return all parameters, then all buffers, each in the order of registration."""
    first: dict[Any, str] = {}
    found = []
    kinds = {
        "parameter": model.named_parameters(remove_duplicate=False),
        "buffer": model.named_buffers(remove_duplicate=False),
    }
    for kind, named in kinds.items():
        for name, tensor in named:
            key = storage_key(tensor)
            trainable = kind == "parameter" and tensor.requires_grad
            found.append(Leaf(name, kind, tensor, tensor.data, trainable, first.get(key)))
            first.setdefault(key, name)
    return found


def modules(model: nn.Module, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the module tree in the order of registration, with settings and the numbers of calls."""
    first: dict[int, str] = {}
    found = []
    for path, module in model.named_modules(remove_duplicate=False):
        settings = plain_values({key: value for key, value in vars(module).items() if key != "training"})
        tied = first.get(id(module))
        first.setdefault(id(module), path)
        calls = counts.get(path if tied is None else tied, 0)
        found.append(
            {"path": path, "type": type(module).__name__, "settings": settings, "calls": calls}
            | ({} if tied is None else {"tied": tied})
        )
    return found


def plain_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the public attributes that are numbers, booleans, text, None or tuples of these."""
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        if key.startswith("_"):
            continue
        if is_plain(value) or (isinstance(value, tuple) and all(is_plain(part) for part in value)):
            found[key] = list(value) if isinstance(value, tuple) else value
        elif isinstance(value, float):  # infinite, which JSON cannot hold
            found[key] = str(value)
    return found


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for package in ("torch", "numpy", "safetensors", "torchvision", "transformers"):
        if package in sys.modules:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = str(getattr(sys.modules[package], "__version__", "unknown"))
    return found


def machine(device: torch.device) -> dict[str, Any]:
    """Return the device, the processor and the number of threads."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
