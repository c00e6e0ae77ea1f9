"""The port's own batches: scale and normalisation, layout, labels, rounding, order, and how many there are."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from jax_impl.parity.causes.batches.entries import Entry, agreement, different, entries, flat, worst
from jax_impl.parity.causes.batches.orders import order
from jax_impl.parity.causes.cases import Floats, WholeCase
from jax_impl.parity.causes.compute import batches as pipelines
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.records.content import Reference, arrays_of

CHANNELS = 16  # that are normalised on their own, at most
EACH = 32  # numbers of a channel that a fit needs
SEEN = 2  # times that each class must be seen, on average, to tell another numbering


def scale(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield a factor and a summand, for all numbers or by channel, and statistics of the batch itself."""
    for entry in different(case):
        if not entry.alike or entry.whole:
            continue
        theirs, ours = ([one.astype(np.float64) for one in side] for side in (entry.theirs, entry.ours))
        for axis in _axes(theirs):
            found = pipelines.fitted(theirs, ours, axis)
            if found is None or np.abs(found[0]).min() < 1e-9:
                continue
            prediction = [pipelines.affine(one, found, axis) for one in theirs]
            result = agreement(prediction, ours)
            for text, fix in pipelines.affine_names(found):
                yield Hypothesis(cause=entry.text(text), fix=fix, test=partial(agreement, prediction, ours))
            if result is not None and result.passed:
                break
        for what, change in (("batch", _own), ("sample", _own_sample)):
            yield Hypothesis(
                cause=entry.text(f"each {what} normalised by its own mean and std"),
                fix="normalise as the reference does",
                test=partial(agreement, [change(one) for one in theirs], ours),
            )


def _axes(arrays: Sequence[Floats]) -> list[int | None]:
    """Return None and the axes that may be channels: few of them, each with many numbers."""
    shape = arrays[0].shape
    total = sum(one.size for one in arrays)
    axes = dict.fromkeys((1, len(shape) - 1)) if len(shape) > 2 else {}
    same = [axis for axis in axes if len({one.shape[axis] for one in arrays}) == 1]
    return [None, *(axis for axis in same if 1 < shape[axis] <= CHANNELS and total >= EACH * shape[axis])]


def _own(x: Floats) -> Floats:
    return np.asarray((x - x.mean()) / (x.std() or 1.0))


def _own_sample(x: Floats) -> Floats:
    axes = tuple(range(1, x.ndim))
    spread = x.std(axis=axes, keepdims=True)
    return np.asarray((x - x.mean(axis=axes, keepdims=True)) / np.where(spread > 0, spread, 1.0))


def layout(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield other orders of the axes of every sample, reversed ones, and other shapes."""
    for entry in different(case):
        if entry.uniform:
            for change in pipelines.sample_layouts(entry.theirs[0].shape, entry.ours[0].shape):
                predict = partial(_changed, entry, change.apply)
                yield Hypothesis(cause=entry.text(change.text), fix=change.fix, test=predict)


def _changed(entry: Entry, change: Callable[[Floats], Floats]) -> Measured | None:
    return agreement([change(one) for one in entry.theirs], entry.ours)


def rounded(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield narrower types. The port's numbers must be exactly the rounded ones."""
    for entry in entries(case):
        unequal = any(not np.array_equal(a, b) for a, b in zip(entry.theirs, entry.ours, strict=True))
        if not (entry.alike and entry.informative and unequal) or entry.whole:
            continue
        found = [list(pipelines.roundings(one.astype(np.float64))) for one in entry.theirs]
        for changes in zip(*found, strict=True):
            prediction = [array for _, array in changes]
            if np.unique(flat(prediction)).size > 1 and not np.array_equal(flat(prediction), flat(entry.theirs)):
                test = partial(agreement, prediction, entry.ours, 1e-7)
                fix = "keep the numbers in float32"
                yield Hypothesis(cause=entry.text(changes[0][0]), fix=fix, test=test)


def labels(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield whole numbers that are shifted, one-hot, or numbered in another order."""
    for entry in entries(case):
        if not all(np.isfinite(flat(side)).all() for side in (entry.theirs, entry.ours)) or not entry.differs:
            continue
        if not all(one.dtype.kind in "iub" for one in entry.theirs):
            yield from _indices(entry)
            continue
        if entry.alike and np.unique(flat(entry.theirs)).size > 1:
            yield from _shifted(entry)
        yield from _one_hot(entry)
        yield from _moved(entry)


def _shifted(entry: Entry) -> Iterator[Hypothesis]:
    """Yield a constant that is added, or another numbering of the classes."""
    theirs, ours = flat(entry.theirs), flat(entry.ours)
    step = float(np.median(ours - theirs))
    if step and step == int(step):
        prediction = [one.astype(np.float64) + step for one in entry.theirs]
        word = "more" if step > 0 else "less"
        yield Hypothesis(
            cause=entry.text(f"every number {abs(int(step))} {word}"),
            fix=f"{'subtract' if step > 0 else 'add'} {abs(int(step))}: the numbers start elsewhere",
            test=partial(agreement, prediction, entry.ours, 0.0),
        )
        if not np.array_equal(flat(prediction), theirs) and np.array_equal(flat(prediction), ours):
            return
    table = dict(zip(theirs.tolist(), ours.tolist(), strict=True))
    if len(set(table.values())) == len(table) > 1 and theirs.size >= SEEN * len(table):
        moved = ", ".join(f"{int(a)} → {b:g}" for a, b in sorted(table.items()) if a != b)
        prediction = [np.vectorize(table.__getitem__, otypes=[float])(one.astype(np.float64)) for one in entry.theirs]
        yield Hypothesis(
            cause=entry.text(f"classes numbered in another order: {moved[:80]}"),
            fix="number the classes as the reference does",
            test=partial(agreement, prediction, entry.ours, 0.0),
        )


def _one_hot(entry: Entry) -> Iterator[Hypothesis]:
    """Yield one-hot vectors in place of indices."""
    first, second = entry.theirs[0], entry.ours[0]
    classes = second.shape[-1] if second.ndim == first.ndim + 1 else 0
    low, high = (flat(entry.theirs).min(initial=0), flat(entry.theirs).max(initial=0))
    if classes > 1 and low >= 0 and high < classes:
        prediction = [np.eye(classes)[one.astype(np.int64)] for one in entry.theirs]
        yield Hypothesis(
            cause=entry.text("one-hot vectors instead of indices"),
            fix="hand over the indices, or compare with the loss that takes them",
            test=partial(agreement, prediction, entry.ours, 0.0),
        )


def _indices(entry: Entry) -> Iterator[Hypothesis]:
    """Yield indices in place of one-hot vectors."""
    theirs = entry.theirs
    one_hot = all(one.ndim > 1 and one.shape[-1] > 1 and set(np.unique(one).tolist()) <= {0, 1} for one in theirs)
    if one_hot and all((one.sum(axis=-1) == 1).all() for one in theirs):
        yield Hypothesis(
            cause=entry.text("indices instead of one-hot vectors"),
            fix="hand over one-hot vectors, jax.nn.one_hot",
            test=partial(agreement, [one.argmax(axis=-1) for one in theirs], entry.ours, 0.0),
        )


def _moved(entry: Entry) -> Iterator[Hypothesis]:
    """Yield sequences that begin one position later or earlier."""
    if not entry.alike or any(one.ndim != 2 or one.shape[1] < 4 for one in entry.theirs):
        return
    if any((one == one[:, :1]).all() for one in entry.theirs):
        return
    for text, a, b in (
        ("one position later: the first number is left out", np.s_[:, 1:], np.s_[:, :-1]),
        ("one position earlier: a number is put before the first", np.s_[:, :-1], np.s_[:, 1:]),
    ):
        yield Hypothesis(
            cause=entry.text(f"sequences {text}"),
            fix="cut inputs and targets as the reference does: x = tokens[:, :-1], y = tokens[:, 1:]",
            test=partial(agreement, [one[a] for one in entry.theirs], [one[b] for one in entry.ours], 0.0),
        )


def count(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield a last, smaller batch that is dropped, and batches of another size."""
    theirs, ours = case.pair.theirs.content.batches, case.pair.ours.content.own_batches or []
    found = entries(case)
    last = [one for _, one in arrays_of(theirs[-1]) if isinstance(one, Reference)] if theirs else []
    if found and len(ours) == len(theirs) - 1 and last and last[0].shape and found[0].theirs[0].ndim:
        rows, usual = last[0].shape[0], len(found[0].theirs[0])
        if rows < usual and not any(one.differs for one in found):
            yield Hypothesis(
                cause=f"the last batch is dropped, of {rows} instead of {usual} samples",
                fix="keep the last batch, drop_remainder=False",
                test=partial(worst, [agreement(one.theirs, one.ours) for one in found]),
            )
    sizes = [tuple(len(side[0]) if side[0].ndim else 0 for side in (one.theirs, one.ours)) for one in found]
    if len(set(sizes)) == 1 and 0 not in sizes[0] and sizes[0][0] != sizes[0][1]:
        yield Hypothesis(
            cause=f"batches of {sizes[0][1]} samples instead of {sizes[0][0]}",
            fix=f"batch_size={sizes[0][0]}",
            test=partial(_prefixes, found),
        )


def _prefixes(found: Sequence[Entry]) -> Measured | None:
    """Compare the samples of both sides one by one, as many as both have."""
    results = []
    for one in found:
        if len({array.shape[1:] for array in (*one.theirs, *one.ours)}) > 1:
            return None
        a, b = (np.concatenate(side) for side in (one.theirs, one.ours))
        shared = min(len(a), len(b))
        results.append(agreement([a[:shared]], [b[:shared]]))
    return worst(results)


FAMILIES = (
    Family("scale and normalisation of the data", scale),
    Family("layout of the data", layout),
    Family("labels", labels),
    Family("rounding of the data", rounded),
    Family("order of the samples", order),
    Family("number and size of the batches", count),
)
