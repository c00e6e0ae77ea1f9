"""Which failed checks are explained, and by which families."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from jax_impl.parity.causes import picking
from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.families.glue.dropout import AS_MANY
from jax_impl.parity.causes.families.registry import FAMILIES
from jax_impl.parity.causes.hypotheses import Family, Hypothesis, optional
from jax_impl.parity.diagnosis import Cause, Diagnosis
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair
from jax_impl.parity.verdict import Rung

SECONDS = 25.0  # of processor time, after which no further hypothesis is tried


def diagnose(pair: Pair, rungs: Sequence[Rung]) -> Diagnosis:
    """Look for the causes of all failures that do not follow from earlier ones."""
    until = time.process_time() + SECONDS
    found: dict[tuple[str, str], Cause] = {}
    unexplained: dict[str, Any] = {}
    excluded: dict[str, None] = {}
    explained = False
    for kind, case in picking.cases(pair, rungs):
        if kind == "shape" and explained:
            continue  # what makes the numbers differ changes the shape, too
        if time.process_time() > until:
            unexplained[f"{case.check.place}: not tried, {SECONDS:g} s were over"] = case
            continue
        causes, refuted = explain(case, FAMILIES[kind], until)
        for cause in causes:
            merge(found, cause)
        explained = explained or (bool(causes) and kind == "forward")
        if kind == "shape" and causes:
            unexplained = {text: one for text, one in unexplained.items() if not _follows(one)}
        if not causes:
            unexplained[f"{case.check.place} ({case.check.stage})"] = case
            excluded |= dict.fromkeys(refuted)
    return Diagnosis(causes=tuple(main(found.values())), unexplained=tuple(unexplained), excluded=tuple(excluded))


def _follows(case: Any) -> bool:
    """Return whether a case is about a module that received other arrays than the reference's: of another shape."""
    return isinstance(case, ForwardCase) and bool(case.mine.own_inputs)


def explain(case: Any, families: Iterable[Family], until: float) -> tuple[list[Cause], list[str]]:
    """Return the confirmed causes of a case, and the families that were tried in vain."""
    causes: list[Cause] = []
    refuted: list[str] = []
    for family in families:
        if family.last_resort and causes:
            continue
        with optional(f"the search for a cause of the family {family.name!r}"):
            found, tried = _confirmed(case, family, until)
            causes += found
            if tried and not causes:
                refuted.append(family.name)
    return causes, refuted


def _confirmed(case: Any, family: Family, until: float) -> tuple[list[Cause], bool]:
    """Return the causes that a family confirms, and whether any hypothesis could be tested."""
    causes, tried = [], False
    for hypothesis in family.hypotheses(case):
        if time.process_time() > until:
            break
        measured = hypothesis.test()
        tried = tried or measured is not None
        if measured is not None and measured.passed:
            causes.append(confirmed(case, hypothesis, measured))
    return causes, tried


def confirmed(case: Any, hypothesis: Hypothesis, measured: Measured) -> Cause:
    """Return a hypothesis that passed its test as a cause."""
    return Cause(
        place=(case.check.place,),
        cause=hypothesis.cause,
        fix=hypothesis.fix,
        known=hypothesis.known,
        measured=measured.measured,
        allowed=measured.allowed,
        unit=measured.unit,
    )


def main(causes: Iterable[Cause]) -> list[Cause]:
    """Return the causes without what follows from others: masks that fall to other places if dropout differs."""
    found = list(causes)
    others = [cause for cause in found if cause.fix != AS_MANY]
    return others if any("drop" in cause.cause for cause in others) else found  # "dropout", or "dropped out"


def merge(found: dict[tuple[str, str], Cause], cause: Cause) -> None:
    """Add a cause, or a further place of the same one. Of two for one module, the one that says more is kept."""
    key = cause.cause, cause.fix
    before = found.get(key)
    less = next((one for one, other in found.items() if cause.cause.startswith(f"{one[0]}, ")
                 and any(f"{cause.place[0]}.".startswith(f"{place}.") for place in other.place)), None)  # fmt: skip
    if before is None and less is not None:
        found[key] = replace(cause, place=tuple(dict.fromkeys((*found.pop(less).place, *cause.place))))
    elif before is None:
        found[key] = cause
    elif cause.place[0] not in before.place:
        worst = max((before, cause), key=lambda one: one.measured)
        found[key] = replace(worst, place=(*before.place, *cause.place))
