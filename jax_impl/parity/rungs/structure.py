"""Rung 3: every leaf of the reference has a partner, and no leaf of the port is without one."""

from collections.abc import Iterator

import numpy as np

from jax_impl.parity.arrays import sampled
from jax_impl.parity.pair import MODES, SUM, Pair, Term
from jax_impl.parity.records.content import Leaf, Unpaired
from jax_impl.parity.verdict import Check, Rung

STAGE = "structure"


def structure(pair: Pair) -> Rung:
    """Compare which leaves there are, their shapes, and which are tied."""
    checks = [*_theirs(pair), *_ours(pair), *_ties(pair)]
    mapping = pair.ours.content.mapping
    return Rung(
        number=3,
        title="Structure",
        question="Has every parameter and buffer a partner?",
        checks=tuple(checks),
        reason="" if checks else "the reference has no parameters",
        notes=(coverage(pair), *(mapping.warnings if mapping else ())),
    )


def coverage(pair: Pair) -> str:
    """Return how much of the reference has a partner: "41 of 41 torch modules, 60 of 60 parameters, …"."""
    paired = _paired_leaves(pair)
    leaves = [leaf for leaf in pair.theirs.content.leaves if leaf.name in paired or not _needless(pair, leaf)]
    counts = []
    owners = {leaf.module for leaf in leaves}
    matched = {leaf.module for leaf in leaves if leaf.name in paired}
    counts.append(f"{len(matched)} of {len(owners)} torch modules with leaves")
    for kind in ("parameter", "buffer"):
        names = {leaf.name for leaf in leaves if leaf.kind == kind}
        if names:
            counts.append(f"{len(names & paired)} of {len(names)} {kind}s")
    for mode in ("train", "eval"):
        theirs, ours = pair.forward(mode)
        if theirs and ours:
            calls = {(call.module, call.call) for call in (*ours.free, *ours.forced)}
            known = sum((call.module, call.call) in calls for call in theirs.free)
            counts.append(f"{known} of {len(theirs.free)} calls in {MODES[mode]}")
    return ", ".join(counts)


def _needless(pair: Pair, leaf: Leaf) -> bool:
    """Return whether a port needs no such leaf: a counter of batches, or a constant, such as a mask."""
    if leaf.kind != "buffer" or leaf.dtype.startswith(("int", "uint", "bool")):
        return leaf.kind == "buffer"
    start, steps = pair.theirs.start(leaf.name), pair.theirs.content.trajectory or []
    reference = steps[-1].buffers.get(leaf.name) if steps else None
    if start is None or reference is None:
        return start is None
    last = pair.theirs.array(reference).reshape(-1)
    return bool(np.array_equal(last, sampled(start, last.size).reshape(-1), equal_nan=True))


def _paired_leaves(pair: Pair) -> set[str]:
    """Return the reference's leaves that have a partner; a tied one has that of the first."""
    mapping = pair.ours.content.mapping
    texts = [text for one in (mapping.leaves if mapping else ()) for text in one.theirs]
    found = {Term.of(text).leaf for text in texts}
    return found | {leaf.name for leaf in pair.theirs.content.leaves if leaf.tied in found}


def _theirs(pair: Pair) -> Iterator[Check]:
    """Check each leaf of the reference."""
    mapping = pair.ours.content.mapping
    missing = {one.name: one for one in mapping.unmatched.theirs} if mapping else {}
    paired = _paired_leaves(pair)
    for leaf in pair.theirs.content.leaves:
        if leaf.name in paired or not _needless(pair, leaf):
            known = leaf.name in paired
            detail = "" if known else _closest(missing.get(leaf.name, Unpaired(name=leaf.name, shape=leaf.shape)))
            yield _check(pair, leaf.name, "partner", "" if known else f"the port has no such {leaf.kind}", detail)
    for name in sorted(paired - pair.leaves.keys()):
        yield _check(pair, name, "partner", "the mapping names it, and the reference has no such leaf", "")
    own = {leaf.name: leaf for leaf in pair.ours.content.leaves}
    for one in mapping.leaves if mapping else ():
        for name in one.ours:
            if own and Term.of(name).leaf not in own:
                yield _check(pair, SUM.join(one.theirs), "partner", f"the port's {name} does not exist", "")


def _ours(pair: Pair) -> Iterator[Check]:
    """Report each leaf of the port without a partner."""
    mapping = pair.ours.content.mapping
    for one in mapping.unmatched.ours if mapping else ():
        yield Check(
            place=one.name,
            stage=STAGE,
            what="partner",
            passed=False,
            finding="only the port has this leaf",
            detail=_closest(one),
        )


def _ties(pair: Pair) -> Iterator[Check]:
    """Check that the same leaves are tied on both sides."""
    mapping = pair.ours.content.mapping
    partners: dict[str, set[str]] = {}
    users: dict[str, set[str]] = {}
    for one in mapping.leaves if mapping else ():
        if len(one.theirs) == len(one.ours) == 1:  # several are packed into one, which ties nothing
            partners.setdefault(one.theirs[0], set()).add(one.ours[0])
            users.setdefault(one.ours[0], set()).add(_first(pair, one.theirs[0]))
    first = {leaf.name: leaf.tied or leaf.name for leaf in pair.ours.content.leaves}
    for leaf in pair.theirs.content.leaves:
        if leaf.tied is not None:
            both = [{first.get(own, own) for own in partners.get(name, ())} for name in (leaf.name, leaf.tied)]
            apart = bool(both[0] and both[1]) and both[0] != both[1]
            detail = f"theirs is {leaf.tied}, ours has two: {', '.join(sorted(both[0] | both[1]))}" if apart else ""
            yield _check(pair, leaf.name, "tied", "tied in theirs, separate in ours" if apart else "", detail)
    for theirs in users.values():
        if len(theirs) > 1:
            yield _check(pair, min(theirs), "tied", "separate in theirs, tied in ours", ", ".join(sorted(theirs)))


def _first(pair: Pair, name: str) -> str:
    leaf = pair.leaves.get(name)
    return leaf.tied if leaf is not None and leaf.tied is not None else name


def _closest(one: Unpaired) -> str:
    shape = f"shape {tuple(one.shape)}"
    return f"{shape}, closest: {', '.join(one.closest[:3])}" if one.closest else shape


def _check(pair: Pair, place: str, what: str, finding: str, detail: str) -> Check:
    module = pair.module_of(place)
    return Check(place=place, stage=STAGE, what=what, passed=not finding, finding=finding, detail=detail, module=module)
