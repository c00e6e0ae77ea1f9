"""Taking part in a run of several processes, and noticing when one of the others does not any more.

JAX's distributed runtime joins the processes, of one host or many. Each then tells the others through the runtime's
key-value store that it is alive; who falls silent is named, and all end.
"""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax._src import distributed as runtime  # the store has no public name; Orbax takes it from here, too

from jax_impl.commands.cluster import Cluster
from jax_impl.commands.herald import FAREWELL
from jax_impl.commands.stopping import Stop
from jax_impl.errors import ArgumentError, Interrupted, UserError
from jax_impl.trainer import devices

BEAT = 1.0  # seconds between two signs of life
SILENT = 15.0  # seconds without one after which a process is taken for dead; a busy machine delays a few
JOINING = 300  # seconds that the processes wait for each other at the start
LEAVING = 30  # and at the end, when the first has written what there is to write
GRACE = 5.0  # seconds to end by itself when another ends by an error: it may be an error of all, and all say it
DONE = "done"  # the last sign of a process that finished
FAILED = "failed: "  # before the words of one that ends by an error


class Watch:
    """Tells the others that this process is alive, and calls `lost` with a line about the first that is not."""

    def __init__(self, client: Any, rank: int, processes: int, lost: Callable[[str], None]) -> None:
        self.client, self.rank, self.lost = client, rank, lost
        self.others = [other for other in range(processes) if other != rank]
        self.last = dict.fromkeys(self.others, ("", time.monotonic()))  # sign and when it was new
        self.ended, self.first_done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def end(self, sign: str) -> None:
        """Leave a last sign, and watch no more."""
        self.ended.set()
        self.thread.join()
        self._last_sign(sign)

    def _run(self) -> None:
        beats = 0
        while not self.ended.wait(BEAT):
            beats += 1
            try:
                self._say(str(beats))
                signs = dict(self.client.key_value_dir_get("alive/"))
            except jax.errors.JaxRuntimeError:
                count = len(self.others) + 1
                self.lost(f"process 0 of {count} is gone: the others met at it, and it cannot be reached")
                return
            word, patience = self._look(signs)
            if word:
                if not self.ended.wait(patience):
                    self._last_sign(f"{FAILED}{word}")
                    self.lost(word)
                return

    def _last_sign(self, sign: str) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # the store may be gone
            self._say(sign)
        if sign != DONE and self.rank == 0:
            time.sleep(GRACE + 3 * BEAT)  # the store goes with this process: first the others shall read the sign

    def _say(self, sign: str) -> None:
        self.client.key_value_set(f"alive/{self.rank}", sign, allow_overwrite=True)

    def _look(self, signs: dict[str, str]) -> tuple[str, float]:
        """Return what is wrong with one of the others, or nothing, and for how many seconds the own end is awaited."""
        now = time.monotonic()
        if signs.get("alive/0") == DONE:
            self.first_done.set()
        for other in self.others:
            sign = signs.get(f"alive/{other}", "")
            if sign.startswith(FAILED):
                return f"process {other} ended: {sign.removeprefix(FAILED)}", GRACE
            if sign != self.last[other][0]:
                self.last[other] = (sign, now)
            elif sign != DONE and now - self.last[other][1] > SILENT:
                return f"process {other} of {len(self.others) + 1} has given no sign of life for {SILENT:g} s", 0.0
        return "", 0.0


@contextlib.contextmanager
def joined(cluster: Cluster | None, lost: Callable[[str], None]) -> Iterator[None]:
    """Take part in a cluster for as long as the context lasts; None for an ordinary run.

    Args:
        cluster: How to find the others.
        lost: Called by another thread when one of them is gone; it must end this process, which may hang.

    Raises:
        ArgumentError: Too little was given, and JAX detects no cluster.
        UserError: The others could not be reached.
    """
    if cluster is None:
        yield
        return
    _meet(cluster)
    with _herald() as say_farewell:

        def gone(word: str) -> None:
            say_farewell()
            lost(word)

        watch = Watch(runtime.global_state.client, jax.process_index(), jax.process_count(), gone)
        watch.start()
        try:
            yield
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, UserError):
                # Most likely a computation of all failed since another one is gone, whom the watch is about to name.
                watch.thread.join(SILENT + GRACE + 5)
            watch.end(f"{FAILED}{_first_line(error)}")
            raise
        else:
            if watch.rank != 0:
                watch.first_done.wait()  # as long as it writes; if it is gone, the watch says so
            watch.end(DONE)
            jax.distributed.shutdown()
        finally:
            say_farewell()


@contextlib.contextmanager
def _herald() -> Iterator[Callable[[], None]]:
    """Let `herald` stand by; what is yielded tells it that all is well."""
    state = runtime.global_state
    options = (str(state.process_id), str(state.num_processes), str(state.coordinator_address))
    command = [sys.executable, "-m", "jax_impl.commands.herald", *options]
    # In a session of its own, so that a Ctrl-C in the terminal is left to the process itself.
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True) as herald:

        def say_farewell() -> None:
            with contextlib.suppress(BrokenPipeError, ValueError):  # it has gone, or heard it already
                herald.communicate(FAREWELL)

        yield say_farewell


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _meet(cluster: Cluster) -> None:
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself; see `heed`
    try:
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.processes,
            cluster.process_id,
            initialization_timeout=JOINING,
            shutdown_timeout_seconds=LEAVING,
        )
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            f"--distributed found no cluster to join ({error}): give --coordinator HOST:PORT, --processes and "
            "--process-id, or start it by Slurm, Kubernetes, Open MPI or on a TPU pod"
        ) from error
    except jax.errors.JaxRuntimeError as error:
        raise UserError(
            f"the other processes could not be reached ({_first_line(error)}): check --coordinator and that all were "
            f"started within {JOINING} s"
        ) from error


def heed(stop: Stop, save: Callable[[], None] = lambda: None) -> None:
    """End the computation if one of the processes is asked to: all of them together, once `save` has done its work.

    Raises:
        Interrupted: One of them is.
    """
    reasons = [reason for reason in devices.gathered([stop.reason]) if reason]
    if reasons:
        save()
        devices.gathered([""])  # the others stay until the first has saved
        text, exit_code = reasons[0]
        raise Interrupted(text, exit_code=exit_code)


def leads() -> bool:
    """Return whether this is the process that prints and writes."""
    return jax.process_index() == 0


def in_company() -> bool:
    """Return whether this process still is one of several: at its usual end it would wait for the others."""
    return jax.distributed.is_initialized()
