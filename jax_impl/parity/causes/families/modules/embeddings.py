"""Embeddings and the indices that go into them: shifted, ignored, scaled, padded."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from jax_impl.parity.arrays import Array
from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.families.modules.making import Making, confirmed, makings
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

SHIFTS = (1, -1, 2, -2, 3, -3)


def table(case: ForwardCase) -> Iterator[tuple[Making, Floats]]:
    """Yield embeddings with a table that gives the reference's numbers."""
    for making in makings(case):
        weight, x = making.inner.parameter("weight"), making.x
        if making.inner.module.type != "Embedding" or weight is None or x is None or x.dtype.kind not in "iu":
            continue
        if making.reproduced_by(partial(_look_up, weight=weight)):
            yield making, weight


def lookup(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield another row, factor or table, or a padding token that is zeroed."""
    for making, weight in table(case):
        for cause, fix, compute in lookups(weight, making.inner.settings.get("padding_idx")):
            yield Hypothesis(cause=f"{making.prefix}{cause}", fix=fix, test=partial(making.confirm, compute))


def lookups(weight: Floats, padding: int | None) -> Iterator[tuple[str, str, Callable[[Array], Floats]]]:
    """Yield other uses of a table, each with a cause and a fix."""
    size, width = weight.shape
    root, plain = math.sqrt(width), "leave out the factor"
    if width > 1:
        yield f"multiplied by sqrt({width})", plain, lambda x: weight[x] * root
        yield f"divided by sqrt({width})", plain, lambda x: weight[x] / root
    if size > 1:
        yield "row 0 for all indices", "pass the indices on", lambda x: weight[np.zeros_like(x)]
    for step in SHIFTS if size > 1 else ():
        shifted = partial(_shifted, weight=weight, step=step)
        yield f"the row of index {step:+d}", "look up the index itself", shifted
    for row in dict.fromkeys((padding, 0)):
        if isinstance(row, int) and weight[row].any():  # a row of zeros, as torch pads, is no other use
            without = partial(_without_row, weight=weight, row=row)
            yield f"zeros for index {row}", "look up its row, too: only its gradient is zero", without
    if size == width > 1:
        yield "the table is transposed", "embedding = weight", lambda x: weight.T[x]


def indices(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield other whole numbers or truth values than those that the reference hands to a module: indices and masks."""
    x = case.expected
    if case.role != "input" or x is None or x.dtype.kind not in "iub" or x.size < 2:
        return
    module = case.pair.modules.get(case.call.module)
    name = "indices" if module and module.type == "Embedding" else "truth values" if x.dtype.kind == "b" else "integers"
    place = case.call.module or "the model"
    place = place if len(case.call.inputs) == 1 else f"input {case.evidence.index + 1} of {place}"
    seen = [x]
    for text, prediction in other_numbers(x):
        if not any(np.array_equal(prediction, one) for one in seen):
            seen.append(prediction)
            yield Hypothesis(
                cause=f"{place} receives {text} instead of the reference's {name}",
                fix=f"hand {shown(x)} to {place}",
                test=partial(_equal, case, prediction),
            )


def other_numbers(x: Array) -> Iterator[tuple[str, Array]]:
    """Yield what a port may hand on in place of whole numbers or truth values, with words for it."""
    if x.dtype.kind == "b":
        yield from (("True", np.ones_like(x)), ("False", np.zeros_like(x)), ("the opposite", ~x))
        return
    yield from ((f"numbers {abs(step)} {'higher' if step > 0 else 'lower'}", x + step) for step in SHIFTS)
    yield from (("zeros", np.zeros_like(x)), ("ones", np.ones_like(x)))
    if set(np.unique(x)) <= {0, 1}:
        yield "0 for 1 and 1 for 0", 1 - x
    if x.ndim:
        length = x.shape[-1]
        count = np.broadcast_to(np.arange(length), x.shape)
        yield from ((f"0 to {length - 1}", count), (f"1 to {length}", count + 1))
        yield from (("the next ones", np.roll(x, -1, -1)), ("the ones before", np.roll(x, 1, -1)))
        yield "the reversed order", x[..., ::-1]


def shown(x: Array) -> str:
    """Return the first row of whole numbers, shortened."""
    row = x.reshape(-1)[: min(x.shape[-1] if x.ndim else 1, 6)].tolist()
    return f"[{', '.join(map(str, row))}{', …' if x.ndim and x.shape[-1] > len(row) else ''}]"


def _equal(case: ForwardCase, prediction: Array) -> Measured | None:
    return confirmed(case, prediction.astype(case.expected.dtype) if case.expected is not None else prediction)


def _look_up(x: Array, *, weight: Floats) -> Floats:
    return weight[x]


def _shifted(x: Array, *, weight: Floats, step: int) -> Floats:
    return np.asarray(weight[np.clip(x + step, 0, len(weight) - 1)])


def _without_row(x: Array, *, weight: Floats, row: int) -> Floats:
    return np.asarray(np.where((x == row)[..., None], 0.0, weight[x]))


FAMILIES = (Family("an embedding's table", lookup), Family("indices and masks", indices))
