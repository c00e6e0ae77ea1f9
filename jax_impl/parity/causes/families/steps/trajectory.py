"""Training that parts although its pieces agree: masks that are drawn once, and batches of different sizes."""

from collections.abc import Iterator, Sequence
from functools import partial

from jax_impl.parity.causes.cases import WholeCase
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Mask, Reference, arrays_of

TELLING = 64  # elements of a mask: two random ones of this size are not equal by chance


def masks(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield that the port draws a mask once, for all steps, or one mask for several places."""
    own = case.pair.ours.content.own_masks
    theirs = case.pair.theirs.content.trajectory or []
    if own is None or len(own.steps) < 2 or not any(check.what == "dropout masks" for check in case.failures):
        return
    count = min(len(step) for step in own.steps)
    telling = [place for place in range(count) if _telling(own.steps[0][place])]
    same = [place for place in telling if len({step[place].digest for step in own.steps}) == 1]
    if same:
        where = "all dropout layers" if len(same) == count else _places(case.pair, theirs[0].masks, same)
        yield Hypothesis(
            cause=f"one dropout mask for all {len(own.steps)} steps, in {where}",
            fix="a new key for each step, as jax.random.fold_in(key, step) gives",
            test=partial(_unequal, [[step[place].digest for step in own.steps] for place in same]),
        )
    groups: dict[str, list[int]] = {}
    for place in telling:
        groups.setdefault(own.steps[0][place].digest, []).append(place)
    found = [shared for shared in groups.values() if len(shared) > 1]
    again = [[step[place].digest for place in shared] for shared in found for step in own.steps]
    if again and all(len(set(row)) == 1 for row in again) and not same:
        named = "; ".join(_places(case.pair, theirs[0].masks, shared) for shared in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        yield Hypothesis(
            cause=f"one dropout mask for several places, in every step: {named}{more}",
            fix="a key of its own for each dropout layer, as jax.random.split gives",
            test=partial(_unequal, again),
        )


def _telling(mask: Mask) -> bool:
    size = 1
    for length in mask.shape:
        size *= length
    return size >= TELLING and bool(mask.digest) and 0 < (mask.rate or 0) < 1


def _places(pair: Pair, listed: Sequence[Mask], places: Sequence[int]) -> str:
    names = [pair.name(listed[place].module) if place < len(listed) else f"mask {place + 1}" for place in places]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _unequal(rows: Sequence[Sequence[str]]) -> Measured:
    """Count the masks that are not equal to the first of their row."""
    return Measured(measured=float(sum(one != row[0] for row in rows for one in row)), allowed=0.0, unit="masks")


def sizes(case: WholeCase) -> Iterator[Hypothesis]:
    """Yield that the loss of a batch of another size is divided by the size of the first one."""
    pair = case.pair
    theirs, ours = pair.theirs.content.trajectory or [], pair.ours.content.trajectory or []
    counts = [_size(batch) for batch in pair.theirs.content.batches]
    first = case.failures[0]
    step = _step_of(first.stage)
    if first.what != "loss" or step is None or step >= min(len(theirs), len(ours), len(counts)):
        return
    size, usual = counts[step], counts[0]
    if not size or not usual or size == usual:
        return
    loss, mine = theirs[step], ours[step]
    for ratio, text in ((size / usual, "is divided by the size of the others"),
                        (size, "is summed up"), (usual / size, "is weighed like a whole one")):  # fmt: skip
        if loss.loss:
            noise = None if loss.loss_noise is None else loss.loss_noise * ratio
            test = partial(pair.tolerance.number, mine.loss, loss.loss * ratio, noise, loose=pair.trains_in_float32)
            yield Hypothesis(
                cause=f"the loss of a batch of {size} instead of {usual}, in step {step + 1}, {text}",
                fix="divide by the batch's own size",
                test=test,
            )


def _size(batch: object) -> int:
    """Return the length of a batch's first array."""
    for _, one in arrays_of(batch):
        if isinstance(one, Reference) and one.shape:
            return one.shape[0]
    return 0


def _step_of(stage: str) -> int | None:
    """Return the number of a step, from 0, from the words of a check's stage."""
    words = stage.partition("step ")[2].partition(",")[0]
    return int(words) - 1 if words.isdigit() else None


FAMILIES = (Family("dropout masks", masks), Family("the size of a batch", sizes))
