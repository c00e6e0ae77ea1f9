"""Which failed checks need an explanation of their own: those that do not follow from earlier ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase, LeafCase, WholeCase
from jax_impl.parity.pair import Pair
from jax_impl.parity.rungs.forward import DOUBT
from jax_impl.parity.verdict import Check, Rung

SETTINGS, DATA, STRUCTURE, WEIGHTS, FRESH, TRAIN, EVAL, LOSS, GRADIENTS, OPTIMIZER, STATE, TRAJECTORY = range(1, 13)
PLACES = 24  # cases of one rung
WHOLE = {  # the rungs that are explained as a whole, and those that must pass before: otherwise it follows from them
    SETTINGS: (), DATA: (), LOSS: (TRAIN, EVAL), GRADIENTS: (WEIGHTS, TRAIN, LOSS), OPTIMIZER: (WEIGHTS,),
    STATE: (WEIGHTS, TRAIN), TRAJECTORY: (WEIGHTS, TRAIN, LOSS, GRADIENTS, OPTIMIZER, STATE),
}  # fmt: skip
NAMES = {SETTINGS: "settings", DATA: "data", LOSS: "loss", GRADIENTS: "gradients", OPTIMIZER: "optimizer",
         STATE: "state", TRAJECTORY: "trajectory"}  # fmt: skip
DEPENDENCE = ("equal leaves", "independence")  # what checks between leaves of fresh models compare

MISSING = "the port has no such"  # then modules may be paired wrongly

Kind = str  # a key of `registry.FAMILIES`


def cases(pair: Pair, rungs: Sequence[Rung]) -> Iterator[tuple[Kind, Any]]:
    """Yield the cases to explain, each with the kind of families that can, in the ladder's order."""
    failures = {rung.number: rung.failures for rung in rungs}
    told = set[str]()
    for number in range(SETTINGS, TRAJECTORY + 1):
        failed = failures.get(number, ())
        if failed and number in WHOLE:
            yield from _whole(pair, number, failures)
        elif number == STRUCTURE:
            yield from (("structure", case) for case in _each(pair, number, failed))
        elif number == WEIGHTS:
            yield from (("weights", case) for case in _loaded(pair, failed))
        elif number == FRESH:
            between = [check for check in failed if check.what.startswith(DEPENDENCE)]
            yield from (("fresh", case) for case in _drawn(pair, failed))
            yield from (("dependence", case) for case in _each(pair, number, between))
        elif not any(check.finding.startswith(MISSING) for check in failures.get(STRUCTURE, ())):
            yield from (("forward", case) for case in _forward(pair, failed, told))
            yield from (("shape", case) for case in _reshaped(pair, failed))


def _whole(pair: Pair, number: int, failures: Mapping[int, Sequence[Check]]) -> Iterator[tuple[Kind, WholeCase]]:
    """Yield a case for a rung that is explained as a whole, unless it follows from another one."""
    failed = tuple(failures.get(number, ()))
    if number == STATE and any(failures.get(before) for before in (LOSS, GRADIENTS, OPTIMIZER)):
        failed = tuple(check for check in failed if check.evidence is None or not check.evidence.step)  # others follow
    if failed and not any(failures.get(before) for before in WHOLE[number]):
        yield NAMES[number], WholeCase(pair, failed[0], number, failed)


def _forward(pair: Pair, failed: Sequence[Check], told: set[str]) -> Iterator[ForwardCase]:
    """Yield a case for each module that errs on the reference's own inputs, or else for the first error."""
    known = [check for check in failed if check.evidence and check.what != DOUBT]
    chosen = [check for check in known if check.evidence and check.evidence.forced] or known[:1]
    for check in chosen:
        place = f"{check.module} {check.what}"
        if check.evidence is not None and place not in told and len(told) < PLACES:
            told.add(place)
            yield ForwardCase(pair, check, check.evidence)


def _reshaped(pair: Pair, failed: Sequence[Check]) -> Iterator[ForwardCase]:
    """Yield a case for the first output that has another shape, or for the module's input if that has, too."""
    check = next((check for check in failed if check.what == DOUBT), None)
    if check is None or check.evidence is None:
        return
    case = ForwardCase(pair, check, check.evidence)
    if not case.mine.own_inputs:
        yield case
        return
    evidence = replace(check.evidence, role="input")
    outer = case.parent.module if case.parent else ""
    yield ForwardCase(pair, replace(check, module=outer), evidence)


def _loaded(pair: Pair, failed: Sequence[Check]) -> Iterator[LeafCase]:
    """Yield a case for each leaf whose loaded numbers differ."""
    for check in failed[:PLACES]:
        theirs, ours = _start(pair, check.place), pair.ours.start(check.place)
        if check.evidence is not None and theirs is not None and ours is not None and theirs.shape == ours.shape:
            yield LeafCase(pair, check, check.evidence, check.place, theirs, ours.astype(np.float64))


def _start(pair: Pair, name: str) -> Floats | None:
    """Return what the reference has under a name of the port's: a leaf, a part of one, or a sum."""
    found = []
    for term in pair.paired.get(name, ()):
        array = pair.theirs.start(term.leaf)
        if array is None:
            return None
        found.append(array.astype(np.float64)[slice(term.start, term.stop) if term.stop is not None else ...])
    return sum(found[1:], found[0]) if len({one.shape for one in found}) == 1 else None


def _each(pair: Pair, number: int, failed: Sequence[Check]) -> Iterator[WholeCase]:
    """Yield a case for each failed check."""
    yield from (WholeCase(pair, check, number, tuple(failed)) for check in failed[:PLACES])


def _drawn(pair: Pair, failed: Sequence[Check]) -> Iterator[LeafCase]:
    """Yield a case for each leaf whose initial weights differ."""
    theirs, ours = pair.theirs.content.fresh, pair.ours.content.fresh
    if theirs is None or ours is None:
        return
    failed = [check for check in failed if not check.what.startswith(DEPENDENCE)]
    names = dict.fromkeys(check.place for check in failed if check.evidence is not None)
    for name in list(names)[:PLACES]:
        check = next(check for check in failed if check.place == name)
        if check.evidence is not None and name in theirs.leaves and name in ours.leaves:
            a, b = pair.theirs.array(theirs.leaves[name]), pair.ours.array(ours.leaves[name])
            yield LeafCase(pair, check, check.evidence, name, a.astype(np.float64), b.astype(np.float64))
