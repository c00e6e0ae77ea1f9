"""A hypothesis: one change of the reference that may explain the port's numbers."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jax_impl.parity.measures.tolerances import Measured


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One change of the reference.

    Attributes:
        cause: What the port does, in place of what the reference does: "epsilon 1e-06 instead of 1e-05".
        fix: What to write in the port, in one line.
        test: Computes the changed reference and compares it with the port. None if that cannot be computed.
        known: Public threads about it, such as "flax 963".
    """

    cause: str
    fix: str
    test: Callable[[], Measured | None]
    known: str = ""


@dataclass(frozen=True)
class Family:
    """Hypotheses that belong together, for one kind of case.

    Attributes:
        name: What is excluded if none of them is confirmed, for example "epsilon".
        hypotheses: Yields those that apply to a case.
        last_resort: Whether it is tried only if no other family explains the case: it says what the numbers are, and
            not which setting made them so.
    """

    name: str
    hypotheses: Callable[[Any], Iterator[Hypothesis]]
    last_resort: bool = False


@contextlib.contextmanager
def optional(what: str) -> Iterator[None]:
    """Turn an exception into a warning: the verdict matters more than what is said of it. In tests it is an error."""
    try:
        yield
    except Exception as error:
        warnings.warn(f"{what} failed: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=3)
