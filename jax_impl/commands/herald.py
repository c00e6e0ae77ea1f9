"""Says why a process of a cluster ended if it could not say so itself (`python -m jax_impl.commands.herald`).

When the process that the others meet at is gone, JAX's runtime aborts them from within, and no line of Python runs any
more. A herald stands beside each process, sees its end of a pipe close, and finds out who is missing.
"""

import socket
import sys

FAREWELL = "done"  # what a process writes that ends by itself
PATIENCE = 5.0  # seconds to wait for an answer of the first process


def last_words(rank: int, processes: int, coordinator: str) -> str:
    """Return one line about the end of process `rank`, which said no farewell."""
    host, _, port = coordinator.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except OSError:
        gone = 0
    else:
        gone = rank
    return f"error: process {gone} of {processes} is gone; start all of them again"


def main() -> None:
    """Wait for the pipe to close; then speak, unless there was a farewell."""
    rank, processes, coordinator = sys.argv[1:]
    if sys.stdin.read().strip() != FAREWELL:
        sys.stderr.write(last_words(int(rank), int(processes), coordinator) + "\n")


if __name__ == "__main__":
    main()
