"""Rungs 13 and 14: evaluation after the recorded steps, and the accuracy of whole trainings."""

from jax_impl.compare import tost
from jax_impl.parity.checks import check
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import After
from jax_impl.parity.rungs.optimizer import clipping_after
from jax_impl.parity.rungs.trajectory import stable_steps, unstable
from jax_impl.parity.verdict import Check, Rung

STAGE = "evaluation after training"


def evaluation(pair: Pair) -> Rung:
    """Compare loss and outputs on the first batch, in evaluation mode, after the last step."""
    theirs, ours = pair.theirs.content.after, pair.ours.content.after
    stable = stable_steps(pair) == len(pair.theirs.content.trajectory or [])
    checks: list[Check] = []
    notes: list[str] = []
    if theirs is not None and stable:
        share = clipping_after(pair, len(pair.theirs.content.trajectory or ()))
        checks, notes = evaluated(pair, theirs, ours or After(), share=share, loose=pair.trains_in_float32)
    return Rung(
        number=13,
        title="Evaluation after training",
        question="Does the trained model answer the same in evaluation mode?",
        checks=tuple(checks),
        reason="" if checks else unstable(pair) if not stable else "the reference was not evaluated: record it again",
        notes=tuple(notes),
    )


def evaluated(
    pair: Pair, theirs: After, ours: After, *, share: float = 0.0, loose: bool = False, stage: str = STAGE
) -> tuple[list[Check], list[str]]:
    """Return the checks of an evaluation, and as notes the outputs that the port does not have.

    `share` of the reference's size is allowed in any case; `loose` allows for float32 in the port's training.
    """
    loose = loose or bool(pair.in_float32("eval"))
    checks, notes = [], []
    if theirs.loss is not None:
        slack = share * abs(theirs.loss)
        found = pair.tolerance.number(ours.loss, theirs.loss, theirs.loss_noise, loose=loose, slack=slack)
        checks.append(check(found, place="the loss", stage=stage, what="loss", finding="differs", module=None))
    for number, reference in enumerate(theirs.outputs):
        mine = ours.outputs[number] if number < len(ours.outputs) else None
        what = "output" if len(theirs.outputs) == 1 else f"output {number + 1}"
        if mine is None and checks:
            notes.append(f"the port returns no {what} of that shape, so the loss decides")
            continue
        slack = 0.0 if reference is None else share * reference.norm
        found = pair.compare(mine, reference, loose=loose, slack=slack)
        finding = f"{what} differs"
        checks.append(check(found, place=pair.name(""), stage=stage, what=what, finding=finding, module=""))
    return checks, notes


def accuracy(pair: Pair) -> Rung:
    """Test whether the mean accuracies of whole trainings are equivalent."""
    theirs, ours = pair.theirs.content.accuracy or [], pair.ours.content.accuracy or []
    checks: list[Check] = []
    absent = [name for name, one in (("torch_ref.record.save", theirs), ("jax_impl.parity.save", ours)) if not one]
    reason = f"no accuracies were recorded: pass accuracy= to {' and '.join(absent)}"
    if not absent:
        checks, reason = _accuracy(pair, theirs, ours)
    return Rung(
        number=14,
        title="Accuracy",
        question="Are whole trainings equally good, over several seeds?",
        checks=tuple(checks),
        reason=reason if not checks else "",
    )


def _accuracy(pair: Pair, theirs: list[float], ours: list[float]) -> tuple[list[Check], str]:
    """Return the check, or why there are too few runs to decide."""
    if min(len(theirs), len(ours)) < 2:
        return [], f"too few runs: {len(theirs)} of theirs and {len(ours)} of ours, at least 2 are needed"
    found = tost(ours, theirs, margin=pair.margin)
    if found.outcome == "too few runs":
        return [], found.detail
    one = Check(
        place="accuracy",
        stage=f"{len(theirs)} and {len(ours)} runs",
        what="means",
        passed=found.passed,
        finding="" if found.passed else "the means differ",
        measured=found.measured,
        allowed=pair.margin,
        unit="absolute",
        reason="the largest difference that does not matter, --margin",
        detail=found.detail,
    )
    return [one], ""
