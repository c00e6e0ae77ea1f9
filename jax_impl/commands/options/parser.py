"""The commands, their examples, and what the first word of a command line means."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from jax_impl.commands.options import shared
from jax_impl.commands.options.arguments import Parser, filled
from jax_impl.commands.options.explore import Explore
from jax_impl.commands.options.prove import Prove
from jax_impl.commands.options.rbm import TrainDbn, TrainRbm
from jax_impl.commands.options.recipes import Recipes
from jax_impl.commands.options.shared import FILES, option
from jax_impl.commands.options.study import Study
from jax_impl.commands.options.train import Evaluate, Train
from jax_impl.commands.shared.terminal import say
from jax_impl.errors import ArgumentError, unknown_name

PROG = "python -m jax_impl"
VERSIONS = ("mnist-initialization-port", "jax", "jaxlib", "flax", "optax")  # what --version prints


@dataclass(frozen=True, kw_only=True)
class Data:
    """Fetch MNIST unless the folder has it, and verify it."""

    data_dir: shared.DataDir = None
    mirror: Annotated[
        str | None,
        option(
            "URL", "Folder with the four .gz files, used instead of the official mirror.", "$MNIST_MIRROR", group=FILES
        ),
    ] = None
    debug: shared.Debug = False


Command = Train | Evaluate | Study | Explore | TrainRbm | TrainDbn | Data | Recipes | Prove
COMMANDS: dict[str, type[Command]] = {
    "train": Train, "evaluate": Evaluate, "study": Study, "explore": Explore, "rbm": TrainRbm, "dbn": TrainDbn,
    "data": Data, "recipes": Recipes, "prove": Prove,
}  # fmt: skip
EXAMPLES = {
    "train": (
        "train mnist_nn_he --epochs 3",
        "train --init orthogonal --activation tanh --out runs/tanh",
        "train --epochs 30 --resume",
    ),
    "evaluate": (
        "train mnist_nn_he --epochs 1 --out runs/he",
        "evaluate mnist_nn_he --params runs/he/params.safetensors",
    ),
    "study": (
        "study --inits zeros,xavier_uniform --depths 2,10 --epochs 1",
        "study --preset he-2015",
    ),
    "explore": ("explore", "explore --depths 2,30 --widths 64 --out reports/small"),
    "rbm": ("rbm --hidden 256 --epochs 5", "rbm --persistent --k 5 --out runs/pcd"),
    "dbn": ("dbn --hidden 500,500", "train mnist_dbn --dbn runs/dbn/params.safetensors"),
    "data": ("data", "data --data-dir ~/mnist"),
    "recipes": ("recipes",),
    "prove": ("prove theirs ours", "prove theirs ours --out report"),
}


def parse(words: Sequence[str]) -> Command:
    """Return the options of the command that the first word names. `--help` and `--version` print and exit.

    Raises:
        ArgumentError: The words are wrong.
    """
    known = ", ".join(COMMANDS)
    if not words:
        raise ArgumentError(f"a command must be given, one of {known}; see {PROG} --help")
    name, *rest = words
    if name in {"-h", "--help", "--version"}:
        say(versions() if name == "--version" else overview())
        raise SystemExit(0)
    if name.startswith("-"):
        raise ArgumentError(f"a command must come first, one of {known}; see {PROG} --help")
    if name not in COMMANDS:
        raise ArgumentError(f"{unknown_name('command', name, COMMANDS)}; see {PROG} --help")
    examples = [f"{PROG} {example}" for example in EXAMPLES[name]]
    command: Command = Parser(f"{PROG} {name}", COMMANDS[name], examples).options_of(rest)
    return command


@contextmanager
def pointing_to_help(command: str) -> Iterator[None]:
    """Add where the command's help is to the message of an ArgumentError."""
    prog = f"{PROG} {command}"
    try:
        yield
    except ArgumentError as error:
        raise ArgumentError(f"{error}; see {prog} --help") from error


def overview() -> str:
    """Return the help without a command."""
    usage = [f"usage: {PROG} COMMAND [OPTIONS]", f"       {PROG} COMMAND --help", f"       {PROG} --version"]
    commands = [filled(f"  {name:<10}{options.__doc__}".splitlines()[0], 12) for name, options in COMMANDS.items()]
    examples = [f"  {PROG} {EXAMPLES[name][0]}" for name in ("train", "study", "recipes")]
    about = "The weight-initialisation notebook in JAX and Flax."
    return "\n".join((*usage, "", about, "", "commands:", *commands, "", "examples:", *examples))


def versions() -> str:
    """Return the versions of the package and of the libraries that decide its numbers, without importing them."""
    lines = []
    for name in VERSIONS:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)
