"""Running statistics after the first step: which one change of their update gives the port's buffers."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from jax_impl.parity.causes.cases import Target, WholeCase, whole
from jax_impl.parity.causes.families.steps.running import MEAN, VAR, Buffers, Norm
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

MOMENTA = (0.9, 0.99, 0.01, 0.1, 0.001, 0.999, 0.05, 0.003, 0.5, 1.0)  # the share of the new value
KNOWN = "algorithmic-efficiency PR 231"
Update = Callable[[Norm], Buffers]


def candidates(norms: Sequence[Norm]) -> Iterator[tuple[str, str, str, Update]]:
    """Yield a cause, a fix, a known thread and the buffers, for each change of the update."""
    biased_fix = "multiply the batch's variance by n / (n - 1) before it is averaged"
    yield (
        "the running variance is the biased one, over n instead of n - 1",
        biased_fix,
        KNOWN,
        partial(_set, biased=True),
    )
    for theirs in dict.fromkeys(norm.momentum or 0.0 for norm in norms):
        solved = [norm.solved for norm in norms if (norm.momentum or 0.0) == theirs]
        for value in dict.fromkeys((1 - theirs, *(one for one in solved if one is not None), *MOMENTA)):
            if not 0 < value <= 1 or abs(value - theirs) < 1e-9:
                continue
            cause, fix = momentum_told(value, theirs)
            change = partial(_set, momentum=value, of=theirs)
            yield cause, fix, KNOWN, change
            yield (
                f"{cause}, and the biased running variance",
                f"{fix}; {biased_fix}",
                KNOWN,
                partial(change, biased=True),
            )
    yield (
        "the running mean and variance are not updated",
        "keep the changed batch_stats",
        "",
        partial(_kept, kept=(MEAN, VAR)),
    )
    yield "the running mean is not updated", "update the running mean, too", "", partial(_kept, kept=(MEAN,))
    yield "the running variance is not updated", "update the running variance, too", "", partial(_kept, kept=(VAR,))
    cause = "the running mean is not updated, and the running variance is the biased one"
    yield cause, biased_fix, "", partial(_kept, kept=(MEAN,), biased=True)
    yield ("the running statistics are updated twice in a step", "update them in one pass only", "",
           partial(_set, times=2))  # fmt: skip
    yield ("the running variance is the mean square, without the mean subtracted", "average the variance", "",
           partial(_set, uncentred=True, biased=True))  # fmt: skip
    yield "the running variance is the standard deviation", "average the variance", "", partial(_set, root=True)


def momentum_told(ours: float, theirs: float) -> tuple[str, str]:
    """Return the cause and the fix for another momentum, both in torch's meaning, with Flax's behind it."""
    inverted = ", inverted," if abs(ours - (1 - theirs)) < 1e-9 else ""
    cause = f"momentum{inverted} {ours:.6g} (in Flax {1 - ours:.6g}) instead of {theirs:.6g}"
    return cause, f"momentum={1 - theirs:.6g} (Flax weighs the old average)"


def _set(norm: Norm, momentum: float | None = None, of: float | None = None, **options: Any) -> Buffers:
    """Return the buffers after another update. It changes norms of the momentum `of` only, if that is given."""
    own = norm.momentum or 0.0
    if of is not None and own != of:
        return norm.updated(own)
    return norm.updated(own if momentum is None else momentum, **options)


def _kept(norm: Norm, kept: tuple[str, ...], biased: bool = False) -> Buffers:
    return norm.updated(norm.momentum or 0.0, biased=biased) | {buffer: norm.start[buffer] for buffer in kept}


def statistics(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield another update of the running statistics, for all norms that differ after the first step."""
    failed = [check for check in case.failures if check.evidence is not None and check.evidence.step == 0]
    paths = list(dict.fromkeys(case.pair.module_of(check.evidence.leaf) for check in failed if check.evidence))
    norms = [Norm(case.pair, path) for path in paths if path in case.pair.modules]
    norms = [norm for norm in norms if norm.known and not _passed(norm.agrees(_set(norm), "ours"))]
    if not norms:
        return
    told = False
    for cause, fix, known, update in candidates(norms):
        explained = [norm for norm in norms if _passed(norm.agrees(update(norm), "ours"))]
        told = told or bool(explained)
        where = "" if len(explained) in (0, len(norms)) else f", in {_listed([norm.path for norm in explained])}"
        test = partial(_worst, explained or norms, update)
        yield Hypothesis(cause=f"{cause}{where}", fix=fix, known=known, test=test)
    if not told:
        yield from _of_the_mean(norms)


def _of_the_mean(norms: Sequence[Norm]) -> Iterator[Hypothesis]:
    """Yield what explains all running means, where the variances differ in more than that."""
    if any(_passed(norm.agrees({MEAN: _set(norm)[MEAN]}, "ours")) for norm in norms):
        return
    for cause, fix, known, update in candidates(norms):
        if "variance" not in cause:
            alone = partial(_only_mean, update)
            yield Hypothesis(cause=f"{cause}, by the running mean; the running variance differs in more than that",
                             fix=fix, known=known, test=partial(_worst, norms, alone))  # fmt: skip


def _only_mean(update: Update, norm: Norm) -> Buffers:
    return {MEAN: update(norm)[MEAN]}


def kept(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield that other buffers keep their values: from before training, or from the first step."""
    pair = case.pair
    theirs, ours = pair.theirs.content.trajectory or [], pair.ours.content.trajectory or []
    for check in case.failures:
        if check.evidence is None or not theirs or not ours:
            continue
        name, step = check.evidence.leaf, check.evidence.step
        reference, mine = theirs[step].buffers.get(name), ours[step].buffers.get(name)
        if reference is None or mine is None or (name.rpartition(".")[2] in (MEAN, VAR) and step == 0):
            continue
        before = pair.theirs.start(name) if step == 0 else whole(pair.theirs, theirs[0].buffers.get(name))
        if before is not None and np.asarray(before).any():
            when = "" if step == 0 else " after the first step"
            target = Target(pair, mine, reference, pair.trains_in_float32)
            yield Hypothesis(
                cause=f"the buffer {name} is not updated{when}",
                fix="keep the changed state in every step",
                test=partial(target.agrees, before),
            )


def _worst(norms: Sequence[Norm], update: Update) -> Measured | None:
    found = [norm.agrees(update(norm), "ours") for norm in norms]
    if any(one is None for one in found):
        return None
    return max((one for one in found if one), key=lambda one: one.measured / (one.allowed or 1e-300), default=None)


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _passed(measured: Measured | None) -> bool:
    return measured is not None and measured.passed


FAMILIES = (Family("momentum and variance of running statistics", statistics), Family("buffers that stay", kept))
