"""Loaded weights: what the user's converter did to a leaf. Every cause holds for all elements, up to rounding."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import Floats, LeafCase
from jax_impl.parity.causes.compute.conversions import layouts, looks_equal, rounded_to, same_places
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.causes.leaves import orders
from jax_impl.parity.causes.leaves.blocks import parts
from jax_impl.parity.causes.leaves.scales import named_scales
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair, Term

DIFFERENT = 1e-5  # relative difference from which on a leaf differs by more than rounding
VALUES = 3  # distinct values that a leaf needs, so that a change of it can be told
FUNCTIONS: dict[str, tuple[Callable[[Floats], Floats], str]] = {
    "its square root": (np.sqrt, "hand over the number itself: a variance is no standard deviation"),
    "its square": (np.square, "hand over the number itself: a standard deviation is no variance"),
    "its reciprocal": (np.reciprocal, "hand over the number itself"),
    "the reciprocal of its square root": (lambda x: 1 / np.sqrt(x), "hand over the variance itself"),
    "its exponential": (np.exp, "hand over the number itself, no exponential"),
    "its logarithm": (np.log, "hand over the number itself, no logarithm"),
    "its absolute value": (np.abs, "keep the signs"),
    "one more": (lambda x: x + 1, "do not add 1"),
    "one less": (lambda x: x - 1, "do not subtract 1: the layer itself adds none"),
}


def distinct(array: Floats) -> bool:
    """Return whether a leaf has enough different finite values that a change of it can be told."""
    few = array.reshape(-1)[:: max(1, array.size // 4096)]
    return array.size >= VALUES and bool(np.isfinite(array).all()) and np.unique(few).size >= VALUES


def changed(case: LeafCase) -> bool:
    """Return whether the port's leaf differs by more than rounding, and both sides hold enough values."""
    if case.theirs.shape != case.ours.shape or not distinct(case.theirs) or not distinct(case.ours):
        return False
    found = case.agrees(case.theirs)
    return found is not None and found.measured > DIFFERENT


def confirm(case: LeafCase, prediction: Floats | None, tolerance: float = 1e-6) -> Measured | None:
    """Compare a changed leaf of the reference with the port's."""
    return case.agrees(prediction, tolerance)


def rearranged(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield other layouts and orders, of the whole leaf or of the blocks that differ."""
    if not changed(case):
        return
    found: list[Callable[[Floats], Floats]] = []
    for part in parts(case):
        for change in (*orders.named(case, part), *layouts(part.shape), *orders.others(case, part)):
            whole = partial(part.changed, change=change.apply)
            if not all(looks_equal(change.apply(a), b) for a, b in part.pairs(case)):
                continue
            measured = confirm(case, whole(case.theirs))
            again = any(same_places(whole, one, case.theirs.shape) for one in found)
            if measured is None or not measured.passed or again:
                continue
            found.append(whole)
            yield Hypothesis(
                cause=part.text(change.text),
                fix=change.fix,
                known="MMdnn 595" if "flattens" in change.text else "flax 3746" if "gates" in change.text else "",
                test=partial(confirm, case, whole(case.theirs)),
            )
        if found:
            return


def other_leaf(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield other leaves of the reference with the same shape, and the port's own fresh weights."""
    if not changed(case):
        return
    known = {term.leaf for term in case.pair.paired.get(case.name, ())}
    holders = [
        other
        for other in sorted(case.pair.theirs.start_names)
        if other not in known and looks_equal(_start(case.pair, other), case.ours)
    ]
    for other in holders:
        array = _start(case.pair, other)
        back = case.pair.ours.start(other)
        exchanged = back is not None and looks_equal(case.theirs, back.astype(np.float64))
        names = " and ".join(sorted((case.name, other)))
        yield Hypothesis(
            cause=f"{names} are exchanged" if exchanged else f"holds the numbers of {other}",
            fix=f"load each from its own leaf: {names}" if exchanged else f"load it from {case.name}, not from {other}",
            test=partial(confirm, case, array),
        )


def _start(pair: Pair, name: str) -> Floats:
    array = pair.theirs.start(name)
    return np.zeros(0) if array is None else array.astype(np.float64)


def scaled(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield a constant factor, of the whole leaf or of the blocks that differ."""
    if not changed(case):
        return
    for part in parts(case):
        a, b = (np.concatenate([one.reshape(-1) for one in side]) for side in zip(*part.pairs(case), strict=True))
        square = float(a @ a)
        if not square or not distinct(a):
            continue
        factor = float(a @ b) / square
        names = named_scales(case, factor)
        if abs(factor - 1) < DIFFERENT or abs(factor) < DIFFERENT:
            continue
        text = "its sign is reversed" if abs(factor + 1) < DIFFERENT else f"scaled by {factor:.5g}{names}"
        prediction = part.changed(case.theirs, partial(np.multiply, factor))
        yield Hypothesis(cause=part.text(text), fix="do not scale it", test=partial(confirm, case, prediction))


def functions(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield a function of each element, such as the root of a variance."""
    if not changed(case):
        return
    for part in parts(case):
        for text, (function, fix) in FUNCTIONS.items():
            with np.errstate(all="ignore"):
                prediction = part.changed(case.theirs, function)
            if np.isfinite(prediction).all():
                cause = part.text(f"{text} instead of the number itself")
                yield Hypothesis(cause=cause, fix=fix, test=partial(confirm, case, prediction))


def rounded(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield narrower dtypes. The port's numbers must be exactly the rounded ones."""
    if case.theirs.shape != case.ours.shape or not distinct(case.theirs):
        return
    for name in ("float32", "bfloat16", "bfloat16 by cutting off", "float16"):
        prediction = rounded_to(name, case.theirs)
        if not np.array_equal(prediction, case.theirs):
            yield Hypothesis(
                cause=f"rounded to {name}",
                fix="convert it in the dtype of the reference's leaf",
                test=partial(confirm, case, prediction, 1e-12),
            )


def not_loaded(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield a constant in place of the numbers, and the port's own initial weights."""
    found = case.agrees(case.theirs)
    if not case.ours.size or found is None or not found.measured > DIFFERENT:
        return
    fix = "load the reference's numbers into it"
    for part in parts(case):
        pairs = list(part.pairs(case))
        values = {float(block.flat[0]) for _, block in pairs}
        several = sum(block.size for _, block in pairs) > 1 or values <= {0.0, 1.0}
        if several and len(values) == 1 and all(np.ptp(block) == 0 for _, block in pairs):
            value = values.pop()
            before = case.theirs.flat[0]
            theirs = f"all {before:g}" if np.ptp(case.theirs) == 0 else "the reference's numbers"
            prediction = part.changed(case.theirs, partial(np.full_like, fill_value=value))
            test = partial(confirm, case, prediction, 0.0)
            yield Hypothesis(cause=part.text(f"all {value:g} instead of {theirs}"), fix=fix, test=test)
            return
    fresh = case.pair.ours.content.fresh
    if fresh is None or case.name not in fresh.leaves or not changed(case):
        return
    rows = case.pair.ours.array(fresh.leaves[case.name]).astype(np.float64)
    for seed, row in enumerate(rows):
        places = np.arange(row.size, dtype=np.int64) * case.ours.size // max(row.size, 1)
        if np.array_equal(case.ours.reshape(-1)[places].astype(np.float32), row.astype(np.float32)):
            same = partial(_same_sample, row, case.ours.reshape(-1)[places])
            yield Hypothesis(cause=f"not loaded: it holds what the port draws with seed {seed}", fix=fix, test=same)


def _same_sample(row: Floats, ours: Floats) -> Measured:
    return Measured(measured=float(np.abs(row - ours).max(initial=0.0)), allowed=1e-6)


def biases(case: LeafCase) -> Iterator[Hypothesis]:
    """Yield a sum of leaves, such as the two biases of an LSTM, with one left out or counted twice."""
    terms = case.pair.paired.get(case.name, ())
    if len(terms) < 2 or not changed(case):
        return
    arrays = [_term(case.pair, term) for term in terms]
    for term, array in zip(terms, arrays, strict=True):
        if array.shape == case.ours.shape and array.any():
            yield Hypothesis(
                cause=f"{term.leaf} is left out of the sum",
                fix=f"add {' and '.join(one.leaf for one in terms)}",
                known="flax 3746",
                test=partial(confirm, case, case.theirs - array),
            )
            yield Hypothesis(
                cause=f"{term.leaf} is added twice",
                fix=f"add {' and '.join(one.leaf for one in terms)}, each once",
                test=partial(confirm, case, case.theirs + array),
            )


def _term(pair: Pair, term: Term) -> Floats:
    array = _start(pair, term.leaf)
    return array if term.stop is None else array[term.start : term.stop]


FAMILIES = (
    Family("layout and order of a leaf", rearranged),
    Family("another leaf", other_leaf),
    Family("scale of a leaf", scaled),
    Family("function of a leaf", functions),
    Family("rounding of a leaf", rounded),
    Family("leaf that is not loaded", not_loaded),
    Family("one of several biases", biases),
)
