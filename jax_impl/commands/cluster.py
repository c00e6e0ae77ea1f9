"""How the processes of a run find each other, as plain data that the command line can make without JAX."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """How to find the other processes; what is None is what JAX detects: Slurm, Kubernetes, Open MPI, TPU pods."""

    coordinator: str | None = None  # host and port of the first process
    processes: int | None = None
    process_id: int | None = None  # from 0, of this one
