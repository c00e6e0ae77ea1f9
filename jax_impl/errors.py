"""Errors that a user can cause and fix. Everything else is a bug."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches

Log = Callable[[str], None]  # takes one line for a person to read
LARGEST = 2**31 - 1  # count that JAX's indices and counters hold: they are int32


class UserError(Exception):
    """One line that names what is wrong, what was expected and the remedy.

    `commands` prints it and exits with `exit_code`.
    """

    exit_code = 1


class ArgumentError(UserError, ValueError):
    """An argument outside its allowed range."""

    exit_code = 2


class DivergedError(UserError):
    """The cost or a parameter is no longer a finite number."""


class Interrupted(KeyboardInterrupt):
    """The command was stopped by a signal or by its time limit. The text says what is kept."""

    def __init__(self, text: str = "", *, exit_code: int = 130) -> None:
        super().__init__(*([text] if text else []))
        self.exit_code = exit_code


def with_note(error: DivergedError | KeyboardInterrupt, note: str) -> DivergedError | Interrupted:
    """Return the error that ended a training early, with a note that says which results are kept."""
    text = f"{error}; {note}" if error.args else note
    if isinstance(error, DivergedError):
        return DivergedError(text)
    return Interrupted(text, exit_code=getattr(error, "exit_code", 130))


def require(condition: bool, field: str, expected: str, value: object) -> None:
    """Raise an ArgumentError that names the field, what was expected and the value, unless the condition holds."""
    if not condition:
        raise ArgumentError(f"{field} must be {expected}, got {value!r}")


def require_integer(value: int, field: str, least: int, largest: int = LARGEST) -> None:
    """Raise an ArgumentError that names the field, the range and the value, unless the value is in the range."""
    require(least <= value <= largest, field, f"an integer from {least} to {largest}", value)


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> ArgumentError:
    """Return the error for a `name` that is not in `allowed`. It suggests the closest spelling and lists all names."""
    allowed = sorted(allowed)
    near = get_close_matches(name, allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ArgumentError(f"unknown {kind} {name!r}: {hint}allowed are {', '.join(allowed)}")
