"""What the recorder is doing, and how long it will take."""

import logging
import sys
import time
from collections.abc import Callable

QUIET = 2.0  # seconds before the first line
PASSES = 10  # times the first pass, with its compilation, that recording takes: 9 to 13 for four models of tests/ports


def show(text: str) -> None:
    """Log a line and show it on the terminal."""
    logging.getLogger("jax_impl.parity").info(text)
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


class Progress:
    """Hands lines to the user's function, or to the logger `jax_impl.parity`, once the work has taken two seconds."""

    def __init__(self, report: Callable[[str], None] | None) -> None:
        self._report = report or show
        self._begun = time.monotonic()

    def __call__(self, text: str) -> None:
        """Say what is being done."""
        if time.monotonic() - self._begun > QUIET:
            self._report(text)

    def estimate(self, first_pass: float) -> None:
        """Say how long all will take, from the seconds of the first pass, unless that is very short."""
        if PASSES * first_pass > QUIET:
            self._report(f"recording takes about {PASSES * first_pass:.0f} s, without fresh models")
