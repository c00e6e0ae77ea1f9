"""Runs the command that the arguments name, and turns errors into exit codes."""

import contextlib
import io
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from jax_impl import recipes
from jax_impl.commands.options import explore, prove, rbm, study, train
from jax_impl.commands.options import recipes as recipe_options
from jax_impl.commands.options.parser import Command, Data, parse, pointing_to_help
from jax_impl.commands.options.recipes import Recipes
from jax_impl.commands.shared import cluster
from jax_impl.commands.shared.compilation_cache import use_cache
from jax_impl.commands.shared.cores import use_every_core
from jax_impl.commands.shared.stopping import Stop
from jax_impl.commands.shared.terminal import complain, discard_output, end, say, say_table, waiting
from jax_impl.errors import UserError


def main() -> int:
    """Run the command line and return its exit code, as docs/running.md lists them.

    With --debug an error is raised.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for paths that the locale cannot encode
    stop = Stop(end=end, log=complain)
    try:
        with stop.catching():
            return run(sys.argv[1:], stop)
    except KeyboardInterrupt as error:
        complain(f"interrupted{f': {error}' if error.args else ''}")
        return getattr(error, "exit_code", 130)
    except BrokenPipeError:  # the reader of the output has closed it
        discard_output()
        return 1
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        told = error if isinstance(error, UserError) else explained(error)
        complain(f"error: {told}")
        return told.exit_code


def run(arguments: list[str], stop: Stop) -> int:
    """Check the arguments, then import and run the command, so that most wrong arguments are reported without JAX.

    Returns the exit code: 1 if `prove` finds a difference, otherwise 0.
    """
    command = parse(arguments)
    with pointing_to_help(arguments[0]):
        stop.after(getattr(command, "max_seconds", None))
    match command:
        case Data():
            from jax_impl.commands import data

            data.run(command)
        case Recipes():
            say_table(recipe_options.table())
            say(f"\nall of them: {recipe_options.common()}\nthe default: {recipes.DEFAULT}")
        case prove.Prove():
            with pointing_to_help("prove"):
                prove.check(command)
            from jax_impl.commands.prove import run as run_prove

            return run_prove(command)
        case _:
            run_in_jax(arguments[0], command, stop)
    return 0


def run_in_jax(name: str, command: Command, stop: Stop) -> None:
    """Check the options of a command that needs JAX, then import JAX and run it."""
    match command:
        case train.Train():
            with pointing_to_help("train"):
                recipe = train.recipe_of(command)
                cluster.check(command)
            with starting_jax(distributed=command.distributed):
                from jax_impl.commands.train import run as run_train

            with cluster.joined(command):
                run_train(command, recipe, stop)
        case train.Evaluate():
            with pointing_to_help("evaluate"):
                train.check_names(command)
            with starting_jax():
                from jax_impl.commands import evaluate

            evaluate.run(command)
        case study.Study():
            with pointing_to_help("study"):
                study.check(command)
                cluster.check(command)
            with starting_jax(distributed=command.distributed, many_runs=True):
                from jax_impl.commands import study as studies

            with pointing_to_help("study"):
                planned = studies.plan(command)
            with cluster.joined(command):
                studies.run(command, *planned, stop)
        case explore.Explore():
            with pointing_to_help("explore"):
                explore.check(command)
            with starting_jax(many_runs=True):
                from jax_impl.commands.explore import run as run_explore

            run_explore(command, stop)
        case rbm.TrainRbm() | rbm.TrainDbn():
            with pointing_to_help(name):
                sizes, settings = rbm.sizes(command), rbm.settings(command)
            with starting_jax():
                from jax_impl.commands.rbm import run as run_rbm

            run_rbm(command, sizes, settings, stop)


@contextlib.contextmanager
def starting_jax(*, distributed: bool = False, many_runs: bool = False) -> Iterator[None]:
    """Prepare JAX for a command, which is imported within the context, and check that there is a device.

    Several processes have their devices only after they have joined. `many_runs` says that the command trains many
    runs: then each core of a CPU is a device.

    Raises:
        UserError: JAX finds no device.
    """
    with waiting("starting JAX", silent=10.0):  # 2 to 4 s are usual; a line would hide what the command prints
        use_cache()
        if many_runs and not distributed:
            use_every_core()
        for handler in (*logging.getLogger("jax").handlers, logging.lastResort):
            if handler:
                handler.addFilter(_without_traceback)
        yield
        if not distributed:
            import jax

            try:
                jax.devices()
            except (RuntimeError, AssertionError) as error:  # an AssertionError if JAX was built without CUDA
                raise _no_device(error) from error


def explained(error: Exception) -> UserError:
    """Return an error that no part of the program expected as one line. Unless its cause is known, it is a bug."""
    text = _first_line(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return UserError(
            f"the memory does not suffice ({text}): use a smaller network or batch, or end other programs that use it"
        )
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("jax_impl"):
        return UserError(
            f"this command needs {error.name}, which is not installed: run make train-jax, or pip install '.[jax]'"
        )
    if "Unable to initialize backend" in text:
        return _no_device(error)
    path = _kept_traceback(error)
    where = "add --debug to see where" if path is None else f"{path} says where"
    return UserError(f"this is a bug, {text}; {where}: report it with the command as an issue")


def _no_device(error: Exception) -> UserError:
    """Return an error for a device that JAX cannot use."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    reason = _first_line(error) if str(error) else "this build of JAX does not support it"
    return UserError(
        f"JAX cannot use the device of JAX_PLATFORMS={platforms!r} ({reason}): set it to cpu or drop it, "
        "or install JAX's build and the driver for this device"
    )


def _kept_traceback(error: Exception) -> Path | None:
    """Write the traceback to a new file in the temporary folder, and return its path. None if it cannot be written."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="jax_impl-", suffix=".txt", encoding="utf-8", errors="backslashreplace", delete=False
        ) as file:
            file.write(f"{sys.argv}\n{text}")
    except OSError:
        return None
    return Path(file.name)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Shorten JAX's warning about a plugin that does not work, for example of a GPU without a driver, to one line."""
    if record.exc_info and record.exc_info[1]:
        record.msg, record.args = f"{record.getMessage()}: {_first_line(record.exc_info[1])}", ()
        record.exc_info = record.exc_text = None
    return True


def _first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of its text."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
