"""Errors that a user can cause and fix. Everything else is a bug."""

from collections.abc import Iterable
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


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise an ArgumentError that suggests the closest name and lists all names, unless `name` is known."""
    if name not in (known := sorted(known)):
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ArgumentError(f"unknown {kind} {name!r}: {hint}allowed are {', '.join(known)}")
