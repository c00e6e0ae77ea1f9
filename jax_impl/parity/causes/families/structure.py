"""Structure: leaves that only one side has, leaves of other sizes, and leaves that are tied on one side only."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from jax_impl.parity.causes.cases import WholeCase
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.causes.picking import MISSING
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair, Term
from jax_impl.parity.records.content import Leaf, Unpaired

ONLY_OURS, TIED_THEIRS, TIED_OURS = (
    "only the port has this leaf",
    "tied in theirs, separate",
    "separate in theirs, tied",
)
RECORDED = partial(Measured, measured=0.0, allowed=0.0, unit="leaves")  # the records themselves show it
SWITCHES = {"bias": "use_bias", "b": "use_bias", "beta": "use_bias", "scale": "use_scale", "gamma": "use_scale",
            "weight": "use_scale"}  # fmt: skip


def extra(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield a leaf that only the port has."""
    own = next((leaf for leaf in case.pair.ours.content.leaves if leaf.name == case.check.place), None)
    mapping = case.pair.ours.content.mapping
    paired = {Term.of(name).leaf for one in (mapping.leaves if mapping else ()) for name in one.ours}
    if case.check.finding != ONLY_OURS or own is None or own.name in paired:
        return
    partner = next((theirs for theirs, ours in case.pair.partners.items() if ours == own.module), None)
    lost = [case.pair.leaves.get(check.place) for check in case.failures if check.finding.startswith(MISSING)]
    if any(one is not None and one.module == partner and _sized(case.pair, one, own.module) for one in lost):
        return  # `missing` tells of it
    if partner is not None and not certain(case.pair, partner):
        return
    last = own.name.rpartition(".")[2]
    switch = _switch(case.pair, partner, last)
    module = case.pair.modules.get(partner or "")
    name = case.pair.name(partner) if partner is not None else own.module or "the model"
    lacks = (
        module is not None and switch and not _has(case.pair, module.path, "bias" if switch == "use_bias" else "weight")
    )
    if lacks:
        what = "bias" if switch == "use_bias" else "scale"
        cause, fix = f"a {what} that {name} of the reference does not have", f"{switch}=False in {name} ({own.module})"
    elif partner is None:
        cause = f"a module that the reference does not have: {own.module or 'the root'} with {_shaped(own)}"
        fix = f"remove {own.name}, or pass its partner to mapping="
    else:
        cause, fix = f"a {own.kind} that {name} of the reference does not have: {_shaped(own)}", f"remove {own.name}"
    yield Hypothesis(cause=cause, fix=fix, test=RECORDED)


def _switch(pair: Pair, partner: str | None, last: str) -> str:
    """Return the argument of Flax's that makes a layer have such a leaf."""
    module = pair.modules.get(partner or "")
    switch = SWITCHES.get(last, "")
    return "" if switch == "use_scale" and (module is None or "Norm" not in module.type) else switch


def _has(pair: Pair, path: str, start: str) -> bool:
    return any(one.module == path and one.name.rpartition(".")[2].startswith(start) for one in pair.leaves.values())


def _shaped(leaf: Leaf | Unpaired) -> str:
    return f"{leaf.name}, shape {tuple(leaf.shape)}"


def certain(pair: Pair, path: str) -> bool:
    """Return whether a module's partner is the right one: others of its type and shapes have their own names, too."""
    alike = _alike(pair, path)
    partners = {one: pair.partners[one] for one in alike if one in pair.partners}
    same = all(ours.rpartition(".")[2] == theirs.rpartition(".")[2] for theirs, ours in partners.items())
    return len(alike) == 1 or same


def _alike(pair: Pair, path: str) -> list[str]:
    """Return the modules with this one's type and with leaves of the same shapes."""
    shapes: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for leaf in pair.leaves.values():
        shapes.setdefault(leaf.module, []).append((leaf.name.rpartition(".")[2], tuple(leaf.shape)))
    kind = pair.modules[path].type if path in pair.modules else ""
    first = _weights(shapes.get(path, []))
    return [
        one for one, module in pair.modules.items() if module.type == kind and _weights(shapes.get(one, [])) == first
    ]


def _weights(shapes: list[tuple[str, tuple[int, ...]]]) -> list[tuple[str, tuple[int, ...]]]:
    """Return the shapes by which a module is known: those of its weights, with or without a bias."""
    return sorted(one for one in shapes if not one[0].startswith("bias"))


def shared(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield modules of the port that are called several times, where the reference has a module for each call."""
    leaf = case.pair.leaves.get(case.check.place)
    if leaf is None or not case.check.finding.startswith(MISSING):
        return
    kind = case.pair.modules[leaf.module].type if leaf.module in case.pair.modules else ""
    lost = {one.module for check in case.failures if (one := case.pair.leaves.get(check.place)) is not None}
    lost = {path for path in lost if path in case.pair.modules and case.pair.modules[path].type == kind}
    more = {
        ours: calls
        for theirs, ours in case.pair.partners.items()
        if theirs in case.pair.modules
        and ours in case.pair.own_modules
        and case.pair.modules[theirs].type == kind
        and (calls := case.pair.own_modules[ours].calls - case.pair.modules[theirs].calls) > 0
    }
    if more:
        shown = ", ".join(more) if len(more) < 4 else f"{', '.join(list(more)[:2])} and {len(more) - 2} more"
        yield Hypothesis(
            cause=f"one module is called several times where the reference has one for each call: {shown}",
            fix="make a module of its own for each call",
            test=partial(Measured, measured=float(abs(sum(more.values()) - len(lost))), allowed=0.0, unit="leaves"),
        )


def missing(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield a leaf that the port lacks, alone, with its module, or with another size."""
    leaf = case.pair.leaves.get(case.check.place)
    mapping = case.pair.ours.content.mapping
    if leaf is None or mapping is None or not case.check.finding.startswith(MISSING) or _replaced(leaf, case.pair):
        return
    lost = {check.place for check in case.failures if check.finding.startswith(MISSING)}
    inside = [one.name for one in case.pair.leaves.values() if one.module == leaf.module]
    own = case.pair.partners.get(leaf.module)
    if not certain(case.pair, leaf.module):
        return
    sized = _sized(case.pair, leaf, own)
    name = case.pair.name(leaf.module)
    last = leaf.name.rpartition(".")[2]
    switch = _switch(case.pair, leaf.module, last)
    if sized is not None:
        theirs, ours = sized
        setting = next((key for key, value in case.pair.modules[leaf.module].settings.items() if value == theirs), "")
        cause = f"size {ours} instead of {theirs}" + (f", which is {setting} in the reference" if setting else "")
        yield Hypothesis(cause=cause, fix=f"give {name} the size {theirs}", test=RECORDED)
    elif own is None and set(inside) <= lost:
        cause = f"no module that does what {name} does"
        yield Hypothesis(cause=cause, fix=f"add it: {case.pair.modules[leaf.module].type}", test=RECORDED)
    elif own is not None and switch and not _mentions(mapping.unmatched.ours, own):
        what = "bias" if switch == "use_bias" else "scale"
        yield Hypothesis(cause=f"{name} has no {what}", fix=f"{switch}=True in {name} ({own})", test=RECORDED)
    elif not _mentions(mapping.unmatched.ours, own or "?"):
        yield Hypothesis(cause=f"{name} has no {last}", fix=f"add a {leaf.kind} {_shaped(leaf)}", test=RECORDED)


def _replaced(leaf: Leaf, pair: Pair) -> bool:
    """Return whether another leaf of this shape was paired with one of the port's that is named rather like this one.

    Then it may be the other one that the port lacks, as where a module is used twice.
    """
    for name, terms in pair.paired.items():
        one = pair.leaves.get(terms[0].leaf)
        if one is None or one.shape != leaf.shape or one.name.rpartition(".")[2] != leaf.name.rpartition(".")[2]:
            continue
        own = {part for found in _own_names(pair, name) for part in found.split(".")}
        if len(own & set(leaf.name.split("."))) > len(own & set(one.name.split("."))):
            return True
    return False


def _own_names(pair: Pair, name: str) -> list[str]:
    mapping = pair.ours.content.mapping
    return [own for one in (mapping.leaves if mapping else ()) if name in one.theirs for own in one.ours]


def _mentions(leaves: list[Unpaired], module: str) -> bool:
    """Return whether leaves without a partner belong to a module, so that one of them may be the missing one."""
    return any(one.name.rpartition(".")[0] == module for one in leaves)


def _sized(pair: Pair, leaf: Leaf, own: str | None) -> tuple[int, int] | None:
    """Return the one size that differs between a leaf and the only leaf of the port that may be its partner."""
    mapping = pair.ours.content.mapping
    loose = mapping.unmatched.ours if mapping else []
    near = [one for one in loose if own is not None and one.name.rpartition(".")[0] == own]
    near = [one for one in near if len(one.shape) == len(leaf.shape)]
    if len(near) != 1 or not leaf.shape:
        return None
    theirs, ours = Counter(leaf.shape), Counter(near[0].shape)
    first, second = list((theirs - ours).elements()), list((ours - theirs).elements())
    return (first[0], second[0]) if len(first) == len(second) == 1 else None


def ties(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield leaves that are one tensor on one side and two on the other."""
    mapping = case.pair.ours.content.mapping
    leaf = case.pair.leaves.get(case.check.place)
    if case.check.what != "tied" or mapping is None:
        return
    if case.check.finding.startswith(TIED_THEIRS) and leaf is not None and leaf.tied:
        own = [one.ours[0] for one in mapping.leaves if one.theirs in ([leaf.name], [leaf.tied])]
        if len(set(own)) > 1:
            yield Hypothesis(
                cause=f"a leaf of its own instead of {leaf.tied}: {' and '.join(dict.fromkeys(own))} train apart",
                fix=f"use one array for both, {leaf.tied}, for example x @ embedding[...].T as the head",
                test=RECORDED,
            )
    if case.check.finding.startswith(TIED_OURS):
        names = [name.strip() for name in case.check.detail.split(",")]
        modules = {case.pair.module_of(name) for name in names}
        where = modules if len(modules) > 1 else set(names)
        listed = " and ".join(sorted(where))
        yield Hypothesis(
            cause=f"{listed} share their numbers instead of each having its own",
            fix=f"make a module of its own for each of {listed}" if len(modules) > 1 else f"separate {listed}",
            test=RECORDED,
        )


FAMILIES = (
    Family("leaf too many", extra),
    Family("leaf that is missing", missing),
    Family("module that is called several times", shared),
    Family("tied leaves", ties),
)
