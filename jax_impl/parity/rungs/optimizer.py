"""Rung 10: the optimizer on given gradients, step by step, so that it is judged alone."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from jax_impl.parity.checks import check
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Step
from jax_impl.parity.verdict import Check, Evidence, Rung

UPDATE = "update"
CLIPPED = 16  # times the difference of two ways to clip, that training may differ in each step


def optimizer(pair: Pair) -> Rung:
    """Compare updates and moments of each step on given gradients."""
    theirs, ours = pair.theirs.content.injected, pair.ours.content.injected
    checks: list[Check] = []
    notes: list[str] = []
    if theirs:
        checks, notes = _checks(pair, theirs, ours or []), _notes(pair, theirs, ours or [])
    return Rung(
        number=10,
        title="Optimizer",
        question="Given the same gradients, does the optimizer make the same steps?",
        checks=tuple(checks),
        reason="" if checks else "the reference recorded no steps: pass optimizer= to torch_ref.record.save",
        notes=tuple(notes),
    )


def updated_leaves(pair: Pair, theirs: Step) -> list[str]:
    """Return the names of the leaves that a step of the reference moves, in the order of the mapping."""
    return [name for name, terms in pair.paired.items() if all(term.leaf in theirs.updates for term in terms)]


def missing_steps(theirs: Sequence[Step], ours: Sequence[Step], stage: str) -> Iterator[Check]:
    """Report steps that only the reference has."""
    if len(ours) < len(theirs):
        detail = f"theirs {len(theirs)}, ours {len(ours)}: pass optimizer= to jax_impl.parity.save"
        yield Check(
            place=f"step {len(ours) + 1}", stage=stage, what="steps", passed=False, finding="is missing", detail=detail
        )


def clipping(pair: Pair) -> float:
    """Return how far Optax's clipping by norm is from torch's, relative to a gradient.

    `torch.nn.utils.clip_grad_norm_` divides by the norm + 1e-6, `optax.clip_by_global_norm` by the norm.
    """
    threshold = (pair.theirs.content.optimizer or {}).get("clip_norm")
    return 1e-6 / threshold if isinstance(threshold, int | float) and threshold > 0 else 0.0


def share_of_clipping(pair: Pair) -> float:
    """Return how far the ways to clip may move an update or a moment, relative to it: a second moment is a square."""
    return 2 * clipping(pair)


def clipping_after(pair: Pair, steps: int) -> float:
    """Return how far it moves training in some steps, relative to its numbers: each step changes the next gradients."""
    return CLIPPED * steps * clipping(pair)


def rates(theirs: Step, ours: Step) -> str:
    """Return the learning rates of a step as text: the reference's, and those that the port's updates imply."""
    texts = []
    for number, rate in enumerate(theirs.learning_rates):
        mine = ours.learning_rates[number] if number < len(ours.learning_rates) else None
        if rate is None:
            continue
        same = mine is None or not math.isfinite(mine) or math.isclose(rate, mine, rel_tol=1e-3)
        texts.append(f"{rate:.4g}" if same or mine is None else f"{rate:.4g}, in ours as if {mine:.4g}")
    return f"learning rate {'; '.join(texts)}" if texts else ""


def _checks(pair: Pair, theirs: Sequence[Step], ours: Sequence[Step]) -> list[Check]:
    checks = list(missing_steps(theirs, ours, "optimizer"))
    for number, (step, mine) in enumerate(zip(theirs, ours, strict=False)):
        shown = rates(step, mine)
        stage = f"optimizer, step {number + 1}{', ' if shown else ''}{shown}"
        found = list(_step(pair, stage, number, step, mine))
        checks += [*_of_all_leaves(found), *found]
    return checks


def _step(pair: Pair, stage: str, number: int, theirs: Step, ours: Step) -> Iterator[Check]:
    share = share_of_clipping(pair)
    loose = pair.optimizer_in_float32
    for name in updated_leaves(pair, theirs):
        slack = share * sum(one.norm for term in pair.paired[name] if (one := theirs.updates[term.leaf]) is not None)
        found = pair.compare_leaf(name, ours.updates, theirs.updates, loose=loose, slack=slack)
        module, evidence = pair.module_of(name), Evidence(leaf=name, step=number)
        yield check(found, place=name, stage=stage, what=UPDATE, finding="update differs", module=module,
                    evidence=evidence)  # fmt: skip
        yield from _moments(pair, name, stage, theirs, ours, share)


def _of_all_leaves(checks: Sequence[Check]) -> list[Check]:
    """Return a check that speaks of all leaves, if all updates differ: the rule is another one, not one leaf's."""
    updates = [one for one in checks if one.what == UPDATE]
    if len(updates) < 2 or any(one.passed for one in updates):
        return []
    worst = max(updates, key=lambda one: (one.measured or 0.0) / (one.allowed or 1.0))
    place = f"all {len(updates)} parameters"
    return [replace(worst, place=place, module=None, what="updates", detail=f"most in {worst.place}: {worst.detail}")]


def _moments(pair: Pair, name: str, stage: str, theirs: Step, ours: Step, share: float) -> Iterator[Check]:
    """Compare the optimizer's state of a leaf, as far as the port has one of that name."""
    leaf = pair.paired[name][0].leaf
    own = ours.state.get(name, {})
    for key, reference in theirs.state.get(leaf, {}).items():
        if key in own and own[key] is not None and reference is not None:
            states = {leaf: reference}
            found = pair.compare_leaf(
                name,
                {name: own[key]},
                states,
                loose=pair.optimizer_in_float32,
                slack=share * reference.norm,
                summed=False,
            )
            yield check(found, place=name, stage=stage, what=key, finding=f"{key} differs", module=pair.module_of(name))


def _notes(pair: Pair, theirs: Sequence[Step], ours: Sequence[Step]) -> list[str]:
    """Return the optimizer's settings, and the states that were not compared."""
    notes = []
    described = pair.theirs.content.optimizer or {}
    if described:
        groups = described.get("groups")
        listed = groups if isinstance(groups, list) else []
        texts = [
            ", ".join(f"{key}={value}" for key, value in group.items() if key != "names")
            for group in listed
            if isinstance(group, dict)
        ]
        notes.append(f"theirs: {described.get('type')}, {'; '.join(texts)}, clip_norm={described.get('clip_norm')}")
    if theirs and ours:
        known = {key for states in ours[0].state.values() for key in states}
        absent = {key for states in theirs[0].state.values() for key in states} - known - {"step"}
        if absent:
            notes.append(f"states without a counterpart, judged by the updates: {', '.join(sorted(absent))}")
    if clipping(pair):
        allowed = f"a difference of {share_of_clipping(pair):.1g} passes"
        notes.append(f"torch clips by the norm + 1e-6, Optax by the norm: {allowed}")
    mapping = pair.ours.content.mapping
    return notes + [warning for warning in (mapping.warnings if mapping else ()) if "optimizer" in warning]
