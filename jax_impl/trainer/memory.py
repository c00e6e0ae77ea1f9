"""How many runs fit into a device's memory at the same time."""

from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.recipes import Recipe
from jax_impl.train import State
from jax_impl.trainer import devices, epochs
from jax_impl.trainer.devices import RUNS

GIB = 2**30
SHARE = 0.8  # of a device's memory; the rest is for test images, results and other programs


class Split(NamedTuple):
    """How many of a process's runs train at the same time."""

    runs: int
    at_once: int
    bytes: int  # on each device, as XLA plans them

    def __str__(self) -> str:
        """Return a line for a person."""
        return f"{self.runs} runs train {self.at_once} at a time, in {self.bytes / GIB:.2g} GiB of each device's memory"


def split(
    recipe: Recipe, state: State, mnist: Mnist, *, mesh: Mesh | None = None, max_bytes: float | None = None
) -> Split:
    """Return how many of this process's runs train at the same time, from the memory that XLA plans for them.

    `state` is that of all runs of this process, before training. `max_bytes` is the limit on each device; None for
    most of its memory.

    Raises:
        UserError: Not even one run per device fits.
    """
    runs = len(state.learning_rate)
    here = 1 if mesh is None else len(devices.local_runs(mesh.shape[RUNS], mesh))  # devices
    sharers = len(jax.local_devices()) if jax.default_backend() == "cpu" else 1  # devices that share one memory
    allowed = SHARE * devices.memory() / sharers if max_bytes is None else max_bytes
    steps = len(mnist.train_images) // recipe.batch_size
    share = -(-runs // here) if devices.side_by_side(mesh) else 1  # runs on each device
    while True:
        order_shape = (share if mesh is None else share * mesh.shape[RUNS], steps, recipe.batch_size)
        planned: Any = epochs.compiled(recipe, state, mnist.train_images.shape, order_shape, mesh).memory_analysis()
        needed = planned.argument_size_in_bytes + planned.temp_size_in_bytes + planned.output_size_in_bytes
        needed -= planned.alias_size_in_bytes
        if needed <= allowed:
            return Split(runs, min(share * here, runs), needed)
        if share == 1:
            raise UserError(
                f"one run of {recipe.name} needs {needed / GIB:.3g} GiB of a device's memory, more than the allowed "
                f"{allowed / GIB:.3g} GiB: use a smaller network or batch"
            )
        share = max(1, min(share - 1, int(share * allowed / needed)))
