"""Rung 11: ten steps of Adam on the same given gradients."""

import numpy as np

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "optimizer"
QUESTION = "Does Adam take the same steps for the same gradients?"

TOLERANCES = {"float32": 1e-6, "float64": 1e-12}  # relative L2; measured 8e-8 and 2e-16
STEPS = 10
LAYERS = {"linear1.weight": (20, 30), "linear1.bias": (20,), "linear2.weight": (10, 20), "linear2.bias": (10,)}


def given(dtype: str) -> tuple[jax_side.Tensors, list[jax_side.Tensors]]:
    """Return parameters, and gradients of all sizes from 1 to 1e-9, where epsilon matters, and 0."""
    rng = np.random.default_rng(11)
    tensors = {name: (0.05 * rng.standard_normal(shape)).astype(dtype) for name, shape in LAYERS.items()}
    scales = {name: 10.0 ** rng.uniform(-9, 0, shape) * (rng.random(shape) > 0.05) for name, shape in LAYERS.items()}
    steps = [
        {name: (scales[name] * rng.standard_normal(shape)).astype(dtype) for name, shape in LAYERS.items()}
        for _ in range(STEPS)
    ]
    return tensors, steps


def measure(size: Size) -> Measured:  # noqa: ARG001
    comparisons = []
    for dtype, tolerance in TOLERANCES.items():
        ours, theirs = (side.adam(*given(dtype)) for side in (jax_side, torch_side))
        for part in ("params", "first moment", "second moment"):
            name = f"{part} after {STEPS} steps, {dtype}"
            comparisons.append(compare.relative_l2(ours[part], theirs[part], tolerance=tolerance, name=name))
    return Measured(comparisons=comparisons)


def test_rung() -> None:
    measure(QUICK).require()
