"""Words of the command line to a dataclass of options: the values' types, the grouped help, and one-line errors."""

import argparse
import inspect
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from jax_impl.commands.options.shared import OTHER, Option
from jax_impl.errors import ArgumentError

POSITIONAL = ("RECIPE", "THEIRS", "OURS")  # the metavars of values that have no option's name before them
NUMBERS = {int: "a whole number", float: "a number"}
NEGATIVE = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)  # argparse's own takes -inf and -1e5 for options


class Parser(argparse.ArgumentParser):
    """The parser of one command. Its errors are one line that ends with the command's help."""

    def __init__(self, prog: str, options: type, examples: Sequence[str]) -> None:
        """Take the command line's first words, the dataclass of options, and examples for the end of the help."""
        hints = get_type_hints(options, include_extras=True)
        described = [(field, *get_args(hints[field.name])) for field in fields(options)]
        positional = [(option.metavar, field.default) for field, _, option in described if option.metavar in POSITIONAL]
        usage = "".join(f" {metavar}" if default is MISSING else f" [{metavar}]" for metavar, default in positional)
        super().__init__(
            prog=prog,
            usage=f"%(prog)s{usage} [OPTIONS]",
            description=filled(inspect.cleandoc(options.__doc__ or "")),
            epilog="\n".join(("examples:", *(f"  {example}" for example in examples))),
            formatter_class=_Formatter,
            allow_abbrev=False,  # an abbreviation would change its meaning when a similar option is added
            add_help=False,
        )
        self._negative_number_matcher = NEGATIVE
        self.options, self.groups = options, dict[str, Any]()
        self.names, self.flags = {"-h", "--help"}, set[str]()
        for field, kind, option in sorted(described, key=lambda entry: entry[2].group == OTHER):
            self._add(field, kind, option)
        self.groups[OTHER].add_argument("-h", "--help", action="help", help="Show this help.")

    def options_of(self, words: Sequence[str]) -> Any:
        """Return the options that the words give, as the dataclass. `--help` prints and exits.

        Raises:
            ArgumentError: An option is unknown, repeated, or without a value of its type.
        """
        if {"-h", "--help"} & set(words):
            self.parse_args(["--help"])
        names = [word.partition("=")[0] for word in words if word.startswith("-") and word.strip("-")]
        for place, name in enumerate(names):
            if name not in self.names and not NEGATIVE.match(name):
                self.error(self._unknown(name))
            if name in names[:place]:
                self.error(f"{name} is given twice: give it once")
        parsed, unexpected = self.parse_known_args(words)
        if unexpected:
            self.error(f"unexpected argument {unexpected[0]!r}")
        return self.options(**vars(parsed))

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message, or ours, as one line with a pointer to the help."""
        if message.startswith("argument "):
            name, _, text = message.removeprefix("argument ").partition(": ")
            if text.startswith("expected"):
                text = "needs a value, got none"
            text = text.replace("ignored explicit argument", "takes no value, got")
            message = f"{name} {text}"
        elif message.startswith("the following arguments are required: "):
            message = f"{message.partition(': ')[2]} must be given"
        raise ArgumentError(f"{message}; see {self.prog} --help")

    def _unknown(self, name: str) -> str:
        """Return the message about a name that is no option's."""
        positive = name.replace("--no-", "--", 1)
        if positive != name and positive in self.flags:
            return f"unknown option {name}: {positive} is off unless given, so leave it out"
        known = sorted(self.names)
        near = [longer for longer in known if longer.startswith(name)] or get_close_matches(name, known, cutoff=0.75)
        return f"unknown option {name}" + (f" (did you mean {' or '.join(near)}?)" if near else "")

    def _add(self, field: Field[Any], kind: Any, described: Option) -> None:
        """Add a field of the dataclass as an option, or as a value without an option's name."""
        default = field.default
        words = described.default or (None if default in (None, MISSING) else str(default))
        text = described.text if words is None else f"{described.text.removesuffix('.')} (default: {words})."
        flag = f"--{field.name.replace('_', '-')}"
        if described.group not in self.groups:
            self.groups[described.group] = self.add_argument_group(described.group)
        add = self.groups[described.group].add_argument
        if kind is bool:
            self.names.add(flag)
            self.flags.add(flag)
            add(flag, action="store_true", help=text)
            return
        reader, metavar = _reader(kind), described.metavar or f"{{{','.join(get_args(kind))}}}"
        if metavar in POSITIONAL:
            add(
                field.name,
                metavar=metavar,
                help=text,
                type=reader,
                default=default,
                nargs=None if words is None else "?",
            )
        else:
            self.names.add(flag)
            add(flag, metavar=metavar, help=text, type=reader, default=default, required=default is MISSING)


def filled(text: str, indent: int = 0) -> str:
    """Return paragraphs with lines as long as the terminal allows; all but a paragraph's first line are indented."""
    width = max(shutil.get_terminal_size().columns - 2, 40)
    return "\n".join(textwrap.fill(line, width, subsequent_indent=" " * indent) for line in text.splitlines())


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the examples, and gives the names of the options room."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, max_help_position=26, **settings)


def _reader(hint: Any) -> Callable[[str], Any]:
    """Return the function that turns a word into a value of the hinted type."""
    if get_origin(hint) is UnionType:
        (hint,) = (kind for kind in get_args(hint) if kind is not NoneType)
    return partial(_value, hint)


def _value(kind: Any, word: str) -> Any:
    """Return a word as a value of a type.

    Raises:
        argparse.ArgumentTypeError: It is none. argparse passes the text on to `Parser.error`.
    """
    if get_origin(kind) is Literal:
        if word not in (allowed := get_args(kind)):
            raise wrong_value(f"must be {' or '.join(allowed)}, got {word!r}")
        return word
    if kind in NUMBERS:
        try:
            return kind(word)
        except ValueError:
            raise wrong_value(f"must be {NUMBERS[kind]}, got {word!r}") from None
    if not word.strip():
        raise wrong_value("needs a value, got ''")
    try:
        return Path(word).expanduser() if kind is Path else word
    except RuntimeError:  # ~name, of an unknown user
        raise wrong_value(f"must be a path, got {word!r}: ~ stands for no folder here") from None


def wrong_value(text: str) -> argparse.ArgumentTypeError:
    """Return what argparse expects from a reader: it puts the option's name before the text."""
    return argparse.ArgumentTypeError(text)
