"""The optimizer alone: which one change of the reference's rule gives the steps that the port made."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from jax_impl.parity.causes.cases import WholeCase
from jax_impl.parity.causes.compute.optimizers import fitted_rates
from jax_impl.parity.causes.compute.rules import Floats, Rule, at
from jax_impl.parity.causes.families.steps.optimizing.changes import Change, same
from jax_impl.parity.causes.families.steps.optimizing.enumerated import changes
from jax_impl.parity.causes.families.steps.optimizing.misplaced import (
    accumulated,
    clipped_after,
    decayed_before_clipping,
    left_out,
)
from jax_impl.parity.causes.families.steps.optimizing.schedule import Rates, merged
from jax_impl.parity.causes.families.steps.optimizing.search import Found, Search, begun
from jax_impl.parity.causes.families.steps.optimizing.solving import solved, unknowns
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

BETTER = 10.0  # times: a change that explains the steps so much better excludes the other
NAME = "the optimizer's betas, epsilon, weight decay, momentum, clipping and learning rate"
NOTHING = Measured(measured=math.inf, allowed=0.0)


def rated(search: Search, change: Change, *, plainly: bool = False) -> list[Found]:
    """Return other learning rates that, with a change, give the port's steps, one for each step and parameter group.

    Args:
        search: What both sides did.
        change: Made as well.
        plainly: Only rates that a rule relates to the reference's. Of gradient descent without momentum this is so
            anyway, because any factor of a step's gradients looks like a learning rate there.
    """
    one = search.alone
    if change.rule.rate_inside or change.rule.decay_place == "unscaled" or not search.looks_like(change, fit=True):
        return []
    chosen = np.isin(one.leaf_of, search.leaves)
    weighed = np.where(chosen, one.group_of, max(one.groups) + 1)
    rates = fitted_rates(change.rule, one.given, one.ours, weighed)
    measured, _ = search.measured(change, rates)
    if not measured.passed:
        return []
    momentary = change.rule.kind == "sgd" and not np.any(change.rule.momentum)
    texts = [
        _rates_of(search, number, rates).told(plainly=plainly or momentary)
        for number in sorted({one.groups[leaf] for leaf in search.leaves})
    ]
    prefix = f"{change.cause}, and " if change.cause else ""
    found = [
        replace(change, cause=f"{prefix}{cause}", fix="; ".join(part for part in (change.fix, fix) if part))
        for cause, fix in merged(texts)
    ]
    return [Found(search.limited(each, len(search.leaves) == len(one.names)), measured) for each in found]


def _rates_of(search: Search, number: int, rates: Floats) -> Rates:
    """Return the learning rates of a parameter group on both sides."""
    one = search.alone
    first = next(int(one.starts[leaf]) for leaf in search.leaves if one.groups[leaf] == number)
    initial = one.settings[number].get("initial_lr", one.settings[number].get("lr"))
    schedule = (one.pair.theirs.content.optimizer or {}).get("schedule") or {}
    known = float(initial) if isinstance(initial, int | float) else None
    return Rates(one.given.rates[:, first], rates[:, first], schedule, known)


def joined(one: Change, other: Change, rule: Rule) -> Change | None:
    """Return two changes together; None if they change the same thing."""
    moved = [{name for name, value in vars(change.rule).items() if not np.array_equal(value, vars(rule)[name])}
             for change in (one, other)]  # fmt: skip
    if (one.topic == other.topic and moved[0] & moved[1]) or one.factors is not None or other.factors is not None:
        return None
    if moved[0] & moved[1] or not moved[0] or not moved[1]:
        return None
    values = {name: vars(other.rule)[name] for name in moved[1]}
    cause, fix = f"{one.cause}, and {other.cause}", f"{one.fix}; {other.fix}"
    return Change(topic=one.topic, cause=cause, fix=fix, rule=replace(one.rule, **values))


def found_changes(search: Search) -> Iterator[list[Found]]:
    """Yield what explains the port's steps, from one change to two; the first that is not empty counts."""
    listed = list(changes(search.rule, len(search.alone.ours)))
    yield search.try_all(listed)
    yield [*accumulated(search), *clipped_after(search), *decayed_before_clipping(search)]
    yield rated(search, Change(topic="learning rate", cause="", fix="", rule=search.rule))
    places = search.places[:: max(1, len(search.places) // 256)]
    given, ours = search.alone.given.at(places), search.alone.ours[:, places]
    yield search.try_all(
        change
        for unknown in unknowns(at(search.rule, places)) if _scalar(search.rule)
        for change in solved(given, ours, unknown)
    )  # fmt: skip
    usual = [change for change in listed if change.usual]
    pairs = (joined(one, other, search.rule) for one, other in combinations(usual, 2))
    yield search.try_all(pair for pair in pairs if pair is not None)
    yield [one for change in usual for one in rated(search, change, plainly=True)]


def _scalar(rule: Rule) -> bool:
    """Return whether all numbers of a rule are the same for all leaves."""
    return not any(isinstance(value, np.ndarray) for value in vars(rule).values())


def told(found: list[Found]) -> Iterator[Hypothesis]:
    """Yield the changes that explain the steps about equally well."""
    best = min((one.share for one in found), default=0.0)
    for one in found:
        if one.share <= BETTER * max(best, 1e-3):
            yield Hypothesis(cause=one.change.cause, fix=one.change.fix, known=one.change.known,
                             test=partial(_given, one.measured))  # fmt: skip


def optimizer(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield what the port's optimizer does in place of the reference's."""
    search = begun(case)
    if search is None:
        return
    yield from told(left_out(search))
    if not search.leaves:
        return
    for found in found_changes(search):
        if found:
            yield from told(_distinct(found))
            return
    yield Hypothesis(cause=NAME, fix="", test=partial(_given, NOTHING))


def _distinct(found: list[Found]) -> list[Found]:
    """Return the changes without those that say the same, or that mean the same rule."""
    kept: list[Found] = []
    for one in found:
        means = [each for each in kept if each.change.factors is None and same(each.change.rule, one.change.rule)]
        if not (means and one.change.factors is None and one.change.topic != "learning rate"):
            kept.append(one)
    return list({one.change.cause: one for one in reversed(kept)}.values())[::-1]


def _given(measured: Measured) -> Measured:
    return measured


FAMILIES = (Family(NAME, optimizer),)
