"""Fresh initial weights: leaves that depend on each other, seeds without effect, elements that are always the same."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from jax_impl.compare import ks_two_sample
from jax_impl.parity.arrays import sample_indices
from jax_impl.parity.causes.cases import Floats, LeafCase, WholeCase
from jax_impl.parity.causes.compute.laws import SURVIVES
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.causes.leaves.blocks import block_names
from jax_impl.parity.measures.equal_leaves import by_module, equal_groups
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair

ERRORS = 5.0  # standard errors of a correlation up to which leaves count as independent
SAME = 0.999  # rank correlation from which on two leaves come from the same random numbers
ENOUGH = 16  # elements that show independence
SHOWN = 4  # rows in a message
Rows = NDArray[np.bool_]


def seeds(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield a seed that has no effect, or one that has although the reference's leaf is a fixed table."""
    ours, theirs = case.ours, case.theirs
    if not _comparable(ours, theirs) or np.ptp(ours) == 0:
        return
    repeats = [bool((side == side[0]).all()) for side in (ours, theirs)]
    if repeats == [True, False]:
        yield Hypothesis(
            cause="every fresh model has the same weights: the seed has no effect",
            fix="make the key from the seed, jax.random.key(seed), or nnx.Rngs(seed)",
            test=partial(_largest, ours - ours[0]),
        )
    if repeats == [False, True] and np.ptp(theirs) > 0:
        moving = float((ours != ours[0]).any(axis=0).mean())
        yield Hypothesis(
            cause="drawn at random instead of being the same table in every model",
            fix="compute the table as the reference does",
            test=partial(Measured, measured=1 - moving, allowed=0.01, unit="absolute"),
        )


def _comparable(ours: Floats, theirs: Floats) -> bool:
    """Return whether both sides have finite numbers of several models."""
    same = ours.shape == theirs.shape and ours.ndim == 2 and len(ours) > 1 and ours.size > 0
    return same and bool(np.isfinite(ours).all() and np.isfinite(theirs).all())


def _largest(array: Floats) -> Measured:
    return Measured(measured=float(np.abs(array).max(initial=0.0)), allowed=0.0, unit="absolute")


def fixed(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield rows or blocks that are always the same on one side and drawn on the other, such as padding."""
    ours, theirs = case.ours, case.theirs
    leaf = case.pair.leaves.get(case.name)
    if not _comparable(ours, theirs) or len(ours) < 3 or leaf is None or not leaf.shape:
        return
    still = [(side == side[0]).all(axis=0) for side in (ours, theirs)]
    for mine, reference, side in ((still[0], still[1], theirs), (still[1], still[0], ours)):
        where = reference & ~mine
        values = np.unique(side[:, where])
        if not where.any() or (mine | where).all() or values.size != 1 or len(leaf.shape) > 2:
            continue
        rows = _whole_rows(where, leaf.shape)
        if rows is None:
            continue
        name = _names(case, rows, leaf.shape[0])
        always = f"always {values[0]:g}"
        drawn = ours if side is theirs else theirs
        words = ("drawn like the others", always) if side is theirs else (always, "drawn like the others")
        value = f"set({values[0]:g})"
        yield Hypothesis(
            cause=f"{name} {words[0]} instead of {words[1]}",
            fix=f"leaf.at[{', '.join(map(str, rows[:SHOWN]))}].{value} after drawing it"
            if side is theirs
            else f"do not set {name} to {values[0]:g}",
            known="transformers, FlaxBertEmbeddings" if "padding" in name else "",
            test=partial(_like_others, drawn, where, mine),
        )


def _whole_rows(where: Rows, shape: list[int]) -> list[int] | None:
    """Return the rows along the first axis to which exactly these sampled elements belong; None if they are no rows."""
    size = math.prod(shape)
    if not 0 < where.size <= size:
        return None
    places = sample_indices(size, where.size) if where.size < size else np.arange(size)
    rows = places // max(size // shape[0], 1)
    found = np.unique(rows[where])
    return [int(row) for row in found] if np.array_equal(np.isin(rows, found), where) else None


def _names(case: LeafCase, rows: list[int], count: int) -> str:
    """Return how the rows are called: padding, a gate, or their numbers."""
    if rows == [case.module.settings.get("padding_idx")]:
        return f"the row of padding, {rows[0]}, is"
    for number, name in enumerate(names := block_names(case)):
        size = count // len(names)
        if rows == list(range(number * size, (number + 1) * size)):
            return f"gate {name} is" if name not in ("q", "k", "v") else f"{name} is"
    listed = ", ".join(map(str, rows[:SHOWN])) + (" …" if len(rows) > SHOWN else "")
    return f"row {listed} is" if len(rows) == 1 else f"rows {listed} are"


def _like_others(drawn: Floats, where: Rows, other: Rows) -> Measured:
    """Test whether the elements that are fixed on the other side are drawn as the rest of the leaf is."""
    rest = drawn[:, ~where & ~other]
    test = ks_two_sample(drawn[:, where], rest)
    return Measured(measured=test.measured, allowed=-math.log10(SURVIVES), unit="-log10 p")


def copies(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield layers that were copied on one side and drawn on their own on the other."""
    theirs, ours = case.pair.theirs.content.fresh, case.pair.ours.content.fresh
    if theirs is None or ours is None or case.check.what != "equal leaves":
        return
    shared = theirs.leaves.keys() & ours.leaves.keys()
    first, second = (equal_groups(fresh.equal, shared) for fresh in (theirs, ours))
    for groups, copied in ((first - second, True), (second - first, False)):
        for names in by_module(groups):
            inside = [sorted(group) for group in groups if _belongs(sorted(group), names)]
            if case.check.place == names[-1] and inside:
                yield _copied(case.pair, names, inside) if copied else _one_key(case.pair, names, inside)


def _belongs(group: list[str], names: tuple[str, ...]) -> bool:
    parts = zip(group, names, strict=False)
    return len(group) == len(names) and all(leaf == name or leaf.startswith(f"{name}.") for leaf, name in parts)


def _copied(pair: Pair, names: tuple[str, ...], groups: list[list[str]]) -> Hypothesis:
    what = "layers" if names[0] in pair.modules else "leaves"
    return Hypothesis(
        cause=f"the {what} {_listed(names)} are drawn one by one instead of being copies of one",
        fix=f"copy the numbers of {names[0]} into the other{'s' if len(names) > 2 else ''}: "
        "nnx.update(second, nnx.state(first, nnx.Param))",
        known="pytorch 72253",
        test=partial(_independent, pair, groups, ours=True),
    )


def _one_key(pair: Pair, names: tuple[str, ...], groups: list[list[str]]) -> Hypothesis:
    return Hypothesis(
        cause=f"{_listed(names)} are drawn with one key, or copied, instead of one by one",
        fix=f"split the key: one for each of {_listed(names)}",
        known="pytorch 86274",
        test=partial(_independent, pair, groups, ours=False),
    )


def _listed(names: tuple[str, ...]) -> str:
    shown = names if len(names) <= SHOWN else (*names[: SHOWN - 1], f"{len(names) - SHOWN + 1} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def _independent(pair: Pair, groups: list[list[str]], *, ours: bool) -> Measured | None:
    """Return by how many standard errors the leaves that are equal on the other side are correlated on this one."""
    record = pair.ours if ours else pair.theirs
    fresh = record.content.fresh
    worst: float | None = None
    for group in groups:
        sides = [record.array(fresh.leaves[name]).astype(np.float64).reshape(-1) for name in group] if fresh else []
        for other in sides[1:]:
            a, b = sides[0], other
            if a.shape == b.shape and a.size >= ENOUGH and np.isfinite([a, b]).all() and a.std() and b.std():
                score = abs(float(np.corrcoef(a, b)[0, 1])) * math.sqrt(a.size)
                worst = score if worst is None else max(worst, score)
    return None if worst is None else Measured(measured=worst, allowed=ERRORS, unit="standard errors")


def same_numbers(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield two leaves that are made of the same random numbers, with other scales or laws."""
    theirs, ours = case.pair.theirs.content.fresh, case.pair.ours.content.fresh
    if theirs is None or ours is None or not case.check.what.startswith("independence"):
        return
    names = case.check.detail.partition(": correlation")[0].split(" and ")
    if len(names) != 2 or any(name not in theirs.leaves or name not in ours.leaves for name in names):
        return
    yield Hypothesis(
        cause=f"{names[0]} and {names[1]} are drawn from the same random numbers instead of independently",
        fix=f"split the key: one for each of {names[0]} and {names[1]}",
        known="pytorch 86274",
        test=partial(_ranked, case.pair, names),
    )


def _ranked(pair: Pair, names: list[str]) -> Measured | None:
    """Return how far the port's rank correlation is from 1, if the reference's leaves are independent."""
    found = []
    for record in (pair.ours, pair.theirs):
        fresh = record.content.fresh
        a, b = (record.array(fresh.leaves[name]).astype(np.float64).reshape(-1) for name in names)  # type: ignore[union-attr]
        if a.shape != b.shape or a.size < ENOUGH or not np.isfinite([a, b]).all() or not (np.ptp(a) and np.ptp(b)):
            return None
        found.append(abs(float(stats.spearmanr(a, b).statistic)))
    independent = found[1] * math.sqrt(a.size) < ERRORS
    return Measured(measured=1 - found[0], allowed=1 - SAME, unit="absolute") if independent else None


LEAVES = (Family("seeds of fresh models", seeds), Family("elements that are always the same", fixed))
BETWEEN = (Family("copied layers", copies), Family("keys used twice", same_numbers))
