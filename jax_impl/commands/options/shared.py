"""How options are described, and those that several commands share. Nothing here imports JAX: the help is fast."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jax_impl import recipes
from jax_impl.errors import ArgumentError, require, require_integer

# The groups of the help
NETWORK, TRAINING, WEIGHTS = "network", "training", "initial weights and random numbers"
GRID, MACHINE = "grid", "machine"
FILES, LIMITS, STOPPING, DEVICES = "files", "limits", "stopping and resuming", "several devices and processes"
OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option's description, the metadata of its annotation."""

    metavar: str | None  # the name of its value; None of a flag, and if the type lists the allowed values
    text: str  # one sentence
    default: str | None  # in words; None if the field's own default is shown
    group: str


def option(metavar: str, text: str, default: str | None = None, *, group: str) -> Option:
    """Describe an option with a value. `default` is for values that the program chooses later."""
    return Option(metavar=metavar, text=text, default=default, group=group)


def choice(text: str, *, group: str) -> Option:
    """Describe an option whose type, a Literal, lists the allowed values."""
    return Option(metavar=None, text=text, default=None, group=group)


def flag(text: str, *, group: str) -> Option:
    """Describe an option without a value. It is off unless given."""
    return Option(metavar=None, text=text, default="off", group=group)


def setting(field: str, metavar: str, text: str, *, group: str = TRAINING) -> Option:
    """Describe an option that overrides a field of the recipe."""
    values = {getattr(recipe, field) for recipe in recipes.RECIPES.values()}
    hint = f", {values.pop()}" if len(values) == 1 else "; see `recipes`"
    return option(metavar, text, f"the recipe's{hint}", group=group)


RecipeName = Annotated[str, option("RECIPE", f"One of {', '.join(recipes.RECIPES)}; see `recipes`.", group=NETWORK)]
_ACTIVATION = f"Activation between the layers: {', '.join(recipes.NAMES['activation'])}."
Activation = Annotated[str | None, setting("activation", "NAME", _ACTIVATION, group=NETWORK)]
_FOLDER = "Folder that contains MNIST/raw."
DataDir = Annotated[Path | None, option("DIR", _FOLDER, "$MNIST_DATA_DIR, else MNIST_data", group=FILES)]
Debug = Annotated[bool, flag("Show the traceback of an error.", group=OTHER)]

_RESUME = "Continue from the last checkpoint in the run folder, if there is one."
Resume = Annotated[bool, flag(_RESUME, group=STOPPING)]
_REPLACE = "Replace what the folder holds, even if it is another experiment or an unfinished run."
Overwrite = Annotated[bool, flag(_REPLACE, group=FILES)]
_EVERY = "Save a checkpoint every N steps, and stop within N steps on Ctrl-C."
CheckpointEvery = Annotated[int | None, option("N", _EVERY, "after an epoch, at most every 10 s", group=STOPPING)]
_SECONDS = "Save and stop after X seconds, as on Ctrl-C, with exit code 124."
MaxSeconds = Annotated[float | None, option("X", _SECONDS, "no limit", group=STOPPING)]

_SEVERAL = "Be one of several processes; Slurm, Kubernetes, Open MPI and TPU pods are detected."
_DETECTED = "as the cluster says"
Distributed = Annotated[bool, flag(_SEVERAL, group=DEVICES)]
_ADDRESS = "With --distributed: address of the first process."
Coordinator = Annotated[str | None, option("HOST:PORT", _ADDRESS, _DETECTED, group=DEVICES)]
Processes = Annotated[int | None, option("N", "With --distributed: number of processes.", _DETECTED, group=DEVICES)]
_NUMBER = "With --distributed: number of this process, from 0."
ProcessId = Annotated[int | None, option("N", _NUMBER, _DETECTED, group=DEVICES)]


def check_checkpoint_every(steps: int | None) -> None:
    """Raise an ArgumentError if --checkpoint-every is out of its range."""
    if steps is not None:
        require_integer(steps, "--checkpoint-every", 1)


def check_out(out: Path | None) -> None:
    """Raise an ArgumentError if a run's files would lie among others: in the current folder, or in one above it."""
    with contextlib.suppress(OSError, RuntimeError):  # the current folder was deleted, or links form a circle
        alone = out is None or out.resolve() not in (Path.cwd(), *Path.cwd().parents)
        require(alone, "--out", "a folder of its own, such as runs/x", str(out))


def check_overwrite(*, overwrite: bool, resume: bool) -> None:
    """Raise an ArgumentError if a run is to be both continued and replaced."""
    if overwrite and resume:
        raise ArgumentError("--resume continues a run and --overwrite replaces it: drop one of them")


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
