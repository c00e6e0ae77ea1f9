"""The options of the commands that can be interrupted and resumed."""

from typing import Annotated

from tyro.conf import arg

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
