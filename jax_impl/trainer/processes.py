"""Exchanging values between the processes of a run. One process alone exchanges nothing."""

import json
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def gathered(pieces: list[Any]) -> list[Any]:
    """Return the pieces of all processes, in the order of their numbers. A piece is plain data, as in JSON.

    Every process must call this, in the same order relative to other collective calls, or all wait forever.
    """
    if jax.process_count() == 1:
        return pieces
    text = np.frombuffer(json.dumps(pieces).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array([len(text)])).ravel()
    texts = multihost_utils.process_allgather(np.pad(text, (0, int(lengths.max()) - len(text))))
    return [piece for text, length in zip(texts, lengths, strict=True) for piece in json.loads(text[:length].tobytes())]


def from_first(value: Any) -> Any:
    """Return the first process's value in every process. It is plain data, as in JSON.

    Every process must call this, in the same order relative to other collective calls, or all wait forever.
    """
    return gathered([value])[0]


def arrays_from_first(tree: Any) -> Any:
    """Return the first process's arrays in every process. They have the same shapes everywhere.

    Every process must call this, in the same order relative to other collective calls, or all wait forever.
    """
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(np.array, multihost_utils.broadcast_one_to_all(tree))
