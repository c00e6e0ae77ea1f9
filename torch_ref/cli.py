"""The grammar of the command line: the commands, their options, and one-line errors."""

import argparse
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from torch_ref import recipes
from torch_ref.errors import ArgumentError, require_known

RECIPE_HELP = f"one of {', '.join(recipes.RECIPES)}"


class _Parser(argparse.ArgumentParser):
    """A parser that raises its errors as one line."""

    def error(self, message: str) -> NoReturn:
        text = message.removeprefix("argument ")
        text = text.replace(": invalid int value:", " must be a whole number, got")
        text = text.replace(": invalid float value:", " must be a number, got")
        raise ArgumentError(f"{text}; see {self.prog} --help")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, and as `command` the name of the command. `--help` prints and exits.

    Raises:
        ArgumentError: The arguments are wrong.
    """
    parser = _Parser(prog="python -m torch_ref", description="The weight-initialisation notebook in PyTorch.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="{train,evaluate}")
    text = "Train a recipe, print the notebook's lines and write a run folder. Options replace values of the recipe."
    train = subparsers.add_parser("train", help=text, description=text, allow_abbrev=False)
    text = "Print the test accuracy of parameters that jax_impl or torch_ref wrote."
    evaluate = subparsers.add_parser("evaluate", help=text, description=text, allow_abbrev=False)
    _add_train_options(train)
    text = f"{RECIPE_HELP} (default: the run's, in config.json next to the file)"
    evaluate.add_argument("recipe", metavar="RECIPE", nargs="?", help=text)
    text = "params.safetensors of a run, or its folder"
    evaluate.add_argument("--params", type=Path, metavar="FILE|DIR", required=True, help=text)
    _add_common_options(evaluate)

    commands = {"train": train, "evaluate": evaluate}
    if arguments and not arguments[0].startswith("-"):
        require_known("command", arguments[0], commands)
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = commands[parsed.command]
        near = get_close_matches(unknown[0], re.findall(r"--[a-z-]+", command.format_help()), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        command.error(f"unknown argument {unknown[0]}{hint}")
    return parsed


def _add_train_options(train: argparse.ArgumentParser) -> None:
    train.add_argument("recipe", metavar="RECIPE", nargs="?", default=recipes.DEFAULT, help=RECIPE_HELP)
    option = train.add_argument
    option("--epochs", type=int, metavar="N", help="passes over the training images; 0 writes the initial parameters")
    option("--seed", type=int, metavar="N", help="seed of every random draw")
    option("--init", metavar="NAME", help="initialiser of the weights in torch.nn.init; a wrong name lists all")
    option("--optimizer", metavar="NAME", help="adam, or sgd without momentum")
    option("--init-passes", type=int, metavar="N", help="runs of the init cell; the notebook's saved session had two")
    option("--batch-size", type=int, metavar="N", help="images per step; the last, incomplete batch is dropped")
    option("--learning-rate", type=float, metavar="X", help="learning rate of the optimizer")
    option("--dtype", choices=recipes.NAMES["dtype"], help="precision of the whole computation (default: float32)")
    text = "the notebook's DataLoader, or the same batches from memory, several times faster (default: %(default)s)"
    option("--loader", choices=recipes.LOADERS, default="dataloader", help=text)
    text = "CPU threads; their number changes the last digits of a cost (default: %(default)s)"
    option("--threads", type=int, metavar="N", default=1, help=text)
    text = "run folder (default: runs/torch_ref-RECIPE-SEED and the settings, except epochs, that are not the recipe's)"
    option("--out", type=Path, metavar="DIR", help=text)
    option("--overwrite", action="store_true", help="replace what the folder holds, even if it is another experiment")
    _add_common_options(train)


def _add_common_options(command: argparse.ArgumentParser) -> None:
    activations = ", ".join(recipes.NAMES["activation"])
    command.add_argument("--activation", metavar="NAME", help=f"between the layers: {activations}")
    text = "folder that contains MNIST/raw (default: $MNIST_DATA_DIR, else MNIST_data)"
    command.add_argument("--data-dir", type=Path, metavar="DIR", help=text)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
