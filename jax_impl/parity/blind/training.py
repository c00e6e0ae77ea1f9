"""Blind spots of the recorded steps: weights that do not move, clipping, schedule, dropout."""

from collections.abc import Iterator, Sequence

from jax_impl.parity.blind.blindspot import BlindSpot
from jax_impl.parity.causes.families.steps.optimizing.given import alone
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Step


def spots(pair: Pair) -> Iterator[BlindSpot]:
    """Yield what the steps do not show."""
    steps = pair.theirs.content.trajectory or []
    if pair.ours.content.loaded:
        yield BlindSpot(
            hidden="the recorder loaded the reference's weights, so your own conversion of weights was not tried",
            remedy="pass the converted model with load=False to try it",
        )
    if len(steps) == 1:
        yield BlindSpot(
            hidden="one training step tells nothing of momentum, bias correction or the order of batches",
            remedy="record with steps=10",
        )
    yield from _clipping(pair)
    yield from _schedule(pair, steps)
    still = tuple(still_leaves(pair))
    if still:
        yield BlindSpot(
            place=still,
            hidden="no step moves it, so a port that never trains it would pass",
            remedy="record more steps, or a batch that reaches it",
        )


def still_leaves(pair: Pair) -> Iterator[str]:
    """Yield the trainable leaves that no recorded step moves."""
    steps = pair.theirs.content.trajectory or []
    for name, leaf in pair.leaves.items():
        updates = [step.updates.get(name) for step in steps]
        moves = any(one is not None and one.norm > 0 for one in updates)
        if steps and not moves and leaf.trainable and leaf.kind == "parameter" and not leaf.tied:
            yield name


def _clipping(pair: Pair) -> Iterator[BlindSpot]:
    """Yield a limit of gradients that all recorded ones keep, or that none keeps."""
    limit = (pair.theirs.content.optimizer or {}).get("clip_norm")
    if not isinstance(limit, int | float):
        return
    norms = [*_injected_norms(pair), *_norms(pair.theirs.content.trajectory or [])]
    if not norms:
        return
    if max(norms) <= limit:
        yield BlindSpot(
            hidden=f"no gradient has a norm above clip_norm {limit:g}, so a port that does not clip would pass",
            remedy="record more steps, or multiply the loss",
        )
    if min(norms) > limit:
        yield BlindSpot(
            hidden=f"every gradient has a norm above clip_norm {limit:g}, so one that always divides by it would pass",
            remedy="record more steps, or a smaller loss",
        )


def _norms(steps: Sequence[Step]) -> list[float]:
    return [step.gradient_norm for step in steps if step.gradient_norm is not None]


def _injected_norms(pair: Pair) -> list[float]:
    """Return the norms of the gradients that the optimizer was given alone."""
    found = alone(pair)
    return [] if found is None else [float(norm) for norm in found.given.norms[:, 0]]


def _schedule(pair: Pair, steps: Sequence[Step]) -> Iterator[BlindSpot]:
    """Yield a schedule that did not move while it was recorded."""
    schedule = (pair.theirs.content.optimizer or {}).get("schedule")
    rates = {tuple(step.learning_rates) for step in steps}
    if isinstance(schedule, dict) and len(rates) == 1:
        shown = ", ".join(f"{rate:g}" for rate in next(iter(rates)) if rate is not None)
        yield BlindSpot(
            hidden=f"the schedule {schedule.get('type', '')} keeps the learning rate at {shown} in all {len(steps)} "
            "recorded steps, so a port without it would pass",
            remedy="record more steps",
        )
