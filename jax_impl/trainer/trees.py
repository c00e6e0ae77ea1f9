"""Trees of arrays with an axis of runs or seeds."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp


def stacked(trees: Sequence[Any]) -> Any:
    """Return one tree whose leaves have a new first axis with one entry per tree."""
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trees)
