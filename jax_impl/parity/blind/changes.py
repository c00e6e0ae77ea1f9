"""Blind spots of modules: changes of the reference that give the port's numbers, although the port is right."""

import time
from collections.abc import Iterator, Sequence

from jax_impl.parity.blind.blindspot import BlindSpot
from jax_impl.parity.blind.training import still_leaves
from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.families.registry import FAMILIES
from jax_impl.parity.causes.hypotheses import optional
from jax_impl.parity.pair import Pair
from jax_impl.parity.verdict import Check, Rung

SECONDS = 5.0  # of processor time
# Families of mistakes that training shows even if the first weights hide them: a bias is 0 and a scale 1 only at first.
SHOWN_BY_TRAINING = frozenset(
    {
        "mean and variance of a norm", "weight and bias of a norm", "axes of a kernel", "bias of a convolution",
        "weights of another module", "axes of a weight", "bias",
    }
)  # fmt: skip


def spots(pair: Pair, rungs: Sequence[Rung]) -> Iterator[BlindSpot]:
    """Yield the hypotheses that cannot be told from the truth in any call of their module."""
    until = time.process_time() + SECONDS
    still = {pair.module_of(name) for name in still_leaves(pair)}
    trained = bool(pair.theirs.content.trajectory)
    told: dict[tuple[str, str], set[bool]] = {}
    skipped: dict[str, None] = {}
    for check in _outputs(rungs):
        if time.process_time() > until:
            skipped[check.place] = None
            continue
        for family, cause, agrees in _tried(pair, check, until):
            if family not in SHOWN_BY_TRAINING or not trained or check.module in still:
                told.setdefault((check.place, cause), set()).add(agrees)
    for (place, cause), answers in told.items():
        if answers == {True}:
            yield BlindSpot(
                place=(place,),
                hidden=f"it makes no difference on these inputs: {cause}",
                remedy="record other inputs or sizes",
            )
    if skipped:
        yield BlindSpot(
            place=tuple(skipped),
            hidden=f"not examined for blind spots: {SECONDS:g} s were over",
            remedy="prove a smaller model of the same kind to see them",
        )


def _outputs(rungs: Sequence[Rung]) -> Iterator[Check]:
    """Yield the checks of what modules return, given the reference's inputs."""
    for rung in rungs:
        for check in rung.checks:
            if check.evidence is not None and check.evidence.forced and check.evidence.role == "output":
                yield check


def _tried(pair: Pair, check: Check, until: float) -> Iterator[tuple[str, str, bool]]:
    """Yield each hypothesis that can be tested: its family, what it says, and whether it agrees with the port."""
    if check.evidence is None:
        return
    case = ForwardCase(pair, check, check.evidence)
    for family in FAMILIES["forward"]:
        found: list[tuple[str, str, bool]] = []
        with optional(f"the search for blind spots of the family {family.name!r}"):
            for hypothesis in family.hypotheses(case) if not family.last_resort else ():
                if time.process_time() > until:
                    break
                measured = hypothesis.test()
                if measured is not None:  # judged by the check's tolerance: that of a cause shrinks with the difference
                    agrees = measured.passed or (check.allowed is not None and measured.measured <= check.allowed)
                    found.append((family.name, hypothesis.cause, agrees))
        yield from found
