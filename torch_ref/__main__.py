"""The entry point: runs the command line, prints its lines, and turns errors into exit codes."""

import io
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from types import FrameType

from torch_ref import cli, recipes
from torch_ref.errors import ArgumentError, Terminated, UserError

SPOKEN = threading.Event()  # set when the first line was printed, or the command has ended


def main() -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for paths with letters that the locale cannot encode
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        _run(sys.argv[1:])
    except KeyboardInterrupt as error:
        print(f"interrupted: {_with_notes(error)}".removesuffix(": "), file=sys.stderr)
        return getattr(error, "exit_code", 130)
    except BrokenPipeError:  # the reader of our lines has closed the pipe
        _discard_output()
        return 1
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        told = error if isinstance(error, UserError) else _explained(error)
        print(f"error: {_with_notes(told)}", file=sys.stderr)
        return told.exit_code
    finally:
        SPOKEN.set()
        signal.signal(signal.SIGTERM, before)
    return 0


def _run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run the command that they name."""
    command = cli.parse(arguments)
    if command.command == "recipes":
        for line in recipes.table():
            _print_line(line)
        return
    threading.Thread(target=_tell_of_waits, daemon=True).start()
    try:
        from torch_ref import commands  # imports torch, which takes seconds

        if command.command == "train":
            commands.train(command, _print_line)
        else:
            commands.evaluate(command, _print_line, _complain)
    except ArgumentError as error:
        error.add_note(f"see {cli.PROG} {command.command} --help")
        raise
    except ModuleNotFoundError as error:
        if error.name not in {"torch", "torchvision", "matplotlib"}:
            raise
        raise UserError(
            f"this command needs {error.name}, which is not installed: run make train-torch, or pip install '.[torch]'"
        ) from error
    except FileNotFoundError as error:
        if "temporary directory" not in str(error):
            raise
        raise UserError("torch needs a writable temporary folder: free some disk space, or set TMPDIR") from error


def _explained(error: Exception) -> UserError:
    """Return an error that no part of the program expected as one line. Its traceback goes to a file, if possible."""
    text = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
    # torch raises a RuntimeError on the CPU, and an OutOfMemoryError on a GPU.
    if isinstance(error, MemoryError) or "allocate memory" in text or "OutOfMemory" in text:
        return UserError(
            f"the memory does not suffice ({text}): use a smaller batch, or end other programs that use it"
        )
    where = "add --debug to see where"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="torch_ref-", suffix=".txt", errors="replace", delete=False
        ) as file:
            file.write(f"{sys.argv}\n{''.join(traceback.format_exception(error))}")
            where = f"{file.name} says where"
    except OSError:
        pass
    return UserError(f"this is a bug, {text}; {where}: report it with the command as an issue")


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Raise SIGTERM in the main thread as an exception, as Python does with Ctrl-C."""
    raise Terminated("SIGTERM")


def _with_notes(error: BaseException) -> str:
    """Return the message of an error and the notes that were added to it."""
    return "; ".join([*map(str, error.args), *getattr(error, "__notes__", [])])


def _tell_of_waits() -> None:
    """Print a line to standard error while the first result is late. On a terminal there is a progress bar."""
    wait, started = 10.0, time.monotonic()  # importing torch takes 4 to 8 s
    while os.environ.get("MNIST_STATUS_SECONDS") != "0" and not SPOKEN.wait(wait) and not sys.stderr.isatty():
        wait = time.monotonic() - started
        print(f"preparing the data and the network: {wait:.0f} s so far", file=sys.stderr)


def _print_line(text: str) -> None:
    """Print a line to standard output at once. A full disk becomes a UserError."""
    SPOKEN.set()
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise UserError(
            f"cannot write to standard output: {error.strerror}; free some disk space, or redirect it elsewhere"
        ) from error


def _complain(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr)


def _discard_output() -> None:
    """Send what cannot be written to nowhere. Otherwise Python tries again at its exit, and fails."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
