"""Arguments to a command's options, and one-line errors."""

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated

import tyro

from jax_impl.commands.options import shared
from jax_impl.commands.options.rbm import TrainDbn, TrainRbm
from jax_impl.commands.options.shared import option
from jax_impl.commands.options.study import Study
from jax_impl.commands.options.train import Evaluate, Train
from jax_impl.errors import ArgumentError, unknown_name

PROG = "python -m jax_impl"


@dataclass(frozen=True, kw_only=True)
class Data:
    """Fetch MNIST unless the folder has it, and verify it."""

    data_dir: shared.DataDir = None
    mirror: Annotated[
        str | None,
        option("URL", "Folder with the four .gz files, used instead of the official mirror.", "$MNIST_MIRROR"),
    ] = None
    debug: shared.Debug = False


Command = Train | Evaluate | Study | TrainRbm | TrainDbn | Data
COMMANDS: dict[str, Callable[..., Command]] = {
    "train": Train, "evaluate": Evaluate, "study": Study, "rbm": TrainRbm, "dbn": TrainDbn, "data": Data,
}  # fmt: skip


def parse(arguments: Sequence[str]) -> Command:
    """Return the options of the command that the arguments name. `--help` prints and exits.

    Raises:
        ArgumentError: The arguments are wrong.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown_name("command", arguments[0], COMMANDS)
    message = io.StringIO()
    try:
        with contextlib.redirect_stderr(message):
            command: Command = tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog=PROG,
                description="The weight-initialisation notebook in JAX/Flax.",
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
            return command
    except SystemExit as stop:
        if not stop.code:
            raise
        named = arguments[:1] if arguments and arguments[0] in COMMANDS else []
        text = _name_type(_one_line(message.getvalue()))
        raise ArgumentError(f"{text}; see {' '.join([PROG, *named])} --help") from None


def _one_line(message: str) -> str:
    """Return the first paragraph of tyro's framed message, and its suggestion, in one line."""
    # In UTF-8 the frame has the title in its upper edge; in ASCII the title is above a rule.
    lines = [line.strip("│ ") for line in message.splitlines() if line[:1] not in {"╭", "╰"}]
    if "╭" not in message:
        lines = lines[2:]
    paragraph = takewhile(lambda line: not set(line) <= set("─-"), lines)  # until a rule or an empty line
    text = " ".join(paragraph).rstrip(".").replace("{None}|", "")
    if "Perhaps you meant:" in lines:
        text += f" (did you mean {lines[lines.index('Perhaps you meant:') + 1].split()[0]}?)"
    return text


def _name_type(text: str) -> str:
    """Return tyro's message about a value that is not a number in the words of our other messages."""
    pattern = r"Error parsing (--[\w-]+): .*\b(int|float)\b.*?('.*'|\".*\")\]?"
    if not (match := re.fullmatch(pattern, text, re.IGNORECASE)):
        return text
    option, kind, value = match.groups()
    return f"{option} must be a {'whole ' if kind.lower() == 'int' else ''}number, got {value}"
