"""Ending early in good order.

On the first Ctrl-C or SIGTERM, and when the time that was given is over, the steps under way are finished and saved; on
the second signal the process ends at once.
"""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from jax_impl.errors import ArgumentError, Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OUT_OF_TIME = 124  # exit code, that of timeout(1)


class Stop:
    """Whether the command is asked to end, and why."""

    def __init__(self, *, end: Callable[[int], None], log: Callable[[str], None]) -> None:
        """Take what ends the process at once with an exit code, and what tells a person a line."""
        self.end, self.log = end, log
        self.received: signal.Signals | None = None  # the first
        self.soft = False  # whether the first signal is left to who asks `wanted`
        self.begun, self.max_seconds = time.monotonic(), float("inf")

    @contextlib.contextmanager
    def catching(self) -> Iterator[None]:
        """Catch signals for as long as the context lasts.

        Python runs a handler only between two lines of the main thread, which may wait for a device for long: a thread
        of its own hears every signal at once.
        """
        ours, systems = socket.socketpair()
        systems.setblocking(False)
        before = {number: signal.signal(number, self._caught) for number in SIGNALS}
        before_fd = signal.set_wakeup_fd(systems.fileno(), warn_on_full_buffer=False)
        listener = threading.Thread(target=self._listen, args=(ours,), name="signals", daemon=True)
        listener.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            systems.close()  # the listener reads the end, and ends
            listener.join()
            ours.close()

    def after(self, max_seconds: float | None) -> None:
        """Want to end so many seconds after the beginning of the command.

        Raises:
            ArgumentError: It is no number above 0.
        """
        if max_seconds is not None:
            if not max_seconds > 0:
                raise ArgumentError(f"--max-seconds must be a number above 0, got {max_seconds:g}")
            self.max_seconds = max_seconds

    @contextlib.contextmanager
    def softly(self) -> Iterator[None]:
        """Leave the first signal to who asks `wanted`; without this context it interrupts whatever is under way."""
        self.soft = True
        try:
            yield
        finally:
            self.soft = False

    @property
    def reason(self) -> tuple[str, int] | None:
        """Why the command is to end, in words, and with which exit code; None if it is not."""
        if self.received is not None:
            return "" if self.received == signal.SIGINT else self.received.name, 128 + self.received
        if time.monotonic() - self.begun > self.max_seconds:
            return f"--max-seconds {self.max_seconds:g} are over", OUT_OF_TIME
        return None

    @property
    def wanted(self) -> bool:
        """Whether the command is to end as soon as what it reached is saved."""
        return self.reason is not None

    def interrupted(self) -> Interrupted:
        """Return what to raise once it is."""
        text, exit_code = self.reason or ("", 130)
        return Interrupted(text, exit_code=exit_code)

    def _listen(self, ours: socket.socket) -> None:
        """Heed every signal, a byte each: the first is left to the main thread, another one ends the process."""
        heard = 0
        while numbers := ours.recv(1):
            if numbers[0] not in SIGNALS:
                continue
            heard += 1
            if heard > 1:
                self.end(128 + numbers[0])
            elif self.soft:
                self.received = signal.Signals(numbers[0])
                self.log("finishing the steps under way; once more ends at once")

    def _caught(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Interrupt what the main thread does, unless it asks by itself."""
        if self.received is None:
            self.received = signal.Signals(number)
            if not self.soft:
                raise self.interrupted()
