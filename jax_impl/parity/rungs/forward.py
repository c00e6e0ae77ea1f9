"""Rungs 6 and 7: what goes into and comes out of each module, in training and in evaluation mode.

In the forced pass each module of the port receives the reference's own inputs. So an error in an output is made by the
module itself, and an error in an input by the module around it. In the free pass errors add up.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from jax_impl.parity.checks import check
from jax_impl.parity.measures.execution import Event, Key, events, key, within_float32
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import MODES, Pair
from jax_impl.parity.records.content import Call, Pass, Reference
from jax_impl.parity.verdict import Check, Evidence, Rung

DOUBT = "shape of the output"


def forward(pair: Pair, mode: str, number: int) -> Rung:
    """Compare the calls of modules on the first batch in one mode, in the order of execution."""
    theirs, ours = pair.forward(mode)
    checks: list[Check] = []
    notes: list[str] = []
    reason = f"the reference recorded no call in {MODES[mode]}: record it again"
    if theirs is not None and theirs.free:
        checks, notes = _compared(pair, mode, theirs, ours or Pass(free=[]))
        reason = "the port's program has no modules, so loss and gradients judge it: name arrays with parity.observe"
    return Rung(
        number=number,
        title=f"Forward, {MODES[mode]}",
        question="Does each module return the same, given the same inputs and weights?",
        checks=tuple(checks),
        reason="" if checks else reason,
        notes=tuple(notes),
    )


def _compared(pair: Pair, mode: str, theirs: Pass, ours: Pass) -> tuple[list[Check], list[str]]:
    forced, free = ({key(call): call for call in calls} for calls in (ours.forced, ours.free))
    stage = f"forward, {MODES[mode]}"
    missing, absent = _uncalled(pair, stage, theirs.free, forced.keys() | free.keys())
    counts = _counts(pair, stage, theirs.free, ours)
    walk = _Walk(pair, mode, theirs.free)
    checks = list(walk.checks(forced, forced=True))
    own_errors = any(not one.passed for one in checks)
    checks += walk.checks(free, forced=False, inherited=own_errors, alone=bool(forced))
    checks, doubts = _settled([*missing, *counts, *checks])
    notes = list(dict.fromkeys((*walk.notes, *doubts)))
    if absent:
        shown = f"{', '.join(absent[:8])}{', …' if len(absent) > 8 else ''}"
        notes.append(f"no counterpart in the port, so judged by the module around them: {shown}")
    return checks, notes


def _settled(checks: Sequence[Check]) -> tuple[list[Check], list[str]]:
    """Return the checks without doubts, and the doubts as notes, if everything else agrees.

    An output of another shape may be harmless, if it is broadcast later, and may be what makes all else differ.
    """
    certain = [check for check in checks if check.what != DOUBT]
    if not certain or not all(check.passed for check in certain):
        return list(checks), []
    doubts = [f"{check.place}: {check.finding}, and what follows agrees" for check in checks if check.what == DOUBT]
    return certain, doubts


def _uncalled(pair: Pair, stage: str, calls: Sequence[Call], known: set[Key]) -> tuple[list[Check], list[str]]:
    """Return checks for paired modules that the port does not call, and the modules that it has no counterpart of."""
    mapping = pair.ours.content.mapping
    uncalled = set(mapping.uncalled) if mapping else set()
    checks, absent = [], []
    for path in dict.fromkeys(call.module for call in calls if key(call) not in known):
        own = pair.partners.get(path)
        if own is None or own in uncalled or path in uncalled:
            absent.append(pair.name(path))
            continue
        checks.append(_plain(pair, stage, path, "the port does not call it", f"ours: {own or 'the model'}"))
    return checks, absent


def _counts(pair: Pair, stage: str, calls: Sequence[Call], ours: Pass) -> Iterator[Check]:
    """Check that the port calls no module more often than the reference."""
    theirs = Counter(call.module for call in calls)
    own = Counter(module for module, _ in {key(call) for call in (*ours.free, *ours.forced)})
    for path, count in own.items():
        if count > theirs[path]:
            yield _plain(pair, stage, path, "the port calls it more often", f"theirs {theirs[path]}, ours {count}")


class _Walk:
    """The reference's calls in the order of execution, and the comparisons of ours with them."""

    def __init__(self, pair: Pair, mode: str, calls: Sequence[Call]) -> None:
        self.pair, self.mode, self.calls = pair, mode, calls
        self.stage, self.flagged = f"forward, {MODES[mode]}", pair.in_float32(mode)
        self.notes: list[str] = []
        self._late = within_float32(calls, self.flagged)
        self._events = list(events(calls))
        parents = {event.call: event.parent for event in self._events}
        self._parents = {number: None if parent is None else calls[parent] for number, parent in parents.items()}

    def checks(
        self, ours: dict[Key, Call], *, forced: bool, inherited: bool = False, alone: bool = False
    ) -> Iterator[Check]:
        """Yield the comparisons of a pass.

        Args:
            ours: The port's calls.
            forced: Whether they received the reference's inputs.
            inherited: Whether a module is known to have an error of its own.
            alone: Whether each module was also compared on the reference's inputs.
        """
        failed = inherited
        trails: dict[int | None, list[str]] = {}  # by parent, the last call that was compared, and those since then
        for event in self._events:
            call = self.calls[event.call]
            mine = ours.get(key(call))
            trail = trails.setdefault(event.parent, [])
            if not event.begins:
                trails[event.parent] = [call.module] if mine is not None else [*trail, call.module]
            if mine is None or (event.begins and alone):
                continue
            checks = self._inputs(event, mine, trail, forced) if event.begins else self._outputs(event, mine, forced)
            for one in checks:
                if one.what == DOUBT:
                    yield one
                    continue
                yield _blamed(one, failed=failed, alone=alone) if not forced and not one.passed else one
                failed = failed or not (forced or one.passed)

    def _inputs(self, event: Event, mine: Call, trail: Sequence[str], forced: bool) -> Iterator[Check]:
        """Compare what a call receives. A difference is made by the module that calls it, after those of `trail`."""
        call, parent = self.calls[event.call], self._parents[event.call]
        if len(mine.inputs) != len(call.inputs) or None in mine.inputs:
            self.notes.append(f"{self.pair.name(call.module)}: its inputs are not those of the port's module")
        if parent is None:
            place, finding = self.pair.name(""), "what the loss hands to the model differs"
        else:
            place = self.pair.name(parent.module)
            after = f" (after {' and '.join(_short(path, parent) for path in trail)})" if trail else ""
            finding = f"what it hands to {_short(call.module, parent)} differs{after}"
        loose = parent is not None and key(parent) in self.flagged if forced else key(call) in self._late[0]
        for number, what, found in self._compare("input", call.inputs, mine.inputs, loose):
            module = "" if parent is None else parent.module
            yield check(found, place=place, stage=self.stage, what=f"{what} of {call.module or 'the model'}",
                        finding=finding, module=module,
                        evidence=self._evidence(call, "input", number, forced))  # fmt: skip

    def _outputs(self, event: Event, mine: Call, forced: bool) -> Iterator[Check]:
        """Compare what a call returns."""
        call = self.calls[event.call]
        weights = "weights agree" if call.module not in self.pair.different_weights else "its weights do not"
        if event.children:
            finding = "the modules in it agree, its output differs"
        else:
            finding = f"input and {weights}, output differs" if "agree" in weights else (
                f"input agrees, {weights}, output differs"
            )  # fmt: skip
        loose = key(call) in (self.flagged if forced else self._late[1])
        compared = list(self._compare("output", call.outputs, mine.outputs, loose))
        if call.outputs and not compared:
            shapes = ", ".join(str(tuple(one.shape)) for one in call.outputs if one is not None)
            own = ", ".join(str(tuple(shape)) for shape in mine.own_outputs)
            detail = f"theirs: {shapes}" + (f", ours, in its own layout: {own}" if own else "")
            doubt = _plain(self.pair, self.stage, call.module, "its output has another shape", detail)
            yield replace(doubt, what=DOUBT, evidence=self._evidence(call, "output", 0, forced))
        again = f", call {call.call + 1}" if call.call else ""
        for number, what, found in compared:
            yield check(found, place=self.pair.name(call.module), stage=self.stage,
                        what=what + again if forced else f"{what}{again}, free", finding=finding,
                        module=call.module, evidence=self._evidence(call, "output", number, forced))  # fmt: skip

    def _compare(
        self, role: str, theirs: Sequence[Reference | None], ours: Sequence[Reference | None], loose: bool
    ) -> Iterator[tuple[int, str, Measured]]:
        """Compare the arrays of a call that both sides have."""
        for number, (reference, mine) in enumerate(zip(theirs, ours, strict=False)):
            if reference is not None and mine is not None:
                what = role if len(theirs) == 1 else f"{role} {number + 1}"
                yield number, what, self.pair.compare(mine, reference, loose=loose)

    def _evidence(self, call: Call, role: str, index: int, forced: bool) -> Evidence:
        return Evidence(mode=self.mode, call=key(call), role=role, index=index, forced=forced)


def _blamed(one: Check, *, failed: bool, alone: bool) -> Check:
    """Return a failed check of the free pass with what it means there."""
    if failed:
        finding = "differs, inherited"
    elif alone:
        finding = "each module alone agrees, in a row they differ from here on"
    else:
        finding = one.finding
    return replace(one, finding=finding)


def _short(path: str, parent: Call) -> str:
    """Return a module's path within another one, or its whole path if the former is a number."""
    prefix = f"{parent.module}." if parent.module else ""
    inner = path.removeprefix(prefix) or "itself"
    return path if inner.isdigit() else inner


def _plain(pair: Pair, stage: str, path: str, finding: str, detail: str) -> Check:
    return Check(
        place=pair.name(path), stage=stage, what="calls", passed=False, finding=finding, detail=detail, module=path
    )
