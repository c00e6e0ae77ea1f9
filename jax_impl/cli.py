"""The grammar of the command line: its commands, their options, and one-line errors."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from jax_impl import recipes
from jax_impl.errors import ArgumentError, unknown_name

PROG = "python -m jax_impl"

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
    """Train a recipe in JAX, print the notebook's lines and write a run folder."""

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
    stream: Annotated[
        Literal["torch", "jax"], arg(help="Whose random numbers: torch's, replayed without torch, or JAX's own.")
    ] = "torch"
    dtype: Annotated[Literal["float32", "float64"], arg(help="Of all that is computed.")] = "float32"
    data_dir: DataDir = None
    out: Annotated[
        Path | None,
        arg(metavar="DIR", help="The run folder.", help_behavior_hint="(default: runs/jax_impl-RECIPE-SEED)"),
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


@dataclass(frozen=True, kw_only=True)
class Data:
    """Fetch MNIST, unless it is there, and verify it."""

    data_dir: DataDir = None
    mirror: Annotated[
        str | None,
        arg(
            metavar="URL",
            help="Folder with the four .gz files, asked in place of the official mirror.",
            help_behavior_hint="(default: $MNIST_MIRROR)",
        ),
    ] = None
    debug: Debug = False


Command = Train | Evaluate | Data
_COMMANDS: dict[str, Callable[..., Command]] = {"train": Train, "evaluate": Evaluate, "data": Data}


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
                description="The weight-initialisation notebook in JAX/Flax.",
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
