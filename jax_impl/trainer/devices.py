"""Where runs and batches live: one mesh over the devices of all processes.

Its axis `runs` holds independent trainings, its axis `data` the images of each batch. Without a mesh there is one
device, and these functions only convert arrays. Every process runs the same program; it passes and receives the rows of
the runs that its own devices train.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from jax_impl.errors import UserError

RUNS, DATA = "runs", "data"
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
SIDE_BY_SIDE = 64  # runs of a small network that an accelerator trains in little more time than one


def mesh_for_runs(runs: int, most: int | None = None) -> Mesh | None:
    """Return a mesh that divides `runs` runs among all devices, or None if one device suffices.

    A process without others uses at most `most` devices, for example because they share one memory.

    Raises:
        UserError: The processes have different numbers of devices.
    """
    devices = all_devices()
    if jax.process_count() == 1:
        devices = devices[: min(runs, len(devices), most or len(devices))]
    return Mesh(np.array(devices).reshape(-1, 1), (RUNS, DATA)) if len(devices) > 1 else None


def mesh_for_batches(batch_size: int) -> Mesh | None:
    """Return a mesh whose devices share each batch: as many as divide it. None if there is only one device.

    Raises:
        UserError: The processes have different numbers of devices, or the batch cannot be divided among them.
    """
    devices, processes = all_devices(), jax.process_count()
    if len(devices) == 1:
        return None
    local = len(devices) // processes
    shares = [count for count in range(local, 0, -1) if batch_size % (count * processes) == 0]
    if not shares:
        raise UserError(f"batch size must be a multiple of the {processes} processes, got {batch_size}")
    used = [device for place, device in enumerate(devices) if place % local < shares[0]]
    return Mesh(np.array(used).reshape(1, -1), (RUNS, DATA))


def all_devices() -> list[jax.Device]:
    """Return the devices of all processes, in the order of the processes.

    Raises:
        UserError: The processes have different numbers of devices.
    """
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    if len(devices) != jax.process_count() * jax.local_device_count():
        raise UserError(
            f"all processes must have the same number of devices, got {len(devices)} in {jax.process_count()}: start "
            "each with the same devices"
        )
    return devices


def local_runs(count: int, mesh: Mesh | None) -> list[int]:
    """Return which of `count` runs this process's devices train; every process gets the same number.

    If the runs cannot be divided evenly, the last run is repeated.
    """
    if mesh is None:
        return list(range(count))
    share = -(-count // mesh.shape[RUNS])  # rounded up
    own = np.vectorize(lambda device: device.process_index == jax.process_index())(mesh.devices)
    rows = np.flatnonzero(own.any(axis=1)).tolist()
    return [min(run, count - 1) for row in rows for run in range(row * share, (row + 1) * share)]


def side_by_side(mesh: Mesh | None) -> bool:
    """Return whether runs gain from training at the same time. On one CPU they do not: one run uses all cores."""
    return mesh is not None or jax.default_backend() != "cpu"


def over_runs(function: Callable[..., Any], runs: int) -> Callable[..., Any]:
    """Return `function` for `runs` runs: all arguments have an axis of runs but those in the middle.

    A CPU computes the runs one after the other (`jax.lax.map`), so that each has the bits of a single run. Another
    device computes them together (`jax.vmap`). One run needs neither.
    """

    def alone(first: Any, *others: Any) -> Any:
        *shared, last = others
        first, last = jax.tree.map(lambda leaf: leaf[0], (first, last))
        return jax.tree.map(lambda leaf: leaf[None], function(first, *shared, last))

    def in_turn(first: Any, *others: Any) -> Any:
        *shared, last = others
        return jax.lax.map(lambda both: function(both[0], *shared, both[1]), (first, last))

    def together(first: Any, *others: Any) -> Any:
        return jax.vmap(function, in_axes=(0, *[None] * (len(others) - 1), 0))(first, *others)

    if runs == 1:
        return alone
    return in_turn if jax.default_backend() == "cpu" else together


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """Put the same arrays on every device."""
    return placed(tree, mesh, PartitionSpec())


def by_run(tree: Any, mesh: Mesh | None) -> Any:
    """Put the rows of this process's runs on its devices, as its part of arrays of all runs. The arrays are copies."""
    if mesh is None:
        return jax.tree.map(jnp.array, tree)
    sharding = NamedSharding(mesh, PartitionSpec(RUNS))
    n_devices: int = mesh.shape[RUNS]
    processes = n_devices // len(local_runs(n_devices, mesh))

    def place(leaf: Any) -> jax.Array:
        rows = np.asarray(leaf)
        shape = (processes * len(rows), *rows.shape[1:])
        whole: jax.Array = jax.make_array_from_process_local_data(sharding, rows, shape)
        return whole

    return jax.tree.map(place, tree)


def placed(tree: Any, mesh: Mesh | None, spec: PartitionSpec) -> Any:
    """Put whole arrays, which every process holds, on the devices as `spec` divides them."""
    if mesh is None:
        return jax.tree.map(jnp.asarray, tree)
    sharding = NamedSharding(mesh, spec)

    def place(leaf: Any) -> jax.Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(place, tree)


def shapes(tree: Any, mesh: Mesh | None, spec: PartitionSpec) -> Any:
    """Return the shapes and dtypes of arrays that are divided as `spec` says."""
    sharding = None if mesh is None else NamedSharding(mesh, spec)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def local_rows(array: Array) -> np.ndarray:
    """Return a copy of the rows of this process's runs. An accelerator's copy is read-only."""
    by_start = {shard.index[0].start or 0: np.asarray(shard.data) for shard in array.addressable_shards}
    parts = [by_start[start] for start in sorted(by_start)]
    if len(parts) == 1 and jax.default_backend() != "cpu":
        return parts[0]  # a copy already; on a CPU it is a view of memory that the next epoch overwrites
    return np.concatenate(parts)


def runs_to_fill_devices() -> int:
    """Return how many runs keep all devices busy."""
    return jax.device_count() * (1 if jax.default_backend() == "cpu" else SIDE_BY_SIDE)


def workers() -> int:
    """Return how many train at the same time: accelerators, or hosts, because a host's CPU devices share its cores."""
    return jax.process_count() if jax.default_backend() == "cpu" else jax.device_count()


def memory() -> int:
    """Return the bytes of the default device's memory. A CPU has the host's."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return int(stats.get("bytes_limit") or 0) or host_memory()


def host_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or less if a limit is set.

    Limits are those of the process (`ulimit -v`) and of its container, or batch job: a cgroup of version 1 or 2.
    """
    limits = [int(psutil.virtual_memory().total)]
    if hasattr(psutil, "RLIMIT_AS"):  # on Linux
        of_process, _ = psutil.Process().rlimit(psutil.RLIMIT_AS)
        limits += [of_process] if of_process != psutil.RLIM_INFINITY else []
    for path in _cgroup_files():
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(path.read_text(encoding="ascii")))
    return int(min(limits))


def _cgroup_files() -> list[Path]:
    """Return the files that may hold a limit of memory: of this process's cgroup and of those around it."""
    try:
        lines = OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = []
    for _, controllers, own in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if controllers not in {"", "memory"}:
            continue
        root, name = (CGROUPS, "memory.max") if not controllers else (CGROUPS / "memory", "memory.limit_in_bytes")
        own_folder = root / own.lstrip("/")
        found += [folder / name for folder in (own_folder, *own_folder.parents) if folder.is_relative_to(root)]
    return found
