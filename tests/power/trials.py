"""One mistake or harmless change, tried in a port: what the ladder says of it. Runs in worker processes."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from jax_impl.parity.causes.diagnosing import diagnose
from jax_impl.parity.verdict import Verdict
from tests.ports import runs
from tests.ports.faults import Fault
from tests.ports.harmless import Harmless
from tests.power.causes import ALSO, expected


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the ladder said.

    Attributes:
        model, name: Of the mistake.
        seen_in: The public thread where it was made, or "own".
        rung: The first one that failed; None if none did.
        line: The first line of the verdict.
        margin: Measured over allowed, of the first failed check; None if it measures nothing.
        named: Whether the first line names the right module.
        causes: The confirmed causes.
        right: Whether one of them is the right one; None if the cause is in no family.
        wrong: Confirmed causes that are not right, although the right one is known.
        seconds: Of processor time, that the diagnosis took.
        error: Why the trial broke down.
    """

    model: str
    name: str
    seen_in: str = "own"
    rung: int | None = None
    line: str = ""
    margin: float | None = None
    named: bool = False
    causes: list[str] = field(default_factory=list)
    right: bool | None = None
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""


def fault_outcome(fault: Fault) -> Outcome:
    """Plant a mistake, and return what the ladder says."""
    with mock.patch("jax_impl.parity.ladder.diagnose", Timed(diagnose)) as timed:
        verdict = runs.verdict_on(fault)
    first, pattern = verdict.first, expected(fault.name)
    causes = [str(cause) for cause in verdict.diagnosis.causes]
    fitting = [text for text in causes if pattern is not None and re.search(pattern, text)]
    return Outcome(
        model=fault.model,
        name=fault.name,
        seen_in=fault.seen,
        rung=runs.first_rung(verdict),
        line=verdict.first_line,
        margin=None if first is None or not first.allowed or first.measured is None else first.measured / first.allowed,
        named=first is not None and runs.names_module(verdict, fault),
        causes=causes,
        right=None if pattern is None else bool(fitting),
        wrong=[] if pattern is None else [text for text in causes if text not in fitting and not re.search(ALSO, text)],
        seconds=timed.seconds,
    )


class Timed:
    """A function, and the processor seconds that its calls took."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        begun = time.process_time()
        result = self._function(*arguments)
        self.seconds += time.process_time() - begun
        return result


def harmless_outcome(change: Harmless) -> Outcome:
    """Make a harmless change, and return what the ladder says."""
    verdict: Verdict = runs.verdict_after(change)
    return Outcome(
        model=change.model,
        name=change.name,
        rung=runs.first_rung(verdict),
        line=verdict.first_line,
        causes=[str(cause) for cause in verdict.diagnosis.causes],
    )


def kept(folder: Path, kind: str, trial: Any) -> Outcome:
    """Return the outcome of a trial: from the folder if it was tried before, else by trying it."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"{trial.model} {trial.name}".lower())
    path = folder / f"{kind}-{slug}.json"
    if path.exists():
        return read(json.loads(path.read_text(encoding="utf-8")))
    try:
        outcome = fault_outcome(trial) if isinstance(trial, Fault) else harmless_outcome(trial)
    except Exception as error:  # the table names it; all other trials go on
        return Outcome(model=trial.model, name=trial.name, error=f"{type(error).__name__}: {error}"[:300])
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    aside.replace(path)
    return outcome


def read(values: Mapping[str, Any]) -> Outcome:
    """Return a stored outcome."""
    return Outcome(**values)
