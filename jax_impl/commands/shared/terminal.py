"""What commands print, and the progress bars on standard error.

Without a terminal there are no bars. A line then says what a command does and for how long, so that no wait is silent.
"""

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from rich import progress
from rich.console import Console
from rich.table import Table

from jax_impl.errors import UserError

STATUS_SECONDS = 2.0  # without a terminal, work that takes longer prints a line


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


def epochs_bar() -> contextlib.AbstractContextManager[progress.Progress]:
    """Return the progress bar of a training."""
    return _bar(progress.MofNCompleteColumn(), progress.TextColumn("epochs"))


def cost_bar(what: str, count: int) -> contextlib.AbstractContextManager[progress.Progress]:
    """Return a progress bar whose length is estimated time; the text shows how many of `count` parts are done."""
    return _bar(progress.TextColumn(f"{{task.fields[done]}}/{count} {what}"))


def download_bar() -> contextlib.AbstractContextManager[progress.Progress]:
    """Return the progress bar of a download."""
    return _bar(progress.DownloadColumn())


@contextlib.contextmanager
def waiting(what: str, total: int | None = None, *, silent: float = STATUS_SECONDS) -> Iterator[Callable[[int], None]]:
    """Show a progress bar. Yield a function that takes how much of the total is done; None is of unknown length.

    Without a terminal, the first line comes after `silent` seconds.
    """
    with _bar(silent=silent) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def _bar(*amount: progress.ProgressColumn, silent: float = STATUS_SECONDS) -> Iterator[progress.Progress]:
    """Show a progress bar that appears only on a terminal and disappears when it is done; elsewhere, lines."""
    bar = progress.Progress(
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
    with bar, contextlib.nullcontext() if sys.stderr.isatty() else _status_lines(bar, silent):
        yield bar


@contextlib.contextmanager
def _status_lines(bar: progress.Progress, silent: float) -> Iterator[None]:
    """Print how far the tasks of a bar have come: first after `silent` seconds, then at doubling intervals."""
    over, started = threading.Event(), time.monotonic()

    def speak() -> None:
        wait = _status_seconds(silent)
        while 0 < wait < threading.TIMEOUT_MAX and not over.wait(wait):
            wait = time.monotonic() - started
            with contextlib.suppress(OSError, ValueError):  # standard error may be closed
                complain(f"{'; '.join(map(_status, bar.tasks))}: {wait:.0f} s so far")

    thread = threading.Thread(target=speak, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _status(task: progress.Task) -> str:
    """Return what a task does, and how much of it is done."""
    return task.description if not task.total else f"{task.description}, {task.percentage:.0f} %"


def _status_seconds(default: float) -> float:
    """Return after how many seconds the first line comes: those of the environment variable, if it is a number."""
    try:
        return float(os.environ["MNIST_STATUS_SECONDS"])
    except (KeyError, ValueError):
        return default
