"""Options that several commands share. Nothing here imports JAX, so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from jax_impl import recipes
from jax_impl.errors import ArgumentError, require, require_integer


def option(metavar: str, text: str, default: str | None = None) -> object:
    """Describe an option. `default` replaces the value that the help text would show."""
    hint = None if default is None else f"(default: {default})"
    return arg(metavar=metavar, help=text, help_behavior_hint=hint)


def setting(metavar: str, text: str) -> object:
    """Describe an option that overrides a field of the recipe."""
    return option(metavar, text, "the recipe's")


RecipeName = Annotated[Positional[str], arg(metavar="RECIPE", help=f"One of {', '.join(recipes.RECIPES)}.")]
Activation = Annotated[str | None, setting("NAME", f"Between the layers: {', '.join(recipes.NAMES['activation'])}.")]
DataDir = Annotated[Path | None, option("DIR", "Folder that contains MNIST/raw.", "$MNIST_DATA_DIR, else MNIST_data")]
Debug = Annotated[bool, arg(help="Show the traceback of an error.")]

Resume = Annotated[bool, arg(help="Continue from the last checkpoint in the run folder, if there is one.")]
_EVERY = "Save a checkpoint every N steps, and stop within N steps on Ctrl-C."
CheckpointEvery = Annotated[int | None, option("N", _EVERY, "after an epoch, at most every 10 s")]
_SECONDS = "Save and stop after X seconds, as on Ctrl-C, with exit code 124."
MaxSeconds = Annotated[float | None, option("X", _SECONDS, "no limit")]

_SEVERAL = "Be one of several processes, on one host or many. Slurm, Kubernetes, Open MPI and TPU pods are detected."
_DETECTED = "as the cluster says"
Distributed = Annotated[bool, arg(help=_SEVERAL)]
Coordinator = Annotated[str | None, option("HOST:PORT", "With --distributed: address of the first process.", _DETECTED)]
Processes = Annotated[int | None, option("N", "With --distributed: number of processes.", _DETECTED)]
ProcessId = Annotated[int | None, option("N", "With --distributed: number of this process, from 0.", _DETECTED)]


def check_checkpoint_every(steps: int | None) -> None:
    """Raise an ArgumentError if --checkpoint-every is out of its range."""
    if steps is not None:
        require_integer(steps, "--checkpoint-every", 1)


def listed(text: str) -> tuple[str, ...]:
    """Return the parts between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def integers(name: str, text: str) -> tuple[int, ...]:
    """Return integers between commas.

    Raises:
        ArgumentError: One is not an integer, or there is none.
    """
    try:
        values = tuple(map(int, listed(text)))
    except ValueError:
        raise ArgumentError(f"{name} must be integers separated by commas, got {text}") from None
    require(bool(values), name, "one or more integers separated by commas", text)
    return values
