"""Initial weights of fresh models: from these the distributions of two programs are compared."""

import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from torch_ref.errors import UserError
from torch_ref.record.arrays import FRESH, NumPyArray, Recording, compact, sample
from torch_ref.record.settings import Leaf, leaves


def recorded(fresh: Callable[[], nn.Module], seeds: int, like: nn.Module, recording: Recording) -> dict[str, Any]:
    """Build a model for each seed, and record a sample of every parameter.

    Args:
        fresh: Builds a model with new weights.
        seeds: torch's generator is seeded with 0 ... seeds - 1.
        like: The recorded model, whose parameters the fresh ones must have.
        recording: Where the samples go.

    Returns:
        The entry of record.json.
    """
    names = {leaf.name for leaf in _parameters(like)}
    rows: dict[str, list[NumPyArray]] = {}
    digests: dict[str, list[str]] = {}
    for seed in range(seeds):
        torch.manual_seed(seed)
        model = fresh()
        if not isinstance(model, nn.Module):
            raise TypeError(f"fresh must return a new nn.Module, got {type(model).__name__}")
        found = {leaf.name: leaf for leaf in _parameters(model)}
        if found.keys() != names:
            raise UserError(f"fresh builds another model: {min(found.keys() ^ names)} is in one of the two only")
        for name, leaf in found.items():
            rows.setdefault(name, []).append(compact(sample(leaf.value.reshape(-1), FRESH)))
            digests.setdefault(name, []).append(_digest(leaf.value))
    arrays = {name: recording.array(f"fresh/{name}", _stacked(samples), "fresh") for name, samples in rows.items()}
    same: dict[tuple[str, ...], list[str]] = {}
    for name, values in digests.items():
        if all(values):
            same.setdefault(tuple(values), []).append(name)
    equal = [list(pair) for group in same.values() for pair in itertools.combinations(group, 2)]
    return {"seeds": seeds, "leaves": arrays, "equal": equal}


def _parameters(model: nn.Module) -> list[Leaf]:
    return [leaf for leaf in leaves(model) if leaf.kind == "parameter" and leaf.tied is None]


def _stacked(samples: list[NumPyArray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(samples))


def _digest(value: torch.Tensor) -> str:
    """Return a digest of the numbers, or nothing if they are all the same or only one."""
    flat = value.reshape(-1)
    if flat.numel() < 2 or bool((flat == flat[0]).all()):
        return ""
    return f"{tuple(value.shape)} {hashlib.sha256(compact(flat).tobytes()).hexdigest()}"
