"""The options of the commands that several processes can share."""

from typing import Annotated, Protocol, runtime_checkable

from tyro.conf import arg

from jax_impl.commands.cluster import Cluster
from jax_impl.errors import ArgumentError


def _found(metavar: str, text: str) -> object:
    return arg(metavar=metavar, help=text, help_behavior_hint="(default: as the cluster says)")


Distributed = Annotated[
    bool,
    arg(help="Be one of several processes, on one host or many; Slurm, Kubernetes, Open MPI, TPU pods are detected."),
]
Coordinator = Annotated[str | None, _found("HOST:PORT", "With --distributed: where the first process is met.")]
Processes = Annotated[int | None, _found("N", "With --distributed: how many take part.")]
ProcessId = Annotated[int | None, _found("N", "With --distributed: of this one, from 0.")]


@runtime_checkable
class Clustered(Protocol):
    """A command that has these options."""

    @property
    def distributed(self) -> bool: ...  # noqa: D102
    @property
    def coordinator(self) -> str | None: ...  # noqa: D102
    @property
    def processes(self) -> int | None: ...  # noqa: D102
    @property
    def process_id(self) -> int | None: ...  # noqa: D102


def cluster_of(command: Clustered) -> Cluster | None:
    """Return the cluster to join, or None for an ordinary run.

    Raises:
        ArgumentError: A detail was given without --distributed, or one that cannot be.
    """
    details = {
        "--coordinator": command.coordinator,
        "--processes": command.processes,
        "--process-id": command.process_id,
    }
    given = [option for option, value in details.items() if value is not None]
    if not command.distributed:
        if given:
            raise ArgumentError(f"{given[0]} goes with --distributed")
        return None
    host, _, port = (command.coordinator or "host:1").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ArgumentError(f"--coordinator must be HOST:PORT, got {command.coordinator!r}")
    if command.processes is not None and command.processes < 1:
        raise ArgumentError(f"--processes must be an integer >= 1, got {command.processes}")
    if command.process_id is not None and not 0 <= command.process_id < (command.processes or 2**31):
        raise ArgumentError(f"--process-id must be from 0 to below --processes, got {command.process_id}")
    return Cluster(coordinator=command.coordinator, processes=command.processes, process_id=command.process_id)
