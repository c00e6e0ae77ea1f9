"""What commands print, and the progress bars on standard error."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence

from rich import progress
from rich.console import Console
from rich.table import Table

from jax_impl.errors import UserError


def say(text: str) -> None:
    """Print a line to standard output, without buffering.

    Raises:
        BrokenPipeError: The reader has closed the pipe.
        UserError: The line cannot be written, for example to a file on a full disk.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise UserError(f"cannot write to standard output: {error.strerror}; redirect it to another place") from error


def say_table(rows: Sequence[dict[str, str]]) -> None:
    """Print rows with the same keys as a table, as wide as its content: no name is cut or wrapped."""
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    text = io.StringIO()
    Console(file=text, width=1000).print(table)
    say("\n".join(line.rstrip() for line in text.getvalue().strip("\n").splitlines()))


def complain(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr)


def discard_output() -> None:
    """Send unwritten output to nowhere. Otherwise Python tries to write it again when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end(code: int) -> None:
    """End this process at once, without waiting for its threads or for other processes."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the stream may be closed
            stream.flush()
    os._exit(code)


def epochs_bar() -> progress.Progress:
    """Return the progress bar of a training."""
    return _bar(progress.MofNCompleteColumn(), progress.TextColumn("epochs"))


def cost_bar(what: str, count: int) -> progress.Progress:
    """Return a progress bar whose length is estimated time; the text shows how many of `count` parts are done."""
    return _bar(progress.TextColumn(f"{{task.fields[done]}}/{count} {what}"))


def download_bar() -> progress.Progress:
    """Return the progress bar of a download."""
    return _bar(progress.DownloadColumn())


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a progress bar for work of unknown length."""
    with _bar() as bar:
        bar.add_task(what, total=None)
        yield


def _bar(*amount: progress.ProgressColumn) -> progress.Progress:
    """Return a progress bar that appears only on a terminal and disappears when it is done."""
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        *amount,
        progress.TimeElapsedColumn(),
        progress.TextColumn("remaining"),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # on a terminal, printed lines appear above the bar
        disable=not sys.stderr.isatty(),
    )
