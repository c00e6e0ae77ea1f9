"""The grammar of the command line: its commands, their options, and one-line errors."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from jax_impl import recipes
from jax_impl.commands.cli_cluster import Coordinator, Distributed, Processes, ProcessId
from jax_impl.commands.cli_rbm import DataDir, Debug, TrainDbn, TrainRbm, listed
from jax_impl.commands.cli_saving import CheckpointEvery, MaxSeconds, Resume
from jax_impl.errors import ArgumentError, unknown_name
from jax_impl.recipes import DEFAULT

# Of presets.py, which needs JAX
PRESETS = ("not-all-zero", "only-the-weights-changed", "glorot-2010", "he-2015", "orthogonal", "lsuv", "pretraining")
PROG = "python -m jax_impl"

RecipeName = Annotated[Positional[str], arg(metavar="RECIPE", help=f"One of {', '.join(recipes.RECIPES)}.")]


def _setting(metavar: str, text: str) -> object:
    """Describe an option that overrides a field of the recipe."""
    return arg(metavar=metavar, help=text, help_behavior_hint="(default: the recipe's)")


Activation = Annotated[str | None, _setting("NAME", f"Between the layers: {', '.join(recipes.NAMES['activation'])}.")]


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a recipe in JAX, print the notebook's lines and write a run folder."""

    recipe: RecipeName = DEFAULT
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
    dbn: Annotated[
        Path | None,
        arg(
            metavar="FILE",
            help="With --init dbn: start from the params.safetensors that rbm or dbn wrote.",
            help_behavior_hint="(default: train one first)",
        ),
    ] = None
    data_dir: DataDir = None
    out: Annotated[
        Path | None,
        arg(metavar="DIR", help="The run folder.", help_behavior_hint="(default: runs/jax_impl-RECIPE-SEED)"),
    ] = None
    resume: Resume = False
    checkpoint_every: CheckpointEvery = None
    max_seconds: MaxSeconds = None
    data_parallel: Annotated[bool, arg(help="Share each batch out among all devices.")] = False
    distributed: Distributed = False
    coordinator: Coordinator = None
    processes: Processes = None
    process_id: ProcessId = None
    debug: Debug = False


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Print the test accuracy of parameters that either implementation wrote."""

    recipe: RecipeName
    params: Annotated[Path, arg(metavar="FILE", help="The params.safetensors of a run.")]
    activation: Activation = None
    data_dir: DataDir = None
    debug: Debug = False


def _axis(metavar: str, text: str, default: str) -> object:
    """Describe an axis or a setting of the study's grid."""
    return arg(metavar=metavar, help=text, help_behavior_hint=f"(default: {default})")


@dataclass(frozen=True, kw_only=True)
class Study:
    """Train a grid of initialisers, depths and more over seeds, or reproduce published results, and write a report.

    Lists are separated by commas. What is finished is kept in the folder: the same command goes on where it stopped.
    """

    inits: Annotated[str | None, _axis("NAME,…", "Initialisers of the kernels.", "eight of them")] = None
    depths: Annotated[str | None, _axis("N,…", "Hidden layers.", "2,10,30")] = None
    activations: Annotated[str | None, _axis("NAME,…", "Between the layers.", "relu")] = None
    optimizers: Annotated[str | None, _axis("NAME,…", "adam or sgd.", "sgd")] = None
    recipes: Annotated[
        str | None, _axis("NAME,…", "Start from these recipes: what is not given is each one's own.", "none")
    ] = None
    width: Annotated[int | None, _axis("N", "Units of a hidden layer.", "128")] = None
    epochs: Annotated[int | None, _axis("N", "0 only looks at signal and gradient.", "3")] = None
    bias_init: Annotated[str | None, _axis("NAME", "Of the biases.", "zeros")] = None
    learning_rate: Annotated[float | None, _axis("X", "Of the optimizer.", "0.001 for adam, 0.01 for sgd")] = None
    seeds: Annotated[int, arg(metavar="N", help="Trainings of each cell.")] = 3
    first_seed: Annotated[int, arg(metavar="N", help="The seeds are this one and those that follow.")] = 0
    preset: Annotated[
        str | None,
        _axis("NAME,…", f"Published results, in place of a grid: {', '.join(PRESETS)}, or all.", "a grid"),
    ] = None
    max_hours: Annotated[float | None, _axis("X", "Refuse a grid that would take longer.", "12")] = None
    max_gib: Annotated[
        float | None,
        _axis("X", "Of a device: runs train in parts that fit, and one that does not is refused.", "four fifths of it"),
    ] = None
    checkpoint_every: CheckpointEvery = None
    max_seconds: MaxSeconds = None
    data_dir: DataDir = None
    out: Annotated[Path, arg(metavar="DIR", help="Where records and report go.")] = Path("reports/study")
    distributed: Distributed = False
    coordinator: Coordinator = None
    processes: Processes = None
    process_id: ProcessId = None
    debug: Debug = False

    def axes(self) -> dict[str, Any]:
        """Return what was given of the grid, as `study.Grid` takes it.

        Raises:
            ArgumentError: A list is empty, or a depth is no integer.
        """
        names = ("inits", "depths", "activations", "optimizers", "recipes")
        given: dict[str, Any] = {name: listed(text) for name in names if (text := getattr(self, name)) is not None}
        for name, values in given.items():
            if not values:
                raise ArgumentError(f"{name} must name at least one, got none")
        try:
            given |= {"depths": tuple(map(int, given["depths"]))} if "depths" in given else {}
        except ValueError:
            raise ArgumentError(f"depths must be integers with commas between them, got {self.depths}") from None
        for name in ("width", "epochs", "bias_init", "learning_rate"):
            if getattr(self, name) is not None:
                given[name] = getattr(self, name)
        return given

    def presets(self) -> tuple[str, ...]:
        """Return the names of the presets that were asked for.

        Raises:
            ArgumentError: Options of a grid were given too, or a seed is out of range.
        """
        if self.preset is None:
            return ()
        given = [*self.axes(), *(name for name in ("max_hours", "max_gib") if getattr(self, name) is not None)]
        if given:
            raise ArgumentError(f"--preset has its own grid and size: leave out {', '.join(map(_option, given))}")
        if self.seeds < 1 or not 0 <= self.first_seed <= 2**32 - self.seeds:
            raise ArgumentError(
                "seeds must be an integer >= 1, and first seed from 0 on with all below 4294967296, "
                f"got {self.seeds} and {self.first_seed}"
            )
        if not (names := listed(self.preset)):
            raise ArgumentError("--preset must name at least one, or all, got none")
        return names


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


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


Command = Train | Evaluate | Study | TrainRbm | TrainDbn | Data
_COMMANDS: dict[str, Callable[..., Command]] = {
    "train": Train,
    "evaluate": Evaluate,
    "study": Study,
    "rbm": TrainRbm,
    "dbn": TrainDbn,
    "data": Data,
}


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
