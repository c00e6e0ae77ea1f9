"""Progress bars on standard error."""

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def epochs_bar() -> Progress:
    """Return the progress bar of a training."""
    return bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"))


def steps_bar(what: str, count: int) -> Progress:
    """Return the progress bar of a study: its length is time, its number what is done."""
    return bar(TextColumn("{task.description}"), BarColumn(), TextColumn(f"{{task.fields[done]}}/{count} {what}"))


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something of unknown length goes on."""
    with bar(TextColumn("{task.description}"), BarColumn()) as shown:
        shown.add_task(what, total=None)
        yield


def bar(*columns: ProgressColumn) -> Progress:
    """Return a progress bar that shows only where standard error is a terminal, and leaves nothing behind."""
    return Progress(
        *columns,
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # lines for a terminal go above the bar, others where they belong
        disable=not sys.stderr.isatty(),
    )
