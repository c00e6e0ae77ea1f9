"""What is being done, and how long it will take."""

import logging
import sys
import time
from collections.abc import Callable

QUIET = 2.0  # seconds before the first line


def show(text: str) -> None:
    """Log a line and show it on the terminal."""
    logging.getLogger("torch_ref.record").info(text)
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


class Progress:
    """Hands lines to the user's function, or to the logger `torch_ref.record`, once the work has taken two seconds."""

    def __init__(self, report: Callable[[str], None] | None) -> None:
        self._report = report or show
        self._begun = time.monotonic()
        self._run = ""

    def __call__(self, text: str) -> None:
        """Say what is being done."""
        if time.monotonic() - self._begun > QUIET:
            self._report(self._run + text)

    def estimate(self, seconds: float) -> None:
        """Say how long it will take, at once unless that is very short."""
        if seconds > QUIET:
            self._report(f"recording takes about {seconds:.0f} s")

    def begin(self, run: str) -> None:
        """Name the run of which the next lines speak."""
        self._run = run
