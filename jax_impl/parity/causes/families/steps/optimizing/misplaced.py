"""Steps that no setting explains: leaves that do not move, clipping in the wrong place, steps that are saved up."""

import math
from dataclasses import replace

import numpy as np

from jax_impl.parity.causes.compute.optimizers import fitted_rates, updates
from jax_impl.parity.causes.compute.rules import Clip, Floats, Given
from jax_impl.parity.causes.families.steps.optimizing.changes import Change
from jax_impl.parity.causes.families.steps.optimizing.search import Found, Search, leaves_told
from jax_impl.parity.measures.tolerances import Measured

EXACT = Measured(measured=0.0, allowed=0.0)


def left_out(search: Search) -> list[Found]:
    """Return the leaves that the optimizer does not see, and take them from those that differ.

    They do not move, or `optax.masked` hands on their gradients, which are added to them.
    """
    one = search.alone
    still, raw = [], []
    for leaf in search.leaves:
        part = slice(one.starts[leaf], one.starts[leaf + 1])
        ours, gradients = one.ours[:, part], one.given.gradients[:, part]
        if not ours.any():
            still.append(leaf)
        elif ours.shape[1] > 1 and one.agrees(one.given.gradients, one.pair.ours, [leaf]).passed and gradients.any():
            raw.append(leaf)
    found = []
    texts = ((still, "not updated by the optimizer: ", "let the optimizer update them: no mask, no optax.set_to_zero"),
             (raw, "optax.masked leaves them out and adds their gradients as they are: ",
              "optax.multi_transform with optax.set_to_zero, or no mask"))  # fmt: skip
    for leaves, text, fix in texts:
        if leaves:
            change = Change(topic="", cause=f"{text}{leaves_told(one, leaves)}", fix=fix, rule=search.rule)
            found.append(Found(change, EXACT))
    search.leaves = [leaf for leaf in search.leaves if leaf not in (*still, *raw)]
    return found


def clipped_after(search: Search) -> list[Found]:
    """Return that the whole step is clipped, behind the learning rate, instead of the gradients."""
    one, limit = search.alone, search.rule.clip.norm
    if limit is None or len(search.leaves) < len(one.names):
        return []
    change = Change(topic="", cause="", fix="", rule=replace(search.rule, clip=Clip()))
    rates = fitted_rates(change.rule, one.given, one.ours, np.zeros_like(one.leaf_of))
    factors = np.divide(rates, one.given.rates, out=np.ones_like(rates), where=one.given.rates != 0)[:, 0]
    measured, _ = search.measured(change, rates)
    sizes = [math.hypot(*(ref.norm for ref in step.updates.values() if ref is not None))
             for step in one.pair.ours.content.injected or ()]  # fmt: skip
    active = factors < 1 - 1e-6
    at_limit = all(math.isclose(size, limit, rel_tol=1e-4) for size, on in zip(sizes, active, strict=True) if on)
    if not measured.passed or not active.any() or not at_limit or (factors > 1 + 1e-6).any():
        return []
    text = f"the step is clipped to norm {limit:g} behind the optimizer, instead of the gradients before it"
    return [Found(replace(change, cause=text, fix="clip before the optimizer, first in optax.chain"), measured)]


def decayed_before_clipping(search: Search) -> list[Found]:
    """Return that weight decay is added to the gradients before they are clipped, so that their norm has it, too."""
    one, rule = search.alone, search.rule
    if rule.clip.norm is None or not np.any(rule.decay) or not one.complete:
        return []
    weights = one.given.weights
    before = np.concatenate([weights[None], weights + np.cumsum(one.ours, axis=0)[:-1]])  # of each step, in the port
    gradients = one.given.gradients - rule.sign * rule.decay * before
    given = _with_gradients(one.given, gradients)
    change = Change(
        topic="",
        cause="weight decay is added before the gradients are clipped, instead of after",
        fix="clip first: optax.chain(clip, optax.add_decayed_weights, …)",
        rule=replace(rule, decay=0.0),
    )
    measured = one.agrees(updates(change.rule, given), one.pair.ours, search.leaves)
    return [Found(change, measured)] if measured.passed else []


def accumulated(search: Search) -> list[Found]:
    """Return that the port makes a step only every few steps, with the mean or the sum of the gradients."""
    one = search.alone
    moves = np.array([bool(row.any()) for row in one.ours])
    every = int(np.argmax(moves)) + 1
    pattern = (np.arange(moves.size) + 1) % every == 0
    if every < 2 or not np.array_equal(moves, pattern) or (search.rule.clip.norm and not one.complete):
        return []
    count = moves.size // every
    grouped = one.given.gradients[: count * every].reshape(count, every, -1)
    for text, gradients in (("mean", grouped.mean(axis=1)), ("sum", grouped.sum(axis=1))):
        given = replace(_with_gradients(one.given, gradients), rates=one.given.rates[:count])
        predicted = np.zeros_like(one.ours)
        predicted[pattern] = updates(search.rule, given)
        measured = one.agrees(predicted, one.pair.ours, search.leaves)
        if measured.passed:
            cause = f"gradients are saved up: one step with their {text} every {every} steps, instead of one in each"
            change = Change(topic="", cause=cause, fix="no optax.MultiSteps", rule=search.rule)
            return [Found(change, measured)]
    return []


def _with_gradients(given: Given, gradients: Floats) -> Given:
    """Return what is given with other gradients, whose elements must be all there are for the norm to be right."""
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    return replace(given, gradients=gradients, norms=norms, leaf_norms=given.leaf_norms[: len(gradients)])
