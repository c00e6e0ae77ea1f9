"""The commands `train` of both packages, on the device and on the CPU, and what a seed draws on each.

All run at the same time: nothing here is a timing.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from jax_impl import compare, draws, recipes, train
from jax_impl.draws import Draws
from jax_impl.recipes import Recipe
from jax_impl.starts.replayed import replayed
from tests.bench.gpu_setup import RECIPE, Row, Settings, ask, mnist_part

CHILD = "draws"
ON_CPU = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
PLACES = {"device": {}, "CPU": ON_CPU}
COMMANDS = {
    "jax_impl train": ("jax_impl", "train"),
    "jax_impl train --stream jax": ("jax_impl", "train", "--stream=jax"),
    "torch_ref train": ("torch_ref", "train"),
}
COMPARED = (  # pairs of command and place
    (("jax_impl train", "device"), ("jax_impl train", "CPU")),
    (("torch_ref train", "device"), ("torch_ref train", "CPU")),
    (("jax_impl train", "device"), ("torch_ref train", "device")),
)
# Single losses drift apart in float32, but two correct runs from the same draws have costs within 0.3 % in the first
# three epochs. The tolerance is that of rung 12.
EPOCHS, COST = 3, 0.03
# Ten seeds of one recipe end with a standard deviation of 0.10 percentage points.
ACCURACY = 0.006
# JAX's own draws: a uniform draw is scaled to its bounds by a product and a sum, which the device may round once.
ROUNDING = 3e-7


@dataclass(frozen=True)
class Run:
    """A command that was started."""

    folder: Path
    process: "subprocess.Popen[str]"

    def row(self) -> Row:
        """Wait for its end; return what it wrote."""
        said, _ = self.process.communicate()
        if self.process.returncode:
            return {"failed": f"exit status {self.process.returncode}: {said.strip().splitlines()[-1:]}"}
        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        epochs = [json.loads(line) for line in lines]
        return {
            "costs": [epoch["cost"] for epoch in epochs],
            "accuracies": [epoch["test_accuracy"] for epoch in epochs],
            "training": sum(epoch["seconds"] for epoch in epochs),
        }


def measure(settings: Settings) -> Iterator[Row]:
    """Run the commands everywhere; yield a row for each, and then how far apart they are."""
    yield from ask(settings, CHILD)
    with tempfile.TemporaryDirectory() as root:
        started = {
            (name, place): start(settings, command, Path(root) / f"{place} {name}", variables)
            for name, command in COMMANDS.items()
            for place, variables in PLACES.items()
        }
        found = {key: run.row() for key, run in started.items()}
    for (name, place), row in found.items():
        yield {"command": name, "place": place} | row
    for one, other in COMPARED:
        if "costs" in found[one] and "costs" in found[other]:
            yield {"compared": f"{' on the '.join(one)}, with {' on the '.join(other)}"} | apart(
                found[one], found[other]
            )


def start(settings: Settings, command: tuple[str, ...], folder: Path, variables: dict[str, str]) -> Run:
    """Start a command."""
    options = (RECIPE, f"--epochs={settings.epochs}", f"--out={folder}")
    process = subprocess.Popen(
        [sys.executable, "-m", *command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | variables,
    )
    settings.end_in_time(process)
    return Run(folder, process)


def apart(one: Row, other: Row) -> Row:
    """Return how far apart two runs from the same draws are, and whether that is rounding."""
    costs, others = np.array(one["costs"]), np.array(other["costs"])
    relative = np.abs(costs - others) / others
    accuracy = abs(one["accuracies"][-1] - other["accuracies"][-1])
    return {
        "apart": float(relative[:EPOCHS].max()),
        "accuracy apart": accuracy,
        "passed": bool(relative[:EPOCHS].max() <= COST and accuracy <= ACCURACY),
    }


def draws_rows(settings: Settings) -> Iterator[Row]:
    """Yield for each stream how far the weights and orders of the device are from those of the CPU."""
    import jax

    recipe, mnist = recipes.named(RECIPE), mnist_part(settings.images)
    for stream, drawn in (("torch", replayed), ("jax", draws.native)):
        here = held(recipe, drawn(recipe, len(mnist.train_images)))
        with jax.default_device(jax.devices("cpu")[0]):
            there = held(recipe, drawn(recipe, len(mnist.train_images)))
        for name, tolerance in (("weights", ROUNDING if stream == "jax" else 0.0), ("orders", 0.0)):
            largest = compare.max_relative(here[name], there[name], tolerance=tolerance)
            compared = f"{name} of --stream {stream} on the device, with those on the CPU"
            yield {"compared": compared, "apart": largest.measured, "passed": largest.passed}


def held(recipe: Recipe, of_run: Draws) -> dict[str, list[Any]]:
    """Return weights and the first three orders as the default device holds them."""
    import jax
    import jax.numpy as jnp

    params = train.start(of_run.params, recipe.learning_rate).params
    orders = [jnp.asarray(order) for order in islice(of_run.orders, 3)]
    found = {"weights": jax.tree.leaves(params), "orders": orders}
    return {name: [np.asarray(array) for array in arrays] for name, arrays in found.items()}
