"""Gradients of a loss that agrees: a factor, a place where they stop, one of several uses, a row of an embedding."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.arrays import sample_indices
from jax_impl.parity.causes.cases import Floats, WholeCase
from jax_impl.parity.causes.families.steps.last_layer import LastLayer
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.comparing import Stored, compare, stored
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair, Term
from jax_impl.parity.records.content import Reference
from jax_impl.parity.rungs.gradients import backward_order

CLOSE = 1e-9


@dataclass(frozen=True)
class Gradients:
    """The gradients of both sides, of leaves that are one whole leaf of the reference.

    Attributes:
        pair: The records.
        failed: The names of those that differ.
    """

    pair: Pair
    failed: frozenset[str]

    @cached_property
    def names(self) -> list[str]:
        """The leaves that both sides have, those of later modules first."""
        theirs, ours = self._sides
        return [name for name in backward_order(self.pair) if self.pair.paired[name] == (Term(name),)
                and theirs.get(name) is not None and ours.get(name) is not None
                and _same_shape(theirs[name], ours[name])]  # fmt: skip

    @property
    def complete(self) -> bool:
        """Whether all gradients that differ can be looked at."""
        return self.failed <= set(self.names)

    @cached_property
    def theirs(self) -> dict[str, Floats]:
        """The reference's gradients, flat, as far as stored."""
        return {name: self._array(self.pair.theirs, self._sides[0], name) for name in self.names}

    @cached_property
    def ours(self) -> dict[str, Floats]:
        """The port's gradients."""
        return {name: self._array(self.pair.ours, self._sides[1], name) for name in self.names}

    def agrees(self, predictions: dict[str, Floats]) -> Measured | None:
        """Compare predicted gradients with the port's; return the worst comparison. They are flat and as stored."""
        theirs, ours = self._sides
        largest = max((one.norm for one in theirs.values() if one is not None and one.norm < 1e300), default=0.0)
        slack = self.pair.tolerance.unit * largest
        compared = []
        for name, prediction in predictions.items():
            reference, mine = theirs[name], ours[name]
            if reference is None or mine is None:
                return None
            known = stored(mine, self.pair.ours.array(mine))
            expected = Stored(reference, prediction, self.positions(name), whole=False)
            compared.append(
                compare(self.pair.tolerance, known, expected, loose=self.pair.computes_in_float32, slack=slack)
            )
        return max(compared, key=lambda one: one.measured / (one.allowed or 1e-300), default=None)

    def positions(self, name: str) -> NDArray[np.int64] | None:
        """Return the places of the stored elements of a gradient; None if all are."""
        reference = self._sides[0][name]
        size = 0 if reference is None else reference.size
        return sample_indices(size, self.theirs[name].size) if self.theirs[name].size < size else None

    @cached_property
    def _sides(self) -> tuple[dict[str, Reference | None], dict[str, Reference | None]]:
        return self.pair.theirs.content.gradients or {}, self.pair.ours.content.gradients or {}

    @staticmethod
    def _array(record: object, side: dict[str, Reference | None], name: str) -> Floats:
        found = record.array(side[name])  # type: ignore[attr-defined]
        return np.asarray(found.reshape(-1).astype(np.float64))


def of(case: WholeCase) -> Gradients:
    """Return the gradients of a case."""
    return Gradients(case.pair, frozenset(check.evidence.leaf for check in case.failures if check.evidence))


def factor(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield a factor of the gradients: of all, of all before a module, or of those inside one. 0 stops them."""
    gradients = of(case)
    if not gradients.complete:
        return
    names = [name for name in gradients.names if name in gradients.failed and gradients.theirs[name].any()]
    if not names:
        return
    theirs, ours = (np.concatenate([side[name] for name in names]) for side in (gradients.theirs, gradients.ours))
    if not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return
    ratio = float(theirs @ ours) / float(theirs @ theirs)
    ratio = 0.0 if not ours.any() else ratio
    ratio = float(round(ratio)) if ratio and abs(ratio - round(ratio)) < CLOSE * abs(ratio) else ratio
    if ratio == 1:
        return
    predictions = {name: ratio * gradients.theirs[name] for name in gradients.failed}
    cause, fix = _factor_told(gradients, set(names), ratio)
    yield Hypothesis(cause=cause, fix=fix, test=partial(gradients.agrees, predictions))


def _factor_told(gradients: Gradients, names: set[str], ratio: float) -> tuple[str, str]:
    pair = gradients.pair
    everywhere = gradients.agrees({name: ratio * gradients.theirs[name] for name in gradients.names})
    if everywhere is not None and everywhere.passed:  # also where a gradient is 0 up to rounding, and its factor unseen
        norm = math.sqrt(sum(one.norm**2 for one in (pair.theirs.content.gradients or {}).values() if one is not None))
        limit = ratio * norm
        if 0 < ratio < 1 and abs(limit - float(f"{limit:.2g}")) < 1e-5 * limit:
            return (
                f"the gradients are clipped to norm {limit:.2g} before the optimizer sees them",
                "clip once, in the optimizer",
            )
        words = {0.0: "no gradient reaches the parameters", -1.0: "all gradients have the other sign"}
        text = words.get(ratio, f"all gradients are {ratio:.6g} × the reference's, and the loss agrees")
        return text, "take the gradient of the loss itself, without a factor" if ratio else "no stop_gradient"
    where = place(gradients, names)
    if ratio == 0:
        return f"the gradient is stopped {where}", "no stop_gradient there"
    what = "reversed" if ratio == -1 else f"multiplied by {ratio:.6g}"
    return f"the gradient is {what} {where}", "no factor on the gradient there"


def place(gradients: Gradients, names: set[str]) -> str:
    """Return where backpropagation parts, if exactly these leaves differ."""
    modules = list(dict.fromkeys(gradients.pair.module_of(name) for name in gradients.names))  # last module first
    failed = [path for path in modules if any(gradients.pair.module_of(name) == path for name in names)]
    partly = [path for path in failed if any(
        gradients.pair.module_of(name) == path and name not in names and gradients.theirs[name].any()
        for name in gradients.names)]  # fmt: skip
    if partly:
        listed = sorted(names)
        return f"at {', '.join(listed[:3])}" + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
    last = gradients.pair.name(failed[0])
    if modules[modules.index(failed[0]) :] == failed:
        return f"behind {last}" + (", for it and all modules before it" if len(failed) > 1 else "")
    common = failed[0]
    while common and not all(path == common or path.startswith(f"{common}.") for path in failed):
        common = common.rpartition(".")[0]
    inside = [path for path in modules if path == common or path.startswith(f"{common}.")]
    if common and inside == failed:
        return f"in {common}"
    return f"in {', '.join(failed[:3])}" + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")


def tied(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield that one of two uses of a tied weight gives no gradient: in the last linear layer, or in the embedding."""
    gradients = of(case)
    pair = case.pair
    for name in sorted(gradients.failed & set(gradients.names)):
        users = [leaf.module for leaf in pair.leaves.values() if name in (leaf.name, leaf.tied)]
        if len(users) < 2 or gradients.positions(name) is not None or gradients.failed != {name}:
            continue
        for path in users:
            last = LastLayer.of(pair, path)
            if last is None or last.weight_gradient.size != gradients.theirs[name].size:
                continue
            share = last.weight_gradient
            rest = gradients.theirs[name] - share.reshape(-1)
            others = ", ".join(one for one in users if one != path)
            if not share.any() or not rest.any():
                continue
            for prediction, stopped in ((rest, path), (share.reshape(-1), others)):
                yield Hypothesis(
                    cause=f"the gradient of the tied weight {name} misses its use in {stopped}",
                    fix=f"no stop_gradient on the weight in {stopped}",
                    test=partial(gradients.agrees, {name: prediction}),
                )


def rows(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield that an embedding's padding learns, or that a row gets no gradient."""
    gradients = of(case)
    pair = case.pair
    for name in sorted(gradients.failed & set(gradients.names)):
        shape = pair.leaves[name].shape
        module = pair.modules.get(pair.module_of(name))
        if len(shape) != 2 or module is None or gradients.failed != {name}:
            continue
        positions = gradients.positions(name)
        row_of = (np.arange(gradients.theirs[name].size) if positions is None else positions) // shape[1]
        theirs, ours = gradients.theirs[name], gradients.ours[name]
        padding = module.settings.get("padding_idx")
        here = row_of == padding
        if isinstance(padding, int) and here.any() and not theirs[here].any() and ours[here].any() and theirs.any():
            yield Hypothesis(
                cause=f"row {padding} of {name}, the padding, gets a gradient: padding_idx={padding} keeps it constant",
                fix=f"stop_gradient on row {padding} of the table",
                test=partial(gradients.agrees, {name: np.where(here, ours, theirs)}),
            )
        still = sorted(
            {int(row) for row in np.unique(row_of) if theirs[row_of == row].any() and not ours[row_of == row].any()}
        )
        if 0 < len(still) <= 3:
            yield Hypothesis(
                cause=f"row {', '.join(map(str, still))} of {name} gets no gradient",
                fix="no stop_gradient on this row of the table",
                test=partial(gradients.agrees, {name: np.where(np.isin(row_of, still), 0.0, theirs)}),
            )


def _same_shape(one: Reference | None, other: Reference | None) -> bool:
    return one is not None and other is not None and one.shape == other.shape and one.sampled == other.sampled


FAMILIES = (
    Family("a factor of the gradients, or a place where they stop", factor),
    Family("one use of a tied weight", tied),
    Family("the padding row of an embedding", rows),
)
