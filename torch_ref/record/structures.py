"""Nested tuples, lists, dicts and dataclasses of tensors: batches, and what goes into and comes out of modules."""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors inside a value, in order. Other objects are passed over."""
    if isinstance(value, torch.Tensor):
        yield value
    else:
        for part in _parts(value):
            yield from tensors(part)


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """Return the value with `change` applied to its tensors and NumPy arrays; the structure and its types stay."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return change(value)
    if isinstance(value, tuple):
        parts = [mapped(change, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return [mapped(change, part) for part in value]
    if isinstance(value, Mapping):
        changed = {key: mapped(change, part) for key, part in value.items()}
        if type(value) is dict:
            return changed
        twin: Any = copy.copy(value)  # a tokenizer's BatchEncoding or a model's ModelOutput
        for key, part in changed.items():
            twin[key] = part
        return twin
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        twin = copy.copy(value)
        for entry in dataclasses.fields(value):
            object.__setattr__(twin, entry.name, mapped(change, getattr(value, entry.name)))
        return twin
    return value


def encoded(value: Any, array: Callable[[torch.Tensor], Any]) -> dict[str, Any]:
    """Return a batch as record.json holds it; `array` makes a reference of a tensor."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return {"array": array(torch.as_tensor(value))}
    if isinstance(value, tuple | list):
        return {"list" if isinstance(value, list) else "tuple": [encoded(part, array) for part in value]}
    if isinstance(value, Mapping):
        return {"dict": {str(key): encoded(part, array) for key, part in value.items()}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"dict": {entry.name: encoded(getattr(value, entry.name), array) for entry in dataclasses.fields(value)}}
    return {"value": value if is_plain(value) else str(value)}


def is_plain(value: Any) -> bool:
    """Return whether JSON can hold a value as it is."""
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        yield from value
    elif isinstance(value, Mapping):
        yield from value.values()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield getattr(value, entry.name)
