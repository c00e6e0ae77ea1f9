"""Where a step's time goes: `python -m tests.bench.thunks`, the operations of XLA's CPU by their total time.

With `--trial NAME` as one of `tests.bench.trials` has it; `copies` and `wide` together are the plain first version.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from jax_impl import data, draws, recipes, train
from tests.bench.trials import TRIALS

STEPS = 100
WORKERS = "XLAEigen"  # what the threads that compute are called in a profile
SHOWN = 20


def profiled(recipe_name: str) -> Any:
    """Return the profile of some steps, compiled and warmed up before."""
    recipe, mnist = recipes.named(recipe_name), data.load()
    params, orders = draws.native(recipe, len(mnist.train_images))
    order = next(orders)[:STEPS]
    settings = (recipe.layers, recipe.dtype, recipe.activation, recipe.optimizer)
    epoch = train.compiled_epoch(*settings, mnist.train_images.shape, order.shape)
    rest = jax.tree.map(jax.numpy.asarray, (mnist.train_images, mnist.train_labels, order))
    state, _ = epoch(train.start(params, recipe.learning_rate), *rest)
    jax.block_until_ready(state)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(epoch(state, *rest))
        (path,) = Path(folder).rglob("*.xplane.pb")
        return jax.profiler.ProfileData.from_file(str(path))


def operations(profile: Any) -> Iterator[tuple[str, float]]:
    """Yield the name and the microseconds of every operation on a thread that computes."""
    for plane in profile.planes:
        for line in plane.lines:
            if WORKERS in line.name:
                yield from ((event.name, event.duration_ns / 1e3) for event in line.events)


def main(
    recipe: Annotated[str, tyro.conf.arg(help="What to train.")] = recipes.DEFAULT,
    trial: Annotated[tuple[str, ...], tyro.conf.arg(help="Of tests.bench.trials, one or more.")] = (),
) -> None:
    """Print the operations of a step that take longest."""
    found = defaultdict(list)
    with ExitStack() as stack:
        for name in trial:
            stack.enter_context(TRIALS[name][1]())
        for name, microseconds in operations(profiled(recipe)):
            if "::" not in name and not name.startswith("end: "):
                found[name].append(microseconds)
    table = Table(title=f"{recipe}: {STEPS} steps, microseconds")
    for heading in ("operation", "a step", "median of one", "times seen"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")
    for name, values in sorted(found.items(), key=lambda item: -sum(item[1]))[:SHOWN]:
        table.add_row(name, f"{sum(values) / STEPS:.1f}", f"{np.median(values):.1f}", str(len(values)))
    Console(width=100).print(table)


if __name__ == "__main__":
    tyro.cli(main)
