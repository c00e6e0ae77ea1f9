"""Errors that a user can cause and fix. Everything else is a bug."""

import re
from collections.abc import Callable, Iterable, Sequence
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


# Words in names that people try, and our words
SYNONYMS = {
    "he": "kaiming", "msra": "kaiming", "glorot": "xavier", "gaussian": "normal", "truncated": "trunc", "zero": "zeros",
    "one": "ones", "default": "linear_default", "identity": "linear", "logistic": "sigmoid", "lrelu": "leaky_relu",
}  # fmt: skip


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> ArgumentError:
    """Return the error for a `name` that is not in `allowed`. It suggests what may be meant and lists all names."""
    allowed = sorted(allowed)
    near = [repr(known) for known in suggestions(name, allowed)]
    hint = f"did you mean {', '.join(near[:-1])}{' or ' if near[1:] else ''}{near[-1]}? " if near else ""
    return ArgumentError(f"unknown {kind} {name!r}: {hint}allowed are {', '.join(allowed)}")


def suggestions(name: str, allowed: Sequence[str]) -> list[str]:
    """Return the allowed names that may be meant: another spelling, a synonym, a part of a name, or a misspelling."""
    known = {_plain(name): name for name in allowed}
    plain = _plain(name)
    ours = "_".join(SYNONYMS.get(word, word) for word in plain.split("_"))
    for meant in (plain, ours):
        if meant in known:
            return [known[meant]]
    parts = [longer for longer in known if {plain, ours} & {*longer.split("_")} or longer.startswith(f"{plain}_")]
    few = parts if len(parts) <= 4 else []  # a part that most names have says nothing
    return [known[near] for near in few or get_close_matches(plain, known, n=1)]


def _plain(name: str) -> str:
    """Return a name without what people spell differently: capitals, hyphens, spaces and torch's final underscore."""
    return re.sub(r"[\s_-]+", "_", name.strip().casefold()).rstrip("_")
