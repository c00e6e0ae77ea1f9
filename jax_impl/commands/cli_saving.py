"""The options of the commands that can be interrupted and resumed."""

from typing import Annotated

from tyro.conf import arg

from jax_impl.errors import ArgumentError

Resume = Annotated[bool, arg(help="Go on from the last checkpoint in the run folder; where there is none, begin.")]
CheckpointEvery = Annotated[
    int | None,
    arg(
        metavar="N",
        help="Save a checkpoint every so many steps, too; an interrupt is heeded as often.",
        help_behavior_hint="(default: at the end of an epoch)",
    ),
]
MaxSeconds = Annotated[
    float | None,
    arg(
        metavar="X",
        help="End after so many seconds as on a Ctrl-C, with exit code 124.",
        help_behavior_hint="(default: never)",
    ),
]


def check_every(steps: int | None) -> None:
    """Check what was given as --checkpoint-every.

    Raises:
        ArgumentError: It is less than 1.
    """
    if steps is not None and steps < 1:
        raise ArgumentError(f"--checkpoint-every must be an integer >= 1, got {steps}")


def counted(number: int, what: str) -> str:
    """Return so many of something in words."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def of_the_next(steps: int) -> str:
    """Return what is said of a checkpoint within an epoch, after what is said of those before; nothing without one."""
    return f", and a checkpoint of {counted(steps, 'step')} of the next" if steps else ""
