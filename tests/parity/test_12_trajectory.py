"""Rung 12: the training loops of both sides, from the same weights on the same batches.

Both run what their command `train` runs: `jax_impl.train.fit` and `torch_ref.train.fit`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from jax_impl import compare
from jax_impl.compare import Comparison
from tests.parity import jax_side, torch_side
from tests.parity.jax_side import Epoch
from tests.parity.ladder import QUICK, Measured, Size
from tests.parity.records import judged

TITLE = "trajectory"
QUESTION = "Do both training loops take the same path, step by step and epoch by epoch, and for how long?"
RECIPE = "mnist_nn_xavier"

# Float64 proves the algorithm: two correct ports differ only by rounding, until chaos has doubled it often enough.
# Losses, measured: 4e-16 in epoch 1, 6e-16 in epoch 4, 3e-12 in epoch 8, 2e-8 in epoch 10.
FLOAT64_TOLERANCES = ((0, 2_400, 1e-12), (2_400, 4_800, 1e-9))
# Parameters and Adam's moments after an epoch, relative L2, as a multiple of the losses' tolerance. Adam divides by
# |gradient| + 1e-8, so where a gradient is that small, its rounding error of 1e-18 moves a weight by 1e-3 · 1e-10 in
# every step: 2e-12 of a typical weight. Measured: 1e-14 up to epoch 4, 9e-12 in epoch 8.
STATE_FACTOR = 1e3
# Float32 cannot prove it. Where a pre-activation is rounded to the other side of a ReLU's kink, Adam may turn the
# gradient of a single image into a full step, 1e-3, of all weights of a hidden unit. One such unit changes an image's
# logits by about 1e-3 · 100 (inputs) · 0.06 (its outgoing weights) = 6e-3, and a mean loss by a fraction of that. In
# ten steps about one image in five meets a kink. Measured: 5e-6 without a kink, 9e-5 with one.
FLOAT32_STEPS, FLOAT32_TOLERANCE = 10, 1e-3
# After that, single losses differ, but the costs of whole epochs stay close: measured within 0.3 % in the first three.
# This excludes only gross mistakes that float64 does not have.
FLOAT32_EPOCHS, FLOAT32_COST = 3, 0.03


def measure(size: Size) -> Measured:
    parts = [measure_in(dtype, size) for dtype in ("float64", "float32")]
    data = {name: values for part in parts for name, values in part.data.items()}
    data["tolerances"] = [judged for part in parts for judged in part.data["tolerances"]]
    comparisons = [one for part in parts for one in part.comparisons]
    return Measured(comparisons=comparisons + judged(size.recipes, ["float64"], 12, 13), data=data)


def measure_in(dtype: str, size: Size) -> Measured:
    """Run both loops in one dtype: `fit` once with whole epochs, and once with an epoch for each batch."""
    mnist = jax_side.load_part(size.train_images, size.test_images)
    tensors = {name: tensor.astype(dtype) for name, tensor in torch_side.initial(RECIPE).items()}
    epochs = size.path_epochs if dtype == "float64" else min(size.path_epochs, FLOAT32_EPOCHS)
    # One order more than there are epochs: a loop that trains too long must be able to do so.
    orders = torch_side.orders(RECIPE, size.train_images, epochs + 1).astype(np.int32)
    ours, later = jax_side.epochs(RECIPE, mnist, tensors, orders, epochs=epochs)
    theirs = torch_side.epochs(RECIPE, size.train_images, size.test_images, epochs=epochs, dtype=dtype)
    comparisons = same_settings(ours, theirs, dtype)
    comparisons.append(compare.exact(tree(later), tree(ours), name=f"{dtype}: later epochs change no yielded one"))
    if dtype == "float64":
        comparisons += same_epochs(ours, theirs, steps=orders.shape[1])
    else:
        costs = [np.array([one.cost for one in side]) for side in (ours, theirs)]
        name = f"float32: costs, epochs 1 to {epochs}"
        comparisons.append(compare.allclose(*costs, rtol=FLOAT32_COST, name=name))

    expected = np.concatenate([one.losses for one in theirs])
    steps = len(expected) if dtype == "float64" else size.float32_steps
    losses = jax_side.losses(RECIPE, mnist, tensors, orders.reshape(-1, orders.shape[-1])[:steps])
    tolerances = []
    for start, end, tolerance in spans(dtype, steps):
        name = f"{dtype}: losses of steps {start + 1:,} to {end:,}"
        pair = losses[start:end], expected[start:end]
        comparisons.append(compare.trajectory(*pair, tolerance=tolerance, name=name))
        tolerances.append({"dtype": dtype, "from": start, "to": end, "tolerance": tolerance})
    apart = [abs(float(a) - b) for a, b in zip(losses, expected, strict=False)]
    return Measured(comparisons=comparisons, data={dtype: apart, "tolerances": tolerances})


def spans(dtype: str, steps: int) -> list[tuple[int, int, float]]:
    """Return which steps are judged, from and to, and their tolerance."""
    if dtype == "float32":
        return [(0, FLOAT32_STEPS, FLOAT32_TOLERANCE)]
    return [(start, min(end, steps), tolerance) for start, end, tolerance in FLOAT64_TOLERANCES if start < steps]


def same_settings(ours: Sequence[Epoch], theirs: Sequence[Epoch], dtype: str) -> list[Comparison]:
    """Compare everything that rounding does not change: numbers of epochs and steps, learning rates, precision."""

    def numbers(epochs: Sequence[Epoch]) -> dict[str, np.ndarray]:
        return {"epoch": np.array([one.number for one in epochs]), "steps": np.array([one.steps for one in epochs])}

    rates = [np.array([one.learning_rate for one in epochs]) for epochs in (ours, theirs)]
    return [
        compare.exact(numbers(ours), numbers(theirs), name=f"{dtype}: epochs, and the steps that Adam has counted"),
        compare.exact(rates[0], rates[1].astype(dtype), name=f"{dtype}: learning rate after each epoch"),
        compare.exact(bits(tree(ours)), bits(tree(theirs)), name=f"{dtype}: bits of parameters and moments"),
    ]


def same_epochs(ours: Sequence[Epoch], theirs: Sequence[Epoch], *, steps: int) -> list[Comparison]:
    """Compare what was recorded and yielded after each epoch of `steps` steps, in float64."""
    accuracies = [np.array([one.accuracy for one in epochs]) for epochs in (ours, theirs)]
    found = [compare.exact(*accuracies, name="float64: test accuracy after each epoch")]
    costs = [np.array([one.cost for one in epochs]) for epochs in (ours, theirs)]
    for start, end, tolerance in FLOAT64_TOLERANCES:
        first, last = start // steps, min(end // steps, len(theirs))
        if first >= last:
            continue
        span = f"{first + 1} to {last}"
        found.append(
            compare.max_abs(*(c[first:last] for c in costs), tolerance=tolerance, name=f"float64: costs, epochs {span}")
        )
        trees = [tree(epochs[first:last]) for epochs in (ours, theirs)]
        found.append(
            compare.relative_l2(*trees, tolerance=STATE_FACTOR * tolerance, name=f"float64: state, epochs {span}")
        )
    return found


def tree(epochs: Sequence[Epoch]) -> dict[str, Any]:
    """Return the parameters and Adam's moments after each epoch."""
    return {
        f"epoch {one.number}": {
            "params": one.params,
            "first moment": one.first_moment,
            "second moment": one.second_moment,
        }
        for one in epochs
    }


def bits(tree: Any) -> Any:
    """Return the size of each leaf's numbers in bits: 32 or 64."""
    if isinstance(tree, dict):
        return {name: bits(child) for name, child in tree.items()}
    return np.array(8 * tree.dtype.itemsize)


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_rung(dtype: str) -> None:
    measure_in(dtype, QUICK).require()


def test_the_recorded_steps() -> None:
    Measured(comparisons=judged(QUICK.recipes, ["float64"], 12, 13)).require()
