"""Where runs and batches live: one mesh over all devices, of this process and of all that take part.

Its axis `runs` holds trainings that know nothing of each other, its axis `data` the images of each batch. A mesh of
None is the one device of an ordinary run, and then all of this is the identity. Every process runs the same program;
what it hands over and gets back are the rows of the runs that its own devices train.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int32

from jax_impl.errors import UserError

RUNS, DATA = "runs", "data"
CGROUP = Path("/sys/fs/cgroup/memory.max")
PADDING = -1  # in an order of batches: no image
SIDE_BY_SIDE = 64  # runs of a small network that an accelerator trains in little more time than one


def mesh_for(*, runs: int = 1, data: bool = False) -> Mesh | None:
    """Return the mesh for so many runs over all devices, or one whose devices share the images of each batch.

    No device is left without a run of its own, and one device alone needs no mesh.

    Raises:
        UserError: Processes have unlike numbers of devices.
    """
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    if len(devices) == 1:
        return None
    if len(devices) != jax.process_count() * jax.local_device_count():
        raise UserError(f"all processes must have equally many devices, got {len(devices)} in {jax.process_count()}")
    if data:
        return Mesh(np.array(devices).reshape(1, -1), (RUNS, DATA))
    if jax.process_count() == 1:
        devices = devices[: min(runs, len(devices))]
    return Mesh(np.array(devices).reshape(-1, 1), (RUNS, DATA)) if len(devices) > 1 else None


def mine(count: int, mesh: Mesh | None) -> list[int]:
    """Return which of `count` runs the devices of this process train, every process equally many.

    Where the runs do not share out evenly, the last one stands in for those that are missing.
    """
    if mesh is None:
        return list(range(count))
    share = -(-count // mesh.shape[RUNS])  # rounded up
    rows = [row for row, device in enumerate(mesh.devices[:, 0]) if device.process_index == jax.process_index()]
    return [min(run, count - 1) for row in rows for run in range(row * share, (row + 1) * share)]


def side_by_side(mesh: Mesh | None) -> bool:
    """Return whether runs gain by training at the same time: not on one CPU, whose cores one run keeps busy."""
    return mesh is not None or jax.default_backend() != "cpu"


def over_runs(function: Callable[..., Any], n_shared: int) -> Callable[..., Any]:
    """Return `function` of many runs: its first and its last argument have one entry a run, those between are shared.

    An accelerator computes the runs of a device side by side (`jax.vmap`), a CPU one after the other (`jax.lax.map`),
    so that each is what it is alone, to the last bit.
    """
    if jax.default_backend() != "cpu":
        return jax.vmap(function, in_axes=(0, *[None] * n_shared, 0))

    def in_turn(first: Any, *others: Any) -> Any:
        *shared, last = others
        return jax.lax.map(lambda both: function(both[0], *shared, both[1]), (first, last))

    return in_turn


def sharded(function: Callable[..., Any], mesh: Mesh | None, ins: Sequence[Any], outs: Any) -> Callable[..., Any]:
    """Return `function` of the parts that each device holds; `ins` and `outs` name the axes that are split."""
    if mesh is None:
        return function
    return jax.shard_map(function, mesh=mesh, in_specs=tuple(ins), out_specs=outs)


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """Put the same arrays on every device."""
    return _placed(tree, mesh, PartitionSpec())


def by_run(tree: Any, mesh: Mesh | None) -> Any:
    """Put the rows of this process's runs on its devices, as its part of arrays of all runs."""
    if mesh is None:
        return jax.tree.map(jnp.asarray, tree)
    sharding = NamedSharding(mesh, PartitionSpec(RUNS))
    n_devices: int = mesh.shape[RUNS]
    processes = n_devices // len(mine(n_devices, mesh))

    def place(leaf: Any) -> jax.Array:
        rows = np.asarray(leaf)
        shape = (processes * len(rows), *rows.shape[1:])
        whole: jax.Array = jax.make_array_from_process_local_data(sharding, rows, shape)
        return whole

    return jax.tree.map(place, tree)


def shared_out(batch_size: int, mesh: Mesh) -> int:
    """Return the images of a batch with the padding that lets every device have equally many."""
    parts: int = mesh.shape[DATA]
    return -(-batch_size // parts) * parts


def by_batch(order: Int32[np.ndarray, "steps batch"], mesh: Mesh | None) -> Any:
    """Share the images of every batch out; where they do not share out evenly, some devices get `PADDING`."""
    if mesh is None:
        return jnp.asarray(order)
    missing = shared_out(order.shape[1], mesh) - order.shape[1]
    padded = np.pad(order, ((0, 0), (0, missing)), constant_values=PADDING)
    return _placed(padded, mesh, PartitionSpec(None, DATA))


def shaped(tree: Any, mesh: Mesh | None, spec: PartitionSpec) -> Any:
    """Return shapes that say, too, how their arrays lie on the mesh."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def rows(array: jax.Array) -> np.ndarray:
    """Return the rows of this process's runs."""
    parts = {shard.index[0].start or 0: shard.data for shard in array.addressable_shards}
    return np.concatenate([np.asarray(parts[start]) for start in sorted(parts)])


def gathered(pieces: list[Any]) -> list[Any]:
    """Return the pieces of all processes in the order of their numbers; a piece is what JSON can spell."""
    if jax.process_count() == 1:
        return pieces
    text = np.frombuffer(json.dumps(pieces).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array([len(text)])).ravel()
    texts = multihost_utils.process_allgather(np.pad(text, (0, int(lengths.max()) - len(text))))
    return [piece for text, length in zip(texts, lengths, strict=True) for piece in json.loads(text[:length].tobytes())]


def from_first(value: Any) -> Any:
    """Return what the first process has, in all of them; it is what JSON can spell."""
    return gathered([value])[0]


def arrays_from_first(tree: Any) -> Any:
    """Return the arrays of the first process, in all of them; they are of one shape everywhere."""
    return jax.tree.map(np.array, multihost_utils.broadcast_one_to_all(tree))


def room() -> int:
    """Return how many runs it takes to keep all devices busy."""
    return jax.device_count() * (1 if jax.default_backend() == "cpu" else SIDE_BY_SIDE)


def workers() -> int:
    """Return how many train at the same time: accelerators, or hosts, whose CPU devices share the cores."""
    return jax.process_count() if jax.default_backend() == "cpu" else jax.device_count()


def memory() -> int:
    """Return the bytes of the device that JAX computes on; on a CPU, the machine's, or what a container allows."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if stats.get("bytes_limit"):
        return int(stats["bytes_limit"])
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(CGROUP.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no cgroup, or one that says "max"
        return physical


def _placed(tree: Any, mesh: Mesh | None, spec: PartitionSpec) -> Any:
    if mesh is None:
        return jax.tree.map(jnp.asarray, tree)
    sharding = NamedSharding(mesh, spec)

    def place(leaf: Any) -> jax.Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(place, tree)
