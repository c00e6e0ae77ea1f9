"""Stopping a command in an orderly way.

On the first Ctrl-C or SIGTERM, or when the time limit is reached, the current steps are finished and saved. The second
signal ends the process at once.
"""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from jax_impl.errors import ArgumentError, Interrupted, Log

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OUT_OF_TIME = 124  # exit code, as of timeout(1)


class Stop:
    """Whether the command must stop, and why."""

    def __init__(self, *, end: Callable[[int], None], log: Log) -> None:
        """Take a function that ends the process at once with an exit code, and one that prints a line."""
        self.end, self.log = end, log
        self.received: signal.Signals | None = None  # the first signal
        self.polled = False  # whether the command polls `reason`, so that the first signal need not interrupt it
        self.started, self.max_seconds = time.monotonic(), float("inf")

    @contextlib.contextmanager
    def catching(self) -> Iterator[None]:
        """Catch signals while the context lasts.

        Python runs a signal handler between two lines of the main thread only, and the main thread may wait long for a
        device. So a thread of its own receives every signal at once.
        """
        ours, systems = socket.socketpair()
        systems.setblocking(False)
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        before_fd = signal.set_wakeup_fd(systems.fileno(), warn_on_full_buffer=False)
        listener = threading.Thread(target=self._listen, args=(ours,), name="signals", daemon=True)
        listener.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            systems.close()  # the listener reads the end of the stream and returns
            listener.join()
            ours.close()

    def after(self, max_seconds: float | None) -> None:
        """Stop this many seconds after the start of the command.

        Raises:
            ArgumentError: The number is not above 0.
        """
        if max_seconds is not None:
            if not max_seconds > 0:
                raise ArgumentError(f"--max-seconds must be a number above 0, got {max_seconds:g}")
            self.max_seconds = max_seconds

    @contextlib.contextmanager
    def polling(self) -> Iterator[None]:
        """Only record the first signal; the caller polls `reason`. Outside this context a signal interrupts."""
        self.polled = True
        try:
            yield
        finally:
            self.polled = False

    @property
    def reason(self) -> tuple[str, int] | None:
        """Why the command must stop, in words, and its exit code. None if it need not stop."""
        if self.received is not None:
            return "" if self.received == signal.SIGINT else self.received.name, 128 + self.received
        if time.monotonic() - self.started > self.max_seconds:
            return f"the limit of --max-seconds {self.max_seconds:g} is reached", OUT_OF_TIME
        return None

    def interrupted(self) -> Interrupted:
        """Return the exception to raise then."""
        text, exit_code = self.reason or ("", 130)
        return Interrupted(text, exit_code=exit_code)

    def _listen(self, ours: socket.socket) -> None:
        """Read signals, one byte each. The second one ends the process."""
        heard = 0
        while numbers := ours.recv(1):
            if numbers[0] not in SIGNALS:
                continue
            heard += 1
            if heard > 1:
                self.end(128 + numbers[0])
            elif self.polled:
                self.received = signal.Signals(numbers[0])
                self.log("Saving. Press Ctrl-C again to quit immediately.")

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Interrupt the main thread, unless it polls."""
        if self.received is None:
            self.received = signal.Signals(number)
            if not self.polled:
                raise self.interrupted()
