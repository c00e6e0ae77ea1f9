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


class Interrupted(KeyboardInterrupt):
    """The command was asked to end; its text says what is kept."""

    def __init__(self, text: str = "", *, exit_code: int = 130) -> None:
        super().__init__(*([text] if text else []))
        self.exit_code = exit_code


def keeping(error: DivergedError | KeyboardInterrupt, what: str) -> DivergedError | Interrupted:
    """Return what ended a computation early, with the words that say what of it is kept."""
    text = f"{error}; {what}" if error.args else what
    if isinstance(error, DivergedError):
        return DivergedError(text)
    return Interrupted(text, exit_code=getattr(error, "exit_code", 130))


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> ArgumentError:
    """Return the error for a `name` that is not among `allowed`, with the nearest spelling first."""
    allowed = sorted(allowed)
    near = get_close_matches(name, allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ArgumentError(f"unknown {kind} {name!r}: {hint}allowed are {', '.join(allowed)}")
