"""Rung 12: training from the same weights on the same batches, step by step."""

import numpy as np

from jax_impl import compare
from tests.parity import jax_side, torch_side
from tests.parity.ladder import QUICK, Measured, Size

TITLE = "trajectory"
QUESTION = "Do both sides walk the same path, and for how long?"

# Float64 proves the algorithm: two correct ports differ by rounding alone until chaos has doubled it often enough.
# Measured: 4e-16 in epoch 1, 6e-16 in epoch 4, 3e-12 in epoch 8, 2e-8 in epoch 10. Float32 cannot prove it: Adam
# normalises tiny gradients, and a correct port is 1e-2 off in single losses within an epoch.
FLOAT64_TOLERANCES = ((0, 2_400, 1e-12), (2_400, 4_800, 1e-9))
FLOAT32_STEPS, FLOAT32_TOLERANCE = 10, 1e-4


def curves(dtype: str, steps: int, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """The losses of both sides over so many steps."""
    images, labels, *_ = jax_side.load_part(size.train_images)
    epochs = -(-steps // (len(images) // 100))
    order = torch_side.orders("mnist_nn_xavier", len(images), epochs)
    order = order.reshape(-1, 100)[:steps].astype(np.int32)
    tensors = {name: tensor.astype(dtype) for name, tensor in torch_side.initial("mnist_nn_xavier").items()}
    return jax_side.losses(tensors, images, labels, order), torch_side.losses(tensors, images, labels, order)


def measure(size: Size) -> Measured:
    comparisons: list[compare.Comparison] = []
    ours, theirs = curves("float64", size.float64_steps, size)
    tolerances = []
    for start, end, tolerance in FLOAT64_TOLERANCES:
        if start < len(ours):
            name = f"float64, steps {start + 1:,} to {min(end, len(ours)):,}"
            comparisons.append(compare.trajectory(ours[start:end], theirs[start:end], tolerance=tolerance, name=name))
            tolerances.append({"dtype": "float64", "from": start, "to": min(end, len(ours)), "tolerance": tolerance})
    ours32, theirs32 = curves("float32", size.float32_steps, size)
    comparisons.append(
        compare.trajectory(
            ours32, theirs32, steps=FLOAT32_STEPS, tolerance=FLOAT32_TOLERANCE, name=f"float32, {FLOAT32_STEPS} steps"
        )
    )
    tolerances.append({"dtype": "float32", "from": 0, "to": FLOAT32_STEPS, "tolerance": FLOAT32_TOLERANCE})
    data = {
        "float64": np.abs(ours - theirs).tolist(),
        "float32": np.abs(ours32.astype(np.float64) - theirs32).tolist(),
        "tolerances": tolerances,
    }
    return Measured(comparisons=comparisons, data=data)


def test_rung() -> None:
    measure(QUICK).require()
