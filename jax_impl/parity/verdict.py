"""What a comparison of two records found: checks, rungs of the ladder, and the verdict."""

import math
from dataclasses import dataclass, field
from typing import Any

from jax_impl.figures.numbers import short
from jax_impl.parity.blind.blindspot import BlindSpot
from jax_impl.parity.diagnosis import Diagnosis

PASS, FAIL, NOT_COMPARED = "PASS", "FAIL", "NOT COMPARED"
SHOWN = 20  # failed checks in an AssertionError


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where the arrays of a check are in the records, for what looks for its cause.

    Attributes:
        mode: Of a forward pass: "train" or "eval".
        call: The reference's module and which of its calls.
        role: "input" or "output".
        index: Which of the call's arrays.
        forced: Whether the port's module received the reference's inputs.
        leaf: The name under which the port recorded a leaf.
        step: The number of a step, from 0.
    """

    mode: str = ""
    call: tuple[str, int] | None = None
    role: str = ""
    index: int = 0
    forced: bool = False
    leaf: str = ""
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison.

    Attributes:
        place: Where: a module, a leaf, a step, in the reference's names.
        stage: At which stage of the program, for example "forward, training mode".
        what: What was compared, for example "output".
        passed: Whether the two sides agree.
        finding: If they do not, what that means, for example "input and weights agree, output differs".
        measured: The difference, which is also the smallest tolerance that would pass; None if it is no number.
        allowed: The tolerance.
        unit: Of the two: "relative" to the reference's L2 norm, "absolute", or what is counted.
        reason: Why the tolerance is what it is.
        detail: The numbers found.
        module: The path of the reference's module that is marked in the tree; None if there is none.
        evidence: Where its arrays are; None if it compares no arrays.
    """

    place: str
    stage: str
    what: str
    passed: bool
    finding: str = ""
    measured: float | None = None
    allowed: float | None = None
    unit: str = ""
    reason: str = ""
    detail: str = ""
    module: str | None = None
    evidence: Evidence | None = field(default=None, repr=False)

    def __str__(self) -> str:
        text = f"{self.place} ({self.stage}): {self.finding or self.what}"
        if self.measured is None or self.allowed is None or math.isinf(self.measured):
            return f"{text}: {self.detail}" if self.detail else text
        numbers = "measured {}, allowed {}".format(*told(self.measured, self.allowed))
        kind = f" {self.unit}" if self.unit and self.unit != "relative" else ""
        return f"{text}: {numbers}{kind}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A rung of the ladder. Without checks it was not compared, and `reason` says why and what to pass to `save`."""

    number: int
    title: str
    question: str
    checks: tuple[Check, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed, in their order."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def state(self) -> str:
        """PASS, FAIL or NOT COMPARED."""
        return NOT_COMPARED if not self.checks else FAIL if self.failures else PASS


@dataclass(frozen=True, kw_only=True)
class Node:
    """A module of the reference beside the port's, as one line of the two module trees.

    Attributes:
        path: Of the reference's module.
        theirs: Its type.
        ours_path: Of the port's module; None if it has none that does the same.
        ours: Its type.
        state: FAIL if one of its checks fails, on any rung.
        rung: The first rung on which one fails; 0 if none does.
        finding: What that check found.
        depth: How many modules are around it.
    """

    path: str
    theirs: str
    ours_path: str | None
    ours: str
    state: str
    rung: int
    finding: str
    depth: int


@dataclass(frozen=True, kw_only=True)
class Side:
    """Where one side's numbers come from."""

    folder: str
    versions: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    precision: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a port is faithful to its reference.

    It has no truth value, so that `assert verdict` cannot pass by mistake.

    Attributes:
        rungs: The ladder, from the settings to the accuracy.
        tree: The modules of both sides, aligned, in the order of registration.
        coverage: How much of the reference was paired and compared, as text.
        theirs: The reference.
        ours: The port.
        diagnosis: Why it failed.
        blind_spots: What a pass does not tell: mistakes that the records could not have shown.
    """

    rungs: tuple[Rung, ...]
    tree: tuple[Node, ...]
    coverage: str
    theirs: Side
    ours: Side
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    blind_spots: tuple[BlindSpot, ...] = ()

    @property
    def failures(self) -> tuple[Check, ...]:
        """All failed checks, in the ladder's order."""
        return tuple(check for rung in self.rungs for check in rung.failures)

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing failed."""
        return not self.failures and any(rung.checks for rung in self.rungs)

    @property
    def first(self) -> Check | None:
        """The first divergence: the first failed check on the way up the ladder."""
        return next(iter(self.failures), None)

    @property
    def first_line(self) -> str:
        """The answer in one line."""
        if self.first is not None:
            partner = next((node.ours_path for node in self.tree if node.path == self.first.module), None)
            ours = f" [ours: {partner}]" if partner and partner != self.first.module else ""
            return f"first divergence: {self.first}{ours}"
        states = [rung.state for rung in self.rungs]
        count = f"{states.count(PASS)} of {len(states)} rungs agree"
        absent = ", ".join(str(rung.number) for rung in self.rungs if rung.state == NOT_COMPARED)
        return f"{PASS if self.passed else FAIL}: {count}" + (f", not compared: {absent}" if absent else "")

    def require(self) -> "Verdict":
        """Return this verdict if it is a pass.

        Raises:
            AssertionError: It is none. The message has the first divergence and the failed checks.
        """
        if not self.passed:
            others = [f"  {check}" for check in self.failures[:SHOWN]]
            hidden = len(self.failures) - len(others)
            more = [f"  and {hidden:,} more"] if hidden else []
            raise AssertionError("\n".join((self.first_line, *others, *more)))
        return self

    def __bool__(self) -> bool:
        raise TypeError("a Verdict has no truth value: read .passed, or call .require()")

    def __str__(self) -> str:
        return self.first_line


def told(measured: float, allowed: float) -> tuple[str, str]:
    """Return two numbers as text, with as many digits as tell them apart: no failure reads "measured 2, allowed 2"."""
    for digits in range(2, 18):
        texts = _number(measured, digits), _number(allowed, digits)
        if texts[0] != texts[1] or measured == allowed:
            break
    return texts


def _number(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "infinite" if math.isinf(value) else "not a number"
    return str(int(value)) if value == int(value) and abs(value) < 1e6 else short(value, digits)
