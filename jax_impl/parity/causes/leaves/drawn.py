"""The draws of a leaf in several fresh models, and the laws that they do not reject."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jax_impl.compare import ks_two_sample
from jax_impl.parity.causes.cases import Floats
from jax_impl.parity.causes.compute.laws import SURVIVES, Sample, sample
from jax_impl.parity.causes.leaves.formulas import PUBLISHED, RECURRENT, Named, published
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.reading import Record

CLOSE = 4.0  # standard errors up to which two stds agree
FAR_FROM_ONE = 6.0  # standard errors up to which a mean is 1


@dataclass(frozen=True)
class Drawn:
    """A leaf in several fresh models of one side.

    Attributes:
        rows: Its numbers, shape (seeds, elements).
        moving: Those that differ from model to model.
    """

    rows: Floats

    @property
    def constant(self) -> bool:
        """Whether all numbers are the same."""
        return bool(np.ptp(self.rows) == 0)

    @property
    def moving(self) -> Sample:
        """The draws: the elements that differ from model to model."""
        return sample(self.rows[:, (self.rows != self.rows[0]).any(axis=0)])

    @property
    def usable(self) -> bool:
        """Whether there are numbers, all finite, of several models."""
        return self.rows.ndim == 2 and self.rows.shape[0] > 1 and bool(self.rows.size and np.isfinite(self.rows).all())


def surviving(pair: Pair, name: str, draws: Sample) -> list[Named]:
    """Return the laws that the draws do not reject, the published ones of the module's type first."""
    if draws.size < 2:
        return []
    around = 1.0 if abs(draws.mean - 1) < FAR_FROM_ONE * draws.std / math.sqrt(draws.size) else 0.0
    found = [one for one in published(pair, name, around) if draws.p_value(one.law) > SURVIVES]
    return sorted(found, key=lambda one: (one.law.kind, one.formula) not in PUBLISHED)


def drawn_of(record: Record, name: str) -> Drawn | None:
    """Return a leaf in the fresh models of one side, if it is random there."""
    fresh = record.content.fresh
    if fresh is None or name not in fresh.leaves:
        return None
    drawn = Drawn(record.array(fresh.leaves[name]).astype(np.float64))
    return drawn if drawn.usable and not drawn.constant else None


def shared_laws(laws: Sequence[Named], others: Sequence[Named]) -> list[Named]:
    """Return the laws that are written in the same way among the others."""
    allowed = {(one.law.kind, one.formula) for one in others}
    return [one for one in laws if (one.law.kind, one.formula) in allowed]


def alike(pair: Pair, name: str, kind: str) -> list[str]:
    """Return the leaves of this name in modules of the same type; all leaves of recurrent ones, which have one law."""
    theirs, ours = pair.theirs.content.fresh, pair.ours.content.fresh
    shared = [other for other in (theirs.leaves if theirs else ()) if ours and other in ours.leaves and other != name]
    modules = {other: pair.modules.get(pair.module_of(other)) for other in shared}
    last = name.rpartition(".")[2]
    return [
        other
        for other, module in modules.items()
        if module and module.type == kind and (kind.startswith(RECURRENT) or other.rpartition(".")[2] == last)
    ]


def law_like(pair: Pair, name: str, found: Named, draws: Sample) -> Named:
    """Return a law without a formula with the name of a leaf beside it that the reference draws by this law."""
    fresh, around = pair.theirs.content.fresh, pair.module_of(name).rpartition(".")[0]
    for other in fresh.leaves if fresh and around else ():
        if other != name and other.startswith(f"{around}."):
            drawn = drawn_of(pair.theirs, other)
            if drawn is not None and _same_law(drawn.moving, draws):
                return Named(found.law, f"{found.formula}, which is the law of {other.removeprefix(f'{around}.')},")
    return found


def _same_law(a: Sample, b: Sample) -> bool:
    """Return whether two samples may come from one law."""
    error = math.sqrt((1 / a.size + 1 / b.size) / 2)  # of the logarithm of the std, at most, if the tails are short
    close = abs(math.log(a.std / b.std)) < CLOSE * error if a.size > 1 and b.size > 1 else False
    return close and ks_two_sample(a.values, b.values).p_value > SURVIVES
