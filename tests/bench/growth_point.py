"""One point of how the cost grows, in a process of its own: `python -m tests.bench.growth_point --layers 784 64 64 10`.

Prints a line of JSON. The peak of memory is the process's, so that each point needs one.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jax_impl import train
from jax_impl.model import init_params
from jax_impl.recipes import Recipe
from tests.bench import floor

IMAGES = 60_000
ROUNDS = 3  # in which training and floor take turns
LEAST = 3  # steps of a round
PARTS = ("argument", "output", "alias", "temp")  # what XLA plans, by the names of its own statistics


def peak() -> int:
    """Return the most memory that this process has had resident, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def seconds_of(run: Callable[[], Any]) -> float:
    """Return the seconds until what `run` returns is there."""
    started = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - started


class Training:
    """A network on images of noise, trained for a number of steps at a time."""

    def __init__(self, layers: tuple[int, ...], batch: int) -> None:
        recipe = Recipe(name="growth", layers=layers, batch_size=batch)
        self.layers, self.batch, self.rng = layers, batch, np.random.default_rng(0)
        self.images = jnp.asarray(self.rng.integers(0, 256, (IMAGES, layers[0]), np.uint8))
        self.labels = jnp.asarray(self.rng.integers(0, layers[-1], IMAGES, np.int32))
        self.state = train.start(init_params(recipe, key=jax.random.key(0)), recipe.learning_rate)

    def compile(self, steps: int) -> jax.stages.Compiled:
        """Compile so many steps, and draw their batches."""
        self.order = jnp.asarray(self.rng.integers(0, IMAGES, (steps, self.batch), np.int32))
        shapes = (self.images.shape, self.order.shape)
        self.epoch = train.compiled_epoch(self.layers, "float32", "relu", "adam", *shapes)
        return self.epoch

    def run(self) -> Any:
        """Train for as many steps as were compiled; return the losses."""
        self.state, losses = self.epoch(self.state, self.images, self.labels, self.order)
        return losses


def steps_of(training: Training, seconds: float) -> int:
    """Return how many steps a round has, for all rounds to take about so many seconds."""
    training.compile(LEAST)
    seconds_of(training.run)  # warms up
    step = min(seconds_of(training.run) for _ in range(ROUNDS)) / LEAST
    return min(max(int(seconds / ROUNDS / step), LEAST), max(IMAGES // training.batch, LEAST))


def measure(layers: tuple[int, ...], batch: int, seconds: float) -> dict[str, Any]:
    """Return the seconds of an epoch, of training and of the floor, the memory in bytes, and the arithmetic in FLOP."""
    training = Training(layers, batch)
    at_start = peak()
    steps = steps_of(training, seconds)
    plan = training.compile(steps).memory_analysis()
    seconds_of(training.run)
    at_peak = peak()  # before there is a floor, whose memory is not the training's
    run_floor = floor.compiled_steps(layers, batch, steps)
    operands = jax.tree.map(jnp.asarray, floor.operands(layers, batch))
    seconds_of(lambda: run_floor(*operands))
    rounds = [(seconds_of(training.run), seconds_of(lambda: run_floor(*operands))) for _ in range(ROUNDS)]
    steps_an_epoch = IMAGES // batch
    epoch, least = (statistics.median(values) * steps_an_epoch / steps for values in zip(*rounds, strict=True))
    flop = floor.flop(layers, batch) * steps_an_epoch
    planned = {part: getattr(plan, f"{part}_size_in_bytes") for part in PARTS}
    return {
        "layers": layers,
        "batch": batch,
        "steps": steps,
        "rounds": [list(values) for values in rounds],
        "seconds": epoch,
        "floor_seconds": least,
        "flop": flop,
        "gflop_per_second": flop / epoch / 1e9,
        "floor_gflop_per_second": flop / least / 1e9,
        "start_bytes": at_start,
        "peak_bytes": at_peak,
        "planned": planned,
        "planned_bytes": planned["argument"] + planned["output"] - planned["alias"] + planned["temp"],
        "state_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(training.state)),
    }


def main(
    layers: Annotated[tuple[int, ...], tyro.conf.arg(help="Units, from the pixels to the classes.")],
    batch: Annotated[int, tyro.conf.arg(help="Images per step.")] = 100,
    seconds: Annotated[float, tyro.conf.arg(help="Of training that is measured, about.")] = 2.0,
) -> None:
    """Measure a point and print it."""
    print(json.dumps(measure(layers, batch, seconds)))


if __name__ == "__main__":
    tyro.cli(main)
