"""The reference's samples in another order: in each batch, between batches, or in every epoch."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.batches.entries import Array, Entry, agreement, entries, worst
from jax_impl.parity.causes.cases import WholeCase
from jax_impl.parity.causes.compute.batches import order_of, rows_of
from jax_impl.parity.causes.hypotheses import Hypothesis
from jax_impl.parity.measures.tolerances import Measured

SHOWN = 6  # numbers of an order in a message
ENOUGH = 8  # samples that show a reversed order
Numbers = NDArray[np.int64]


def order(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield another order of the samples, that of all arrays or of some only."""
    found = entries(case)
    wrong = [one for one in found if one.differs]
    if not any(one.informative for one in wrong) or not all(one.alike for one in found):
        return
    sizes = [len(one) for one in found[0].theirs]
    if min(sizes) < 1 or any([len(one) for one in entry.theirs] != sizes for entry in found):
        return
    for hypothesis in (*_epochs(found, len(sizes)), *_reversed(found, wrong, sizes)):
        yield hypothesis
        measured = hypothesis.test()
        if measured is not None and measured.passed:
            return
    theirs, ours = (_samples([getattr(one, side) for one in wrong]) for side in ("theirs", "ours"))
    numbers = order_of(theirs, ours)
    if numbers is not None and len(set(theirs)) > len(theirs) / 2:  # few different labels may agree by chance
        text, fix = _named_order(np.array(numbers), sizes)
        yield Hypothesis(cause=_only(found, wrong) + text, fix=fix, test=partial(_reordered, wrong, numbers))


def _only(found: Sequence[Entry], wrong: Sequence[Entry]) -> str:
    return "" if len(wrong) == len(found) else f"{', '.join(one.where for one in wrong)} of the batch alone: "


def _reversed(found: Sequence[Entry], wrong: Sequence[Entry], sizes: Sequence[int]) -> Iterator[Hypothesis]:
    """Yield samples in reverse order, in each batch or in all."""
    total = sum(sizes)
    spans = np.split(np.arange(total), np.cumsum(sizes)[:-1])
    inside = np.concatenate([span[::-1] for span in spans])
    for text, numbers in (
        ("the samples of each batch in reverse order", inside),
        ("all samples in reverse order", np.arange(total)[::-1]),
    ):
        if total >= ENOUGH:
            test = partial(_reordered, wrong, numbers.tolist())
            yield Hypothesis(cause=_only(found, wrong) + text, fix="do not reverse the samples", test=test)


def _samples(sides: Sequence[Sequence[Array]]) -> list[bytes]:
    """Return each sample, of all batches and with all arrays, as bytes."""
    return [b"".join(parts) for parts in zip(*(rows_of(arrays) for arrays in sides), strict=True)]


def _reordered(wrong: Sequence[Entry], numbers: Sequence[int]) -> Measured | None:
    ends = np.cumsum([len(one) for one in wrong[0].theirs])[:-1]
    return worst([
        agreement(np.split(np.concatenate(one.theirs)[list(numbers)], ends), one.ours) for one in wrong
    ])  # fmt: skip


def _named_order(numbers: Numbers, sizes: Sequence[int]) -> tuple[str, str]:
    """Return what an order of samples is, and the remedy."""
    ends = np.cumsum(sizes)
    batches = np.split(numbers, ends[:-1])
    spans = [np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    size = sizes[0]
    if len(set(sizes)) == 1 and all(part[0] % size == 0 and (np.diff(part) == 1).all() for part in batches):
        listed = ", ".join(str(int(part[0]) // size + 1) for part in batches[:SHOWN])
        return f"the batches in the order {listed} instead of 1, 2, 3 …", "take the batches in the reference's order"
    inside = all(np.array_equal(np.sort(part), span) for part, span in zip(batches, spans, strict=True))
    where = "in each batch" if inside else "across the batches"
    start = ", ".join(map(str, numbers[:SHOWN].tolist()))
    return f"the same samples in another order {where}: {start} …", "replay the reference's order of samples"


def _epochs(found: Sequence[Entry], count: int) -> Iterator[Hypothesis]:
    """Yield the first epoch's order in every epoch, if the reference shows several epochs."""
    rows = [_samples([[one.theirs[number]] for one in found]) for number in range(count)]
    for period in range(1, count // 2 + 1):
        starts = range(0, count - period + 1, period)
        epochs = {tuple(sorted(row for batch in rows[i : i + period] for row in batch)) for i in starts}
        if len(epochs) == 1:
            predictions = [[one.theirs[number % period] for number in range(count)] for one in found]
            yield Hypothesis(
                cause="the same order of samples in every epoch instead of a new one",
                fix="shuffle again in each epoch",
                test=partial(_all_agree, predictions, found),
            )
            return


def _all_agree(predictions: Sequence[Sequence[Array]], found: Sequence[Entry]) -> Measured | None:
    return worst([agreement(mine, one.ours) for mine, one in zip(predictions, found, strict=True)])
