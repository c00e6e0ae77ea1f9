"""Trees as arrays by name, and what proves and tells apart what was saved of them."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

Arrays = dict[str, np.ndarray]
Facts = dict[str, Any]  # as JSON spells it


def flat(prefix: str, tree: Any) -> Arrays:
    """Return the leaves of a tree by their paths, as NumPy arrays."""
    found, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {f"{prefix}{jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in found}


def unflat(prefix: str, like: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return a tree of the structure of `like` from what `flat` made of it."""
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    return jax.tree.unflatten(structure, [arrays[f"{prefix}{jax.tree_util.keystr(path)}"] for path, _ in paths])


def joined(arrays: Mapping[str, np.ndarray]) -> tuple[UInt8[np.ndarray, " bytes"], list[list[Any]]]:
    """Return the bytes of all arrays one after the other, and the name, dtype and shape of each."""
    content = np.frombuffer(b"".join(array.tobytes() for array in arrays.values()), np.uint8)
    return content, [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]


def parted(content: UInt8[np.ndarray, " bytes"], layout: list[list[Any]]) -> Arrays:
    """Return what `joined` made one of.

    Raises:
        ValueError: The layout is not that of this content.
        TypeError: Or it is none.
    """
    arrays, first = {}, 0
    for name, dtype, shape in layout:
        last = first + math.prod(shape) * np.dtype(dtype).itemsize
        arrays[name] = content[first:last].copy().view(dtype).reshape(shape)
        first = last
    return arrays


def digest(arrays: Mapping[str, np.ndarray], facts: Facts) -> str:
    """Return the SHA-256 of arrays, their names, dtypes and shapes, and of facts."""
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def difference(saved: Mapping[str, Any], asked: Mapping[str, Any], where: str = "") -> str:
    """Return the first setting in which two identities differ, in words; nothing if they are the same."""
    for name in dict.fromkeys((*asked, *saved)):
        was, now = saved.get(name), asked.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            if inner := difference(was, now, f"{where}{name}."):
                return inner
        elif json.dumps(was) != json.dumps(now):
            return f"its {where}{name} is {json.dumps(was)}, not {json.dumps(now)}"
    return ""
