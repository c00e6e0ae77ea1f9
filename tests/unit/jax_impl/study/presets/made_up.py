"""Made-up numbers in the shape of what the presets measure."""

from typing import Any

import numpy as np

from jax_impl.study.cells import POINTS
from jax_impl.study.presets.preset import Preset


def made_up_data(preset: Preset, seed: int = 0) -> dict[str, Any]:
    """Numbers of the right shape for a preset's figure and checks, of three seeds."""
    rng = np.random.default_rng(seed)

    def rows(*shape: int) -> Any:
        return rng.uniform(0.1, 1, shape).tolist()

    data: dict[str, Any] = {}
    for label, part in preset.parts.items():
        depth, epochs = len(part.recipe.layers) - 1, max(1, part.recipe.epochs)
        data[label] = {
            "measured": {name: rows(3, depth) for name in ("jacobian", "variance", "gradient_variance")},
            "steps": [0, 50, 100] if "sigmoid" in label else [30 + seed, 40, None],
            "limit": 300,
            "labels": list(range(1, epochs + 1)),
            "mean": rows(3, 3, depth),
            "loss": rows(3, POINTS * epochs),
            "pre_variance": rows(3, depth),
            "cost": rows(3, epochs),
            "test_accuracy": rows(3, epochs),
            "kernel_gradient": rows(3, epochs + 1, depth),
            "bias_gradient": rows(3, epochs + 1, depth),
            "unit_spread": rows(3, epochs + 1, depth - 1),
        }
    return data
