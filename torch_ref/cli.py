"""The grammar of the command line: the commands, their options, and one-line errors."""

import argparse
import contextlib
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from torch_ref import recipes
from torch_ref.errors import ArgumentError, require_known

PROG = "python -m torch_ref"
RECIPE_HELP = f"One of {', '.join(recipes.RECIPES)}; see `recipes`"
COMMANDS = {
    "train": "Train a recipe, print the notebook's lines and write a run folder.",
    "evaluate": "Print the test accuracy of parameters that either package wrote.",
    "recipes": "List the recipes and their settings.",
}
EXAMPLES = {
    "train": ("train mnist_nn_he --epochs 3 --loader tensor", "train --init orthogonal --out runs/orthogonal"),
    "evaluate": (
        "train mnist_nn_he --epochs 1 --out runs/he",
        "evaluate mnist_nn_he --params runs/he/params.safetensors",
    ),
    "recipes": ("recipes",),
}
VERSIONS = ("mnist-initialization-port", "torch", "torchvision")  # what --version prints


Reader = Callable[[str], Any]  # makes a value of a word


NEGATIVE = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)  # argparse's own takes -inf and -1e5 for options


class _Parser(argparse.ArgumentParser):
    """A parser that raises its errors as one line, which names the command's help."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("argument "):
            name, _, text = message.removeprefix("argument ").partition(": ")
            if text.startswith("expected"):
                text = "needs a value, got none"
            if choice := re.match(r"invalid choice: ('.*') \(choose from (.*)\)", text):
                text = f"must be {' or '.join(re.findall(r'[0-9a-z]+', choice[2]))}, got {choice[1]}"
            message = f"{name} {text.replace('ignored explicit argument', 'takes no value, got')}"
        elif message.startswith("the following arguments are required: "):
            message = f"{message.partition(': ')[2]} must be given"
        raise ArgumentError(f"{message}; see {self.prog} --help")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, and as `command` the name of the command. `--help` and `--version` print and exit.

    Raises:
        ArgumentError: The arguments are wrong.
    """
    overview = _overview()
    if not arguments:
        overview.error(f"a command must be given, one of {', '.join(COMMANDS)}")
    command, *words = arguments
    if command.startswith("-"):
        overview.parse_args([command] if command in {"-h", "--help", "--version"} else [])
        overview.error(f"a command must come first, one of {', '.join(COMMANDS)}")
    try:
        require_known("command", command, COMMANDS)
    except ArgumentError as error:
        overview.error(str(error))
    parser = _parser(command)
    if {"-h", "--help"} & set(words):
        parser.parse_args(["--help"])
    _check_names(parser, words)
    parsed, unexpected = parser.parse_known_args(words, argparse.Namespace(command=command))
    if unexpected:
        parser.error(f"unexpected argument {unexpected[0]!r}")
    return parsed


def _overview() -> _Parser:
    """Return the parser of a command line without a command."""
    lines = [f"  {name:<10}{text}" for name, text in COMMANDS.items()]
    lines = ["commands:", *lines, "", "examples:", *(f"  {PROG} {EXAMPLES[name][0]}" for name in ("train", "recipes"))]
    parser = _Parser(
        prog=PROG,
        usage=f"{PROG} COMMAND [OPTIONS]",
        description="The weight-initialisation notebook in PyTorch.",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version="\n".join(map(_version, VERSIONS)))
    return parser


def _version(name: str) -> str:
    """Return the version of a package without importing it."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} is not installed"


def _parser(command: str) -> _Parser:
    """Return the parser of a command."""
    recipe = {"train": " [RECIPE]", "evaluate": " [RECIPE]", "recipes": ""}[command]
    parser = _Parser(
        prog=f"{PROG} {command}",
        usage=f"%(prog)s{recipe} [OPTIONS]",
        description=COMMANDS[command],
        epilog="\n".join(("examples:", *(f"  {PROG} {example}" for example in EXAMPLES[command]))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser._negative_number_matcher = NEGATIVE
    if command == "train":
        _add_train_options(parser)
    if command == "evaluate":
        text = f"{RECIPE_HELP} (default: the run's, in config.json next to the file)"
        parser.add_argument("recipe", metavar="RECIPE", nargs="?", help=text)
        text = "The params.safetensors of a run, or its folder"
        parser.add_argument("--params", type=_path, metavar="FILE|DIR", required=True, help=text)
        _add_common_options(parser)
    parser.add_argument("--debug", action="store_true", help="Show the traceback of an error (default: off)")
    return parser


def _add_train_options(train: argparse.ArgumentParser) -> None:
    text = f"{RECIPE_HELP} (default: %(default)s)"
    train.add_argument("recipe", metavar="RECIPE", nargs="?", default=recipes.DEFAULT, help=text)
    _setting(train, "epochs", _integer, "N", "Passes over the training images; 0 writes the initial parameters")
    _setting(train, "batch_size", _integer, "N", "Images per step; the last, incomplete batch is dropped")
    _setting(train, "learning_rate", _number, "X", "Learning rate of the optimizer")
    _setting(train, "optimizer", _text, "NAME", "Optimizer: adam, or sgd without momentum")
    _setting(train, "init", _text, "NAME", "Initialiser of the weights in torch.nn.init; a wrong name lists all")
    _setting(train, "init_passes", _integer, "N", "Runs of the init cell; the notebook's saved session had two")
    _setting(train, "seed", _integer, "N", "Seed of every random draw")
    text = "Precision of the whole computation (default: the recipe's, float32)"
    train.add_argument("--dtype", choices=recipes.NAMES["dtype"], help=text)
    text = "The notebook's DataLoader, or the same batches from memory, several times faster (default: %(default)s)"
    train.add_argument("--loader", choices=recipes.LOADERS, default=recipes.LOADERS[0], help=text)
    text = "CPU threads; their number changes the last digits of a cost (default: %(default)s)"
    train.add_argument("--threads", type=_integer, metavar="N", default=1, help=text)
    text = (
        "The run folder (default: runs/torch_ref-RECIPE-SEED and the settings, but epochs, that are not the recipe's)"
    )
    train.add_argument("--out", type=_own_folder, metavar="DIR", help=text)
    text = "Replace what the folder holds, even if it is another experiment (default: off)"
    train.add_argument("--overwrite", action="store_true", help=text)
    _add_common_options(train)


def _add_common_options(command: argparse.ArgumentParser) -> None:
    names = ", ".join(recipes.NAMES["activation"])
    _setting(command, "activation", _text, "NAME", f"Activation between the layers: {names}")
    text = "Folder that contains MNIST/raw (default: $MNIST_DATA_DIR, else MNIST_data)"
    command.add_argument("--data-dir", type=_path, metavar="DIR", help=text)


def _setting(parser: argparse.ArgumentParser, field: str, kind: Reader, metavar: str, text: str) -> None:
    """Add an option that overrides a field of the recipe; the help gives the recipes' value, if they share one."""
    values = {getattr(recipe, field) for recipe in recipes.RECIPES.values()}
    hint = f", {values.pop()}" if len(values) == 1 else "; see `recipes`"
    flag = f"--{field.replace('_', '-')}"
    parser.add_argument(flag, type=kind, metavar=metavar, help=f"{text} (default: the recipe's{hint})")


def _check_names(parser: _Parser, words: Sequence[str]) -> None:
    """Raise an ArgumentError if a word is no option's name, or a name is repeated."""
    known = sorted(option for action in parser._actions for option in action.option_strings)
    names = [word.partition("=")[0] for word in words if word.startswith("-") and word.strip("-")]
    for place, name in enumerate(names):
        if name not in known and not NEGATIVE.match(name):
            longer = [option for option in known if option.startswith(name)]
            near = longer or get_close_matches(name, known, cutoff=0.75)
            parser.error(f"unknown option {name}" + (f" (did you mean {' or '.join(near)}?)" if near else ""))
        if name in names[:place]:
            parser.error(f"{name} is given twice: give it once")


def _integer(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise wrong_value(f"must be a whole number, got {word!r}") from None


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise wrong_value(f"must be a number, got {word!r}") from None


def _text(word: str) -> str:
    if not word.strip():
        raise wrong_value("needs a value, got ''")
    return word


def _path(word: str) -> Path:
    try:
        return Path(_text(word)).expanduser()
    except RuntimeError:  # ~name, of an unknown user
        raise wrong_value(f"must be a path, got {word!r}: ~ stands for no folder here") from None


def _own_folder(word: str) -> Path:
    """Read --out: the run's files must not lie among others."""
    out = _path(word)
    with contextlib.suppress(OSError, RuntimeError):  # the current folder was deleted, or links form a circle
        if out.resolve() in (Path.cwd(), *Path.cwd().parents):
            raise wrong_value(f"must be a folder of its own, such as runs/x, got {word!r}")
    return out


def wrong_value(text: str) -> argparse.ArgumentTypeError:
    """Return the error of a value. argparse puts the option's name before the text."""
    return argparse.ArgumentTypeError(text)
