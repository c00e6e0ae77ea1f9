"""The epoch of several runs as one compiled program: `train.run_epoch` over an axis of runs, and over devices."""

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int32, UInt8

from jax_impl import model, train
from jax_impl.model import Params
from jax_impl.recipes import Recipe
from jax_impl.train import State
from jax_impl.trainer import devices
from jax_impl.trainer.devices import DATA, RUNS

RUNS_AT_ONCE = 16  # that an accelerator tests: their activations need more memory than those of a batch


def compiled(
    recipe: Recipe, state: State, images_shape: tuple[int, int], order_shape: tuple[int, int, int], mesh: Mesh | None
) -> jax.stages.Compiled:
    """Compile the epoch of runs that share a recipe's shapes, for orders (runs, steps, batch).

    Its arguments are a `State` with an axis of runs, images, labels and orders (of all processes). `state` gives the
    shapes and dtypes of a run; its number of runs does not matter. With a mesh, the devices share the runs or, if its
    axis `data` is longer than 1, the images of each batch.
    """
    leaves, structure = jax.tree.flatten(state)
    of_one_run = tuple((leaf.shape[1:], leaf.dtype.name) for leaf in leaves)
    return _compiled(structure, of_one_run, recipe.activation, recipe.optimizer, images_shape, order_shape, mesh)


@lru_cache(maxsize=16)
def _compiled(
    structure: Any,
    of_one_run: tuple[tuple[tuple[int, ...], str], ...],
    activation: str,
    optimizer: str,
    images_shape: tuple[int, int],
    order_shape: tuple[int, int, int],
    mesh: Mesh | None,
) -> jax.stages.Compiled:
    runs = order_shape[0]
    state = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct((runs, *shape), dtype) for shape, dtype in of_one_run])
    images = jax.ShapeDtypeStruct(images_shape, jnp.uint8), jax.ShapeDtypeStruct(images_shape[:1], jnp.int32)
    order = jax.ShapeDtypeStruct(order_shape, jnp.int32)
    one_run: Any = partial(train.run_epoch, activation=activation, optimizer=optimizer)
    everywhere, by_run, options = PartitionSpec(), PartitionSpec(RUNS), {}
    of_orders = by_run
    if mesh is None or mesh.shape[DATA] > 1:  # XLA divides the work where the orders are divided
        epoch = devices.over_runs(one_run, runs)
        by_run, of_orders = everywhere, batches_spec()
        options = {} if mesh is None else {"out_shardings": NamedSharding(mesh, everywhere)}
    else:
        epoch = jax.shard_map(
            devices.over_runs(one_run, runs // mesh.shape[RUNS]),
            mesh=mesh,
            in_specs=(by_run, everywhere, everywhere, by_run),
            out_specs=(by_run, by_run),
        )
    arguments = (
        devices.shapes(state, mesh, by_run),
        *devices.shapes(images, mesh, everywhere),
        devices.shapes(order, mesh, of_orders),
    )
    return train.compile_for(epoch, *arguments, **options)


def batches_spec() -> PartitionSpec:
    """Return how orders (runs, steps, batch) are divided among devices that share each batch."""
    return PartitionSpec(None, None, DATA)


@partial(jax.jit, static_argnames=("activation", "mesh"))
def count_correct(
    params: Params,
    images: UInt8[Array, "n pixels"],
    labels: Int32[Array, " n"],
    activation: str,
    mesh: Mesh | None,
) -> Int32[Array, " runs"]:
    """Return how many images each run classifies correctly. The parameters have an axis of runs."""

    def count_all(params: Params, images: Array, labels: Array) -> Any:
        of_run: Any = partial(model.count_correct, images=images, labels=labels, activation=activation)
        at_once = None if jax.default_backend() == "cpu" else RUNS_AT_ONCE
        return jax.lax.map(of_run, params, batch_size=at_once)

    count: Any = count_all
    if mesh is not None and mesh.shape[RUNS] > 1:
        by_run, everywhere = PartitionSpec(RUNS), PartitionSpec()
        count = jax.shard_map(count_all, mesh=mesh, in_specs=(by_run, everywhere, everywhere), out_specs=by_run)
    correct: Array = count(params, images, labels)
    return correct
