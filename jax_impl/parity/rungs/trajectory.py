"""Rung 12: training itself, step by step, with the same batches and masks."""

from collections.abc import Iterator, Sequence

from jax_impl.parity.arrays import TELLING
from jax_impl.parity.checks import check
from jax_impl.parity.pair import FLOAT32, Pair
from jax_impl.parity.records.content import Mask, OwnMasks, Step
from jax_impl.parity.rungs.optimizer import clipping_after, missing_steps, rates, updated_leaves
from jax_impl.parity.verdict import Check, Evidence, Rung

UNSTABLE = 1e-3  # relative noise of the loss or of the gradient's norm, from which on two correct programs part
ROUNDINGS = 16  # unit roundoffs: in bfloat16, a stable training has a noise above 1e-3


def trajectory(pair: Pair) -> Rung:
    """Compare loss, gradient norm and updates of each step, and how masks are drawn."""
    theirs, ours = pair.theirs.content.trajectory or [], pair.ours.content.trajectory or []
    checks = list(missing_steps(theirs, ours, "training"))
    stable = stable_steps(pair)
    for number, (step, mine) in enumerate(zip(theirs[:stable], ours, strict=False), start=1):
        checks += _step(pair, number, step, mine)
    checks += _masks(pair, theirs)
    notes = (unstable(pair),) if stable < len(theirs) else ()
    reason = notes[0] if notes else "the reference recorded no training: pass optimizer= to torch_ref.record.save"
    return Rung(
        number=12,
        title="Trajectory",
        question="Does training take the same steps?",
        checks=tuple(checks),
        reason="" if checks else reason,
        notes=notes,
    )


def stable_steps(pair: Pair) -> int:
    """Return the number of the reference's steps before its own rounding error decides where training goes."""
    steps = pair.theirs.content.trajectory or []
    unit = pair.tolerance.unit
    growth = max(FLOAT32 / unit, 1.0) if pair.trains_in_float32 else 1.0  # of the noise, if rounded to float32
    limit = max(UNSTABLE, ROUNDINGS * unit)
    for number, step in enumerate(steps):
        noises = (step.loss, step.loss_noise), (step.gradient_norm, step.gradient_norm_noise)
        for value, noise in noises:
            if value is not None and noise is not None and noise * growth > limit * abs(value):
                return number
    return len(steps)


def unstable(pair: Pair) -> str:
    """Return what an unstable training means."""
    step = stable_steps(pair) + 1
    return f"the training itself is unstable from step {step} on: two correct programs part there; not decidable after"


def _step(pair: Pair, number: int, theirs: Step, ours: Step) -> Iterator[Check]:
    shown = rates(theirs, ours)
    stage = f"training, step {number}{', ' if shown else ''}{shown}"
    loose, share = pair.trains_in_float32, clipping_after(pair, number)
    numbers = [("loss", ours.loss, theirs.loss, theirs.loss_noise)]
    if theirs.gradient_norm is not None:
        numbers.append(("gradient norm", ours.gradient_norm, theirs.gradient_norm, theirs.gradient_norm_noise))
    for what, mine, reference, noise in numbers:
        found = pair.tolerance.number(mine, reference, noise, loose=loose, slack=share * abs(reference or 0.0))
        yield check(found, place=what, stage=stage, what=what, finding="differs", module=None)
    for name in updated_leaves(pair, theirs):
        slack = share * sum(one.norm for term in pair.paired[name] if (one := theirs.updates[term.leaf]) is not None)
        found = pair.compare_leaf(name, ours.updates, theirs.updates, loose=loose, slack=slack)
        module = pair.module_of(name)
        yield check(
            found,
            place=name,
            stage=stage,
            what="update",
            finding="update differs",
            module=module,
            evidence=Evidence(leaf=name, step=number - 1),
        )


def _masks(pair: Pair, theirs: Sequence[Step]) -> Iterator[Check]:
    """Compare how many masks each side draws in a step, and whether they are new ones."""
    own = pair.ours.content.own_masks
    if own is None or not own.steps or not any(step.masks for step in theirs):
        return
    for number, (step, masks) in enumerate(zip(theirs, own.steps, strict=False), start=1):
        if len(step.masks) != len(masks):
            detail = f"theirs draws {len(step.masks)}, ours {len(masks)}"
            yield _check(
                pair, step.masks[0] if step.masks else None, f"step {number}", "another number of masks", detail
            )
            return
    yield from _reused(pair, theirs, own)


def _reused(pair: Pair, theirs: Sequence[Step], own: OwnMasks) -> Iterator[Check]:
    """Check that masks which differ in the reference differ in the port."""
    for place, mask in enumerate(theirs[0].masks):
        reference = [_identity(step.masks[place]) for step in theirs if place < len(step.masks)]
        mine = [step[place].digest for step in own.steps if place < len(step)]
        telling = _size(mask) >= TELLING and len(mine) > 1 and len(set(reference)) > 1
        same = telling and len(set(mine)) == 1 and bool(mine[0])
        finding = "the port draws the same mask in every step" if same else ""
        yield _check(pair, mask, "all steps", finding, f"masks that differ: {len(set(mine))} of {len(mine)} steps")
    for first, second in _twins(own.steps[0] if own.steps else []):
        a, b = (theirs[0].masks[place] for place in (first, second))
        if _identity(a) != _identity(b):
            yield _check(
                pair, b, "step 1", "the port draws one mask for two places", f"the other is {pair.name(a.module)}"
            )


def _twins(masks: Sequence[Mask]) -> Iterator[tuple[int, int]]:
    """Yield the places of masks that are equal to an earlier one."""
    first: dict[str, int] = {}
    for place, mask in enumerate(masks):
        if mask.digest and _size(mask) >= TELLING and 0 < (mask.rate or 0) < 1:
            if mask.digest in first:
                yield first[mask.digest], place
            first.setdefault(mask.digest, place)


def _size(mask: Mask) -> int:
    size = 1
    for length in mask.shape:
        size *= length
    return size


def _identity(mask: Mask) -> str:
    """Return what equal masks of the reference have in common: they are stored once."""
    return mask.digest if mask.array is None else f"{mask.array.file} {mask.array.key}"


def _check(pair: Pair, mask: Mask | None, when: str, finding: str, detail: str) -> Check:
    module = "" if mask is None else mask.module
    return Check(
        place=pair.name(module),
        stage=f"training, {when}",
        what="dropout masks",
        passed=not finding,
        finding=finding,
        detail=detail,
        module=module,
    )
