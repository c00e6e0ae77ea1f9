"""Errors that a user can cause and fix. Everything else is a bug."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class UserError(Exception):
    """One line that names what is wrong, what was expected and the remedy.

    `__main__` prints it and exits with `exit_code`.
    """

    exit_code = 1


class ArgumentError(UserError, ValueError):
    """An argument outside its allowed range."""

    exit_code = 2


class DivergedError(UserError):
    """The cost or a parameter is no longer a finite number."""


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM."""

    exit_code = 143


def require(condition: bool, name: str, expected: str, value: object) -> None:
    """Raise an ArgumentError that gives the name, what was expected and the value, unless the condition holds."""
    if not condition:
        raise ArgumentError(f"{name} must be {expected}, got {value!r}")


def require_integer(value: int, name: str, least: int, largest: int = 2**31 - 1) -> None:
    """Raise an ArgumentError that gives the name, the range and the value, unless the value is in the range."""
    require(least <= value <= largest, name, f"an integer from {least} to {largest}", value)


# Words in names that people try, and our words
SYNONYMS = {
    "he": "kaiming", "msra": "kaiming", "glorot": "xavier", "gaussian": "normal", "truncated": "trunc", "zero": "zeros",
    "one": "ones", "default": "linear_default", "identity": "linear", "logistic": "sigmoid", "lrelu": "leaky_relu",
}  # fmt: skip


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise an ArgumentError that suggests what may be meant and lists all names, unless `name` is known."""
    if name not in (known := sorted(known)):
        near = [repr(suggestion) for suggestion in _suggestions(name, known)]
        hint = f"did you mean {', '.join(near[:-1])}{' or ' if near[1:] else ''}{near[-1]}? " if near else ""
        raise ArgumentError(f"unknown {kind} {name!r}: {hint}allowed are {', '.join(known)}")


def _suggestions(name: str, known: Sequence[str]) -> list[str]:
    """Return the known names that may be meant: another spelling, a synonym, a part of a name, or a misspelling."""
    plain = re.sub(r"[\s_-]+", "_", name.strip().casefold()).rstrip("_")  # torch's functions end in an underscore
    ours = "_".join(SYNONYMS.get(word, word) for word in plain.split("_"))
    for meant in (plain, ours):
        if meant in known:
            return [meant]
    parts = [longer for longer in known if {plain, ours} & {*longer.split("_")} or longer.startswith(f"{plain}_")]
    few = parts if len(parts) <= 4 else []  # a part that most names have says nothing
    return few or get_close_matches(plain, known, n=1)
