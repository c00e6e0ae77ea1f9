"""Errors that a user can cause and mend; everything else is a bug and keeps its traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """One line that names what is wrong, what was expected and the remedy.

    `__main__` prints it and exits with `exit_code`.
    """

    exit_code = 1


class ArgumentError(UserError, ValueError):
    """An argument outside what is allowed."""

    exit_code = 2


class DivergedError(UserError):
    """The cost stopped being a finite number."""


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> ArgumentError:
    """Return the error for a `name` that is not among `allowed`, with the nearest spelling first."""
    allowed = sorted(allowed)
    near = get_close_matches(name, allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ArgumentError(f"unknown {kind} {name!r}: {hint}allowed are {', '.join(allowed)}")
