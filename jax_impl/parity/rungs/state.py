"""Rung 11: buffers, such as the running statistics of BatchNorm, after one step and after the last one."""

from collections.abc import Iterator

import numpy as np

from jax_impl.parity.checks import check
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Step
from jax_impl.parity.rungs.optimizer import clipping_after
from jax_impl.parity.rungs.trajectory import stable_steps
from jax_impl.parity.verdict import Check, Evidence, Rung


def state(pair: Pair) -> Rung:
    """Compare the buffers of both sides."""
    theirs, ours = pair.theirs.content.trajectory or [], pair.ours.content.trajectory or []
    checks: list[Check] = []
    last = min(stable_steps(pair), len(ours))
    for number in sorted({1, last}):
        if 1 <= number <= last:
            checks += _buffers(pair, number, theirs[number - 1], ours[number - 1])
    reason = "the reference has no buffers that change" if theirs else "no training was recorded: pass optimizer="
    return Rung(
        number=11,
        title="State",
        question="Are the buffers the same after one step, and after the last?",
        checks=tuple(checks),
        reason="" if checks else reason,
    )


def _buffers(pair: Pair, number: int, theirs: Step, ours: Step) -> Iterator[Check]:
    for name, reference in theirs.buffers.items():
        if name not in pair.paired and name not in ours.buffers:
            continue  # the structure rung has reported it, unless it is a counter
        loose = pair.computes_in_float32 if number == 1 else pair.trains_in_float32
        slack = 0.0 if reference is None else clipping_after(pair, number - 1) * reference.norm
        found = pair.compare(ours.buffers.get(name), reference, loose=loose, slack=slack)
        finding = "differs"
        if not found.passed and _kept(pair, name, ours):
            finding = "was not updated"
        stage = f"state after step {number}"
        yield check(
            found,
            place=name,
            stage=stage,
            what="buffer",
            finding=finding,
            module=pair.module_of(name),
            evidence=Evidence(leaf=name, step=number - 1),
        )


def _kept(pair: Pair, name: str, ours: Step) -> bool:
    """Return whether the port's buffer still has the value from before training."""
    reference, start = ours.buffers.get(name), pair.ours.start(name)
    if reference is None or start is None or reference.sampled:
        return False
    array = pair.ours.array(reference)
    return array.shape == start.shape and np.allclose(array, start, rtol=1e-6, atol=0)
