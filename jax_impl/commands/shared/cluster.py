"""Running one command in several processes: how they find each other, and how they end together.

JAX's distributed runtime joins the processes and watches them: each sends heartbeats to process 0. When one dies or
hangs, the runtime aborts all others from C++ (exit code 134), where no Python code can print a message. So each process
prints what to do in that case before it joins. A collective that is running usually fails first, with an exception.

The command line imports this module, so it imports JAX only inside functions.
"""

import contextlib
from collections.abc import Callable, Iterator

from jax_impl.commands.options.study import Study
from jax_impl.commands.options.train import Train
from jax_impl.commands.shared.stopping import Stop
from jax_impl.commands.shared.terminal import complain
from jax_impl.errors import LARGEST, ArgumentError, Interrupted, UserError, require_integer

JOIN_TIMEOUT = 300  # seconds that the processes wait for each other at the start
HEARTBEAT_TIMEOUT = 20  # seconds without a heartbeat after which a process counts as dead; a busy machine delays some
LEAVE_TIMEOUT = 3600  # seconds that the others wait at the end for process 0, which writes the results


def check(command: Train | Study) -> None:
    """Check the options that say how to find the other processes.

    Raises:
        ArgumentError: One is out of range, or was given without --distributed.
    """
    for name in ("coordinator", "processes", "process_id"):
        if not command.distributed and getattr(command, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ArgumentError(f"{option} needs --distributed: add it, or drop {option}")
    host, _, port = (command.coordinator or "host:1").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ArgumentError(f"--coordinator must be HOST:PORT, got {command.coordinator!r}")
    if command.processes is not None:
        require_integer(command.processes, "--processes", 1)
    if command.process_id is not None and not 0 <= command.process_id < (command.processes or LARGEST):
        raise ArgumentError(f"--process-id must be from 0 to below --processes, got {command.process_id}")


@contextlib.contextmanager
def joined(command: Train | Study) -> Iterator[None]:
    """Join the other processes while the context lasts; do nothing without --distributed.

    At the end of the context every process waits for all others. After an exception none does: the caller must then
    leave by `os._exit`, since JAX's exit handler would wait. JAX ends the others with a non-zero exit code: at once if
    process 0 is the one that left, or else at their next collective, or after `HEARTBEAT_TIMEOUT`.

    Raises:
        ArgumentError: The options are incomplete, and JAX detects no cluster.
        UserError: The processes could not be joined, have different numbers of devices, or a collective failed because
            one of them is gone.
    """
    if not command.distributed:
        yield
        return
    import jax

    from jax_impl.trainer import devices, processes

    _join(command)
    try:
        devices.all_devices()  # raises if the processes have different numbers of devices
        processes.gathered([])  # connects the CPUs' collectives while all are here: later they wait for only 30 s
        complain(f"joined as process {jax.process_index()} of {jax.process_count()}")
        yield
    except Exception as error:
        # The collectives of a CPU raise ValueError when they fail while they are being dispatched.
        if isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error):
            raise UserError(
                f"a computation of all processes failed, probably because one of them is gone ({_first_line(error)}): "
                "start all of them again; finished cells and checkpoints are kept"
            ) from error
        raise
    jax.distributed.shutdown()


def _join(command: Train | Study) -> None:
    """Join the other processes. JAX detects an option that is None on Slurm, Kubernetes, Open MPI and TPU pods."""
    import jax

    jax.config.update("jax_enable_preemption_service", False)  # it would catch SIGTERM, which `Stop` handles
    complain(
        f"joining the other processes, for at most {JOIN_TIMEOUT} s; if JAX ends this process, now or later, another "
        "one is missing or gone: start all of them again; finished cells and checkpoints are kept"
    )
    try:
        jax.distributed.initialize(
            command.coordinator,
            command.processes,
            command.process_id,
            initialization_timeout=JOIN_TIMEOUT,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            shutdown_timeout_seconds=LEAVE_TIMEOUT,
        )
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            f"--distributed found no cluster to join ({error}): give --coordinator HOST:PORT, --processes and "
            "--process-id, or start it by Slurm, Kubernetes, Open MPI or on a TPU pod"
        ) from error
    except jax.errors.JaxRuntimeError as error:
        raise UserError(
            f"process 0 cannot listen at the coordinator's address ({_first_line(error)}): choose another port"
        ) from error


def raise_if_stopped(stop: Stop, save: Callable[[], None] = lambda: None) -> None:
    """Interrupt all processes if one of them was asked to stop. Every process must call this at the same point.

    Process 0 passes `save`, which completes its checkpoint; the others leave after that.

    Raises:
        Interrupted: One of the processes was asked to stop.
    """
    import jax

    from jax_impl.trainer import processes

    if reasons := [reason for reason in processes.gathered([stop.reason]) if reason]:
        save()
        jax.distributed.shutdown()  # waits until all are here, so that nobody is missed when the first one exits
        text, exit_code = reasons[0]
        raise Interrupted(text, exit_code=exit_code)


def leads() -> bool:
    """Return whether this is process 0, the only one that prints and writes."""
    import jax

    return jax.process_index() == 0


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
