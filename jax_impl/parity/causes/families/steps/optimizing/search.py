"""The search for changes of the reference's rule that give the steps that the port made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.cases import WholeCase
from jax_impl.parity.causes.compute.optimizers import fitted_rates, updates
from jax_impl.parity.causes.compute.rules import Floats, Rule, at
from jax_impl.parity.causes.families.steps.optimizing.changes import Change
from jax_impl.parity.causes.families.steps.optimizing.changes import told as told_setting
from jax_impl.parity.causes.families.steps.optimizing.given import Alone, alone
from jax_impl.parity.causes.families.steps.optimizing.settings import reference_rule
from jax_impl.parity.measures.tolerances import Measured

SCREENED = 24  # elements of each leaf on which a change is tried first
TRIED = 1_500  # of them in all
ALIKE = 1e-3  # relative error on these, above which a change is refuted


@dataclass(frozen=True)
class Found:
    """A change that gives the port's steps."""

    change: Change
    measured: Measured

    @property
    def share(self) -> float:
        """The difference that is left, as a share of what is allowed."""
        return self.measured.measured / self.measured.allowed if self.measured.allowed else 0.0


@dataclass
class Search:
    """The search for changes of a rule.

    Attributes:
        alone: What both sides did.
        rule: The reference's.
        leaves: The numbers of the leaves whose steps differ.
    """

    alone: Alone
    rule: Rule
    leaves: list[int] = field(default_factory=list)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """The elements on which a change is tried first."""
        starts, count = self.alone.starts, max(1, min(SCREENED, TRIED // max(len(self.leaves), 1)))
        spread = [
            np.unique(np.linspace(starts[leaf], starts[leaf + 1] - 1, count).astype(np.int64)) for leaf in self.leaves
        ]
        return np.concatenate(spread)

    def looks_like(self, change: Change, *, fit: bool = False) -> bool:
        """Return whether a change gives the port's steps on some elements of the leaves that differ."""
        rule, given, ours = (
            at(change.rule, self.places),
            self.alone.given.at(self.places),
            self.alone.ours[:, self.places],
        )
        if fit:
            rates = fitted_rates(rule, given, ours, self.alone.group_of[self.places])
            given = replace(given, rates=rates)
        elif change.factors is not None:
            given = replace(given, rates=given.rates * change.factors)
        sizes = np.linalg.norm(ours, axis=1)
        errors = np.linalg.norm(updates(rule, given) - ours, axis=1)
        return bool((errors <= ALIKE * np.where(sizes > 0, sizes, 1e-300)).all())

    def measured(self, change: Change, rates: Floats | None = None) -> tuple[Measured, bool]:
        """Compare a change with the port, on the leaves that differ. Also return whether it holds for all leaves."""
        given = self.alone.given
        rates = given.rates * (1.0 if change.factors is None else change.factors) if rates is None else rates
        found = updates(change.rule, replace(given, rates=rates))
        measured = self.alone.agrees(found, self.alone.pair.ours, self.leaves)
        others = [leaf for leaf in range(len(self.alone.names)) if leaf not in self.leaves]
        return measured, measured.passed and (
            not others or self.alone.agrees(found, self.alone.pair.ours, others).passed
        )

    def try_all(self, tried: Iterable[Change]) -> list[Found]:
        """Return the changes that give the port's steps."""
        found = []
        for change in tried:
            if self.looks_like(change):
                measured, everywhere = self.measured(change)
                if measured.passed and (everywhere or not change.whole):
                    found.append(Found(self.limited(change, everywhere), measured))
        return found

    def limited(self, change: Change, everywhere: bool) -> Change:
        """Return a change in words that say for which leaves it holds, and with the reference's numbers for these."""
        cause, fix, groups = change.cause, change.fix, False
        for setting in vars(self.rule).values():
            if isinstance(setting, np.ndarray):
                here, chosen = told_setting(setting), told_setting(setting[np.isin(self.alone.leaf_of, self.leaves)])
                groups = groups or f"instead of {here}" in cause
                cause = cause.replace(f"instead of {here}", f"instead of {chosen}")
                fix = fix.replace(f"={here}", f"={chosen}")
        some = len(self.leaves) < len(self.alone.names) and (groups or not everywhere)
        return replace(change, cause=f"{cause}, for {self.where()}" if some else cause, fix=fix)

    def where(self) -> str:
        """Return the leaves that differ as text."""
        return leaves_told(self.alone, self.leaves)


def leaves_told(alone: Alone, leaves: Sequence[int]) -> str:
    """Return some leaves as text: by their number of axes, by their last name, or one by one."""
    chosen = {alone.names[leaf] for leaf in leaves}
    axes = {name: len(alone.pair.leaves[name].shape) for name in alone.names}
    words = {
        "vectors, such as biases and norms": {name for name in axes if axes[name] < 2},
        "matrices and kernels": {name for name in axes if axes[name] >= 2},
        "biases": {name for name in axes if name.rpartition(".")[2].startswith("bias")},
    }
    for number, _ in enumerate(alone.settings):
        group = {alone.names[leaf] for leaf in range(len(alone.names)) if alone.groups[leaf] == number}
        words.setdefault(f"parameter group {number + 1}", group)
    found = next((text for text, names in words.items() if names == chosen), "")
    listed = [alone.names[leaf] for leaf in leaves]
    return found or ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def begun(case: WholeCase) -> Search | None:
    """Return the search, if the reference's rule gives its own recorded steps, and the port's differ from them."""
    one = alone(case.pair)
    rule = None if one is None else reference_rule(case.pair, one.settings, one.group_of)
    if one is None or rule is None:
        return None
    expected = updates(rule, one.given)
    everything = range(len(one.names))
    if not one.agrees(expected, case.pair.theirs, everything).passed:
        return None
    leaves = [leaf for leaf in everything if not one.agrees(expected, case.pair.ours, [leaf]).passed]
    return Search(one, rule, leaves) if leaves and np.isfinite(one.ours).all() else None
