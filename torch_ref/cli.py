"""The grammar of the command line: its commands, their options, and one-line errors."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from torch_ref import recipes
from torch_ref.errors import ArgumentError, unknown_name

PROG = "python -m torch_ref"

RecipeName = Annotated[Positional[str], arg(metavar="RECIPE", help=f"One of {', '.join(recipes.RECIPES)}.")]
DataDir = Annotated[
    Path | None,
    arg(
        metavar="DIR",
        help="Folder of MNIST/raw.",
        help_behavior_hint="(default: $MNIST_DATA_DIR, else MNIST_data)",
    ),
]
Debug = Annotated[bool, arg(help="Show the traceback of an error.")]


def _setting(metavar: str, text: str) -> object:
    """Describe an option that overrides a field of the recipe."""
    return arg(metavar=metavar, help=text, help_behavior_hint="(default: the recipe's)")


Activation = Annotated[str | None, _setting("NAME", f"Between the layers: {', '.join(recipes.NAMES['activation'])}.")]


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a recipe in PyTorch, print the notebook's lines and write a run folder."""

    recipe: RecipeName = recipes.DEFAULT
    epochs: Annotated[int | None, _setting("N", "Passes over the images; 0 writes the initial parameters.")] = None
    seed: Annotated[int | None, _setting("N", "Of every random draw.")] = None
    init: Annotated[
        str | None, _setting("NAME", "Of the kernels, as torch.nn.init names it; an unknown one lists all.")
    ] = None
    activation: Activation = None
    optimizer: Annotated[str | None, _setting("NAME", "adam or sgd, without momentum.")] = None
    init_passes: Annotated[int | None, _setting("N", "Runs of the init cell; the notebook had two.")] = None
    batch_size: Annotated[int | None, _setting("N", "Images per step; the ragged last batch is dropped.")] = None
    learning_rate: Annotated[float | None, _setting("X", "Of the optimizer.")] = None
    loader: Annotated[
        Literal["dataloader", "tensor"],
        arg(help="The notebook's DataLoader, or the same batches from memory, several times faster."),
    ] = "dataloader"
    dtype: Annotated[Literal["float32", "float64"], arg(help="Of all that is computed.")] = "float32"
    threads: Annotated[int, arg(metavar="N", help="Of the CPU; the last digits of a cost depend on how many.")] = 1
    data_dir: DataDir = None
    out: Annotated[
        Path | None,
        arg(metavar="DIR", help="The run folder.", help_behavior_hint="(default: runs/torch_ref-RECIPE-SEED)"),
    ] = None
    resume: Annotated[
        bool, arg(help="Go on from the last checkpoint in the run folder; where there is none, begin.")
    ] = False
    checkpoint_every: Annotated[
        int | None,
        arg(
            metavar="N",
            help="Save a checkpoint every so many steps, too.",
            help_behavior_hint="(default: at the end of an epoch)",
        ),
    ] = None
    max_seconds: Annotated[
        float | None,
        arg(
            metavar="X",
            help="End after so many seconds as on a Ctrl-C, with exit code 124.",
            help_behavior_hint="(default: never)",
        ),
    ] = None
    debug: Debug = False


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Print the test accuracy of parameters that either implementation wrote."""

    recipe: RecipeName
    params: Annotated[Path, arg(metavar="FILE", help="The params.safetensors of a run.")]
    activation: Activation = None
    data_dir: DataDir = None
    debug: Debug = False


Command = Train | Evaluate
_COMMANDS: dict[str, Callable[..., Command]] = {"train": Train, "evaluate": Evaluate}


def parse(arguments: Sequence[str]) -> Command:
    """Return the command that the arguments name; `--help` prints and exits.

    Raises:
        ArgumentError: The arguments are wrong; tyro's framed message as one line.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in _COMMANDS:
        raise unknown_name("command", arguments[0], _COMMANDS)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            command: Command = tyro.extras.subcommand_cli_from_dict(
                _COMMANDS,
                prog=PROG,
                description="The weight-initialisation notebook in PyTorch, the reference.",
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
            return command
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ArgumentError(f"{_unframed(complaint.getvalue())}; see {PROG} --help") from None


def _unframed(message: str) -> str:
    """Join the first paragraph of tyro's framed message, and what it suggests, in one line."""

    def is_rule(line: str) -> bool:
        return set(line) <= set("─-")

    # The frame is drawn in UTF-8 with the title in its upper edge, or in ASCII with the title above a rule.
    lines = [line.strip("│ ") for line in message.splitlines() if line[:1] not in {"╭", "╰"}]
    if "╭" not in message:
        lines = lines[2:]
    end = next((i for i, line in enumerate(lines) if is_rule(line)), len(lines))
    text = " ".join(lines[:end]).rstrip(".").replace("{None}|", "")
    if "Perhaps you meant:" in lines:
        text += f" (did you mean {lines[lines.index('Perhaps you meant:') + 1].split()[0]}?)"
    return text
