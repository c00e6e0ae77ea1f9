"""Modules in another order within a block: two exchanged, or a norm before what it came after.

Each array of the block is an expression of what is at hand. One change of the block changes several of them, and the
port must agree with all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from jax_impl.parity.causes.cases import ForwardCase, whole
from jax_impl.parity.causes.compute.layers.activations import IDENTITY
from jax_impl.parity.causes.families.glue.at_hand import Operand, calls_within, outer_call, short
from jax_impl.parity.causes.families.glue.explaining import Glue
from jax_impl.parity.causes.families.glue.expressions import Expression, Term
from jax_impl.parity.causes.hypotheses import Hypothesis
from jax_impl.parity.measures.execution import key
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.verdict import Evidence

MOST = 24  # arrays of a block

Wires = Mapping[Evidence, Expression]


@dataclass(frozen=True)
class Change:
    """A block that is put together otherwise: an expression for each array that changes, and the cause in words."""

    cause: str
    fix: str
    wires: Wires


class Block:
    """All arrays that a module of the reference hands to those in it, and returns, as expressions."""

    def __init__(self, case: ForwardCase) -> None:
        self.case, outer = case, outer_call(case)
        self.inside = calls_within(case)
        places = [(call, "input") for call in self.inside] + ([(outer, "output")] if outer else [])
        self.cases: dict[Evidence, ForwardCase] = {}
        for call, role in places:
            for number, reference in enumerate(getattr(call, f"{role}s")):
                evidence = replace(case.evidence, call=key(call), role=role, index=number)
                other = ForwardCase(case.pair, replace(case.check, module=outer.module if outer else None), evidence)
                if reference is not None and has_own(other):
                    self.cases[evidence] = other
        known = {evidence: Glue.of(one).reference for evidence, one in list(self.cases.items())[:MOST]}
        found = {evidence: one for evidence, one in known.items() if one is not None}
        self.wires: dict[Evidence, Expression] = {at: self.spelt_out(one, found) for at, one in found.items()}

    @classmethod
    def of(cls, case: ForwardCase) -> "Block":
        """Return the block of a case, computed once."""
        outer = outer_call(case)
        place = ("block", case.evidence.mode, case.evidence.forced, key(outer) if outer else None)
        if place not in case.pair.kept:
            case.pair.kept[place] = cls(case)
        block: Block = case.pair.kept[place]
        return block

    def spelt_out(self, one: Expression, wires: Wires) -> Expression:
        """Return a sum in which what another module receives is replaced by the sum that makes it."""
        names = {f"{short(self.case, call)}'s input": (key(call), "input") for call in self.inside}
        made = {(at.call, at.role): other for at, other in wires.items() if at.index == 0 and _plain(other)}
        if not _plain(one):
            return one
        parts = [made.get(names.get(term.operand.name, (None, ""))) for term in one.terms]
        terms = [
            part.terms if part and part is not one else (term,) for part, term in zip(parts, one.terms, strict=True)
        ]
        return replace(one, terms=collected([term for group in terms for term in group]))

    def inputs(self, path: str) -> dict[Evidence, Expression]:
        """Return what a module receives."""
        return {at: one for at, one in self.wires.items() if at.role == "input" and at.call and at.call[0] == path}

    def output(self, path: str) -> Operand | None:
        """Return what a module returns, if it is at hand and called once."""
        calls = [call for call in self.inside if call.module == path]
        array = whole(self.case.pair.theirs, calls[0].outputs[0]) if len(calls) == 1 == len(calls[0].outputs) else None
        if array is None:
            return None
        return Operand(f"{short(self.case, calls[0])}'s output", array.astype(np.float64), path)

    def measured(self, change: Change) -> Measured | None:
        """Return the worst agreement of the port with the changed block; None if an array does not agree."""
        worst: Measured | None = None
        for evidence, expression in (self.wires | dict(change.wires)).items():
            found = self.cases[evidence].target.agrees(expression.value())
            if found is None or not found.passed:
                return None
            worst = found if worst is None or found.measured > worst.measured else worst
        return worst


def collected(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Return the terms of a sum with each operand once."""
    found: dict[str, Term] = {}
    for term in terms:
        before = found.get(term.operand.name)
        found[term.operand.name] = replace(term, factor=term.factor + (before.factor if before else 0.0))
    return tuple(found.values())


def has_own(case: ForwardCase) -> bool:
    """Return whether the port has the array, too."""
    own = case.passes[1].forced if case.evidence.forced else case.passes[1].free
    mine = next((call for call in own if key(call) == case.evidence.call), None)
    arrays = getattr(mine, f"{case.role}s") if mine else []
    return len(arrays) > case.evidence.index and arrays[case.evidence.index] is not None


def restructured(case: ForwardCase) -> Hypothesis | None:
    """Return the change of the whole block that gives all of the port's arrays."""
    block = Block.of(case)
    place = ("change", id(block))
    if place not in case.pair.kept:
        tried = ((change, block.measured(change)) for change in (*exchanged(block), *norms_moved(block)))
        case.pair.kept[place] = next(((change, found) for change, found in tried if found is not None), None)
    confirmed = case.pair.kept[place]
    if confirmed is None or case.evidence not in confirmed[0].wires:
        return None
    change, measured = confirmed
    return Hypothesis(cause=change.cause, fix=change.fix, test=lambda: measured)


def exchanged(block: Block) -> Iterator[Change]:
    """Yield blocks in which two modules of the same type stand in each other's place."""
    modules = block.case.pair.modules
    for one, other in combinations(dict.fromkeys(call.module for call in block.inside), 2):
        outputs = block.output(one), block.output(other)
        if modules[one].type != modules[other].type or None in outputs:
            continue
        swap = {a.name: b for a, b in zip(outputs, reversed(outputs), strict=True) if a is not None and b is not None}
        wires: dict[Evidence, Expression] = {}
        for at, expression in block.wires.items():
            path = at.call[0] if at.call else ""
            to = {one: other, other: one}.get(path) if at.role == "input" else None
            target = replace(at, call=(to, 0)) if to is not None else at
            changed = _substituted(expression, swap)
            if target in block.wires and not _equal(changed, block.wires[target]):
                wires[target] = changed
        if len(wires) > 1:
            names = [_short(block, path) for path in (one, other)]
            yield Change(
                f"{names[0]} and {names[1]} are exchanged",
                f"call {names[0]} where {names[1]} is called, and the reverse",
                wires,
            )


def norms_moved(block: Block) -> Iterator[Change]:
    """Yield blocks in which a norm comes before a branch instead of after its sum, or the reverse."""
    for path in dict.fromkeys(call.module for call in block.inside):
        result, received = block.output(path), block.inputs(path)
        if "norm" not in block.case.pair.modules[path].type.casefold() or result is None or len(received) != 1:
            continue
        at, before = next(iter(received.items()))
        if not _plain(before):
            continue
        for other in dict.fromkeys(call.module for call in block.inside):
            branch = block.inputs(other)
            if other != path and branch and all(map(_plain, branch.values())):
                yield from _earlier(block, path, other, Term(result), at)
                yield from _later(block, path, other, Term(result), at)


def _earlier(block: Block, path: str, other: str, result: Term, at: Evidence) -> Iterator[Change]:
    """Yield the norm before `other` instead of after the sum of what `other` receives and the branch."""
    total, branch = block.wires[at], block.inputs(other)
    start = next(iter(branch.values()))
    if not all(_equal(one, start) for one in branch.values()) or not _counts(start) < _counts(total):
        return
    wires = {where: _exchanged(one, (result,), total.terms) for where, one in block.wires.items()}
    wires |= {where: replace(one, terms=(result,)) for where, one in branch.items()}
    wires[at] = start
    norm, name = _short(block, path), _short(block, other)
    yield Change(
        f"{norm} comes before {name} instead of after the sum (pre-norm instead of post-norm)",
        f"{norm}(x + {name}(x)), not x + {name}({norm}(x))",
        _only_changed(block, wires),
    )


def _later(block: Block, path: str, other: str, result: Term, at: Evidence) -> Iterator[Change]:
    """Yield the norm after the sum with the branch that `other` begins, instead of before `other`."""
    start, branch = block.wires[at], block.inputs(other)
    if any(_counts(one) != Counter([result.operand.name]) for one in branch.values()):
        return
    sums = [one for one in block.wires.values() if _plain(one) and _counts(start) < _counts(one)]
    for total in sorted(sums, key=lambda one: len(one.terms))[:1]:
        wires = {where: _exchanged(one, total.terms, (result,)) for where, one in block.wires.items()}
        wires |= {where: replace(one, terms=start.terms) for where, one in branch.items()}
        wires[at] = total
        norm, name = _short(block, path), _short(block, other)
        yield Change(
            f"{norm} comes after the sum instead of before {name} (post-norm instead of pre-norm)",
            f"x + {name}({norm}(x)), not {norm}(x + {name}(x))",
            _only_changed(block, wires),
        )


def _only_changed(block: Block, wires: Wires) -> Wires:
    return {at: one for at, one in wires.items() if not _equal(one, block.wires[at])}


def _exchanged(one: Expression, before: tuple[Term, ...], after: tuple[Term, ...]) -> Expression:
    """Return a sum with some of its terms replaced by others; the same if they are not among them."""
    have, removed = _counts(one), Counter(term.operand.name for term in before)
    if not _plain(one) or not removed <= have:
        return one
    names = {term.operand.name: term for term in (*one.terms, *after)}
    left = have - removed + Counter(term.operand.name for term in after)
    return replace(one, terms=tuple(names[name] for name in left.elements()))


def _substituted(one: Expression, swap: Mapping[str, Operand]) -> Expression:
    terms = (replace(term, operand=swap.get(term.operand.name, term.operand)) for term in one.terms)
    return replace(one, terms=tuple(terms))


def _plain(one: Expression) -> bool:
    """Return whether an expression is a sum of operands."""
    return one.outer is IDENTITY and not one.product and all(term == Term(term.operand) for term in one.terms)


def _counts(one: Expression) -> Counter[str]:
    return Counter(term.operand.name for term in one.terms)


def _equal(one: Expression, other: Expression) -> bool:
    return sorted(map(str, one.terms)) == sorted(map(str, other.terms)) and one.outer.name == other.outer.name


def _short(block: Block, path: str) -> str:
    return short(block.case, next(call for call in block.inside if call.module == path))
