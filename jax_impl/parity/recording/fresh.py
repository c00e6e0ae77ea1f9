"""Samples of the port's fresh initial weights, in the reference's names and layout."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from jax_impl.parity.arrays import FRESH_LIMIT, Array, Store, sampled
from jax_impl.parity.mapping import Pair, restored


def fresh_leaves(
    store: Store, draw: Callable[[int], dict[str, Array]], pairs: Sequence[Pair], seeds: int
) -> dict[str, Any]:
    """Store samples of the models that `draw` makes from the seeds 0 … seeds - 1, and which leaves are equal in all."""
    models = [restored(pairs, draw(seed)) for seed in range(seeds)]
    names = [name for name in models[0] if models[0][name].size]
    rows = {name: np.stack([sampled(model[name], FRESH_LIMIT).reshape(-1) for model in models]) for name in names}
    varied = [name for name in names if rows[name].shape[1] > 1 and np.ptp(rows[name]) > 0]
    equal = [
        [a, b]
        for a, b in combinations(varied, 2)
        if models[0][a].shape == models[0][b].shape and np.array_equal(rows[a], rows[b])
    ]
    return {
        "seeds": seeds,
        "leaves": {name: store.reference("fresh", array) for name, array in rows.items()},
        "equal": equal,
    }
