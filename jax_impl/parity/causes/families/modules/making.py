"""Which call of the reference makes the array that differs, and what a change of it makes of that array."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import permutations

import numpy as np

from jax_impl.parity.arrays import Array, sample_indices
from jax_impl.parity.causes.cases import Floats, ForwardCase, whole
from jax_impl.parity.causes.families.modules import again
from jax_impl.parity.causes.families.modules.unseen import unseen
from jax_impl.parity.measures.comparing import l2
from jax_impl.parity.measures.execution import key
from jax_impl.parity.measures.tolerances import Measured
from jax_impl.parity.records.content import Call

Compute = Callable[[Array], Array | None]
CHAIN = 4  # calls that the port has no counterpart of, looked at before the array
CLEARLY = 4.0  # times less must a confirmed cause leave of the difference
UNCLEAR = 0.1  # relative difference above which the recorder may have taken another order of axes
RTOL, ATOL = 1e-6, 1e-9  # how well the unchanged reference must give its own numbers

# What the reference may do to a module's output before it hands it on, without a module
LINKS: dict[str, Callable[[Floats], Floats]] = {
    "as it is": lambda y: y,
    "ReLU": lambda y: np.maximum(y, 0),
    "channels last": lambda y: np.moveaxis(y, 1, -1),
    "GELU": again.gelu,
    "tanh": np.tanh,
    "SiLU": again.silu,
}


@dataclass(frozen=True)
class Making:
    """A call of the reference whose output is the array that differs, or becomes it by what follows.

    Attributes:
        case: About the array that differs.
        inner: About the call's own output: its module, settings, inputs and parameters.
        finish: What follows: from the call's output to the array that differs, for a whole batch or the first of it.
        source: What it received, of a function that is no module.
        result: What it returned, of a function that is no module.
    """

    case: ForwardCase
    inner: ForwardCase
    finish: Compute
    source: Array | None = None
    result: Array | None = None

    @property
    def x(self) -> Array | None:
        """What the call received."""
        return self.inner.input if self.source is None else self.source

    @property
    def prefix(self) -> str:
        """The module's name in front of a cause, if the check does not name it."""
        return "" if self.inner is self.case else f"{self.inner.module.path}: "

    def reproduced_by(self, compute: Compute) -> bool:
        """Return whether a computation gives what the reference's module returned."""
        x, expected = self.x, output(self.inner) if self.result is None else self.result
        if x is None or expected is None or not x.size or not expected.any():
            return False
        found = attempted(compute, x)
        return (
            found is not None
            and found.shape == expected.shape
            and bool(np.allclose(found, expected, rtol=RTOL, atol=ATOL))
        )

    @cached_property
    def is_layout_known(self) -> bool:
        """Whether the port's own input of this call agrees: then its layout is certain.

        Where it differs, the recorder took the order of axes, or of flattened features, that differs least. So height
        and width, if they are equal, may be exchanged in what the call was given.
        """
        ours = next((call for call in self.case.passes[1].free if key(call) == key(self.inner.call)), None)
        if ours is None:
            return self.inner is not self.case
        pairs = zip(self.inner.call.inputs[:1], ours.inputs[:1], strict=False)
        return all(self.case.pair.compare(mine, theirs).passed for theirs, mine in pairs)

    def confirm(self, compute: Compute, *, permuted: bool = True, screened: bool = True) -> Measured | None:
        """Compare the array that another computation of the call leads to with the port's.

        Args:
            compute: The computation.
            permuted: Whether axes of the same length may be exchanged: the recorder takes the order that differs
                least from the reference, which need not be the true one if the array differs much.
            screened: Whether the first of the batch is tried alone before. It must not depend on the others.
        """
        x = self.x
        if x is None or not x.size:
            return None
        permuted = permuted and (self.case.check.measured or 0.0) > UNCLEAR
        screened = screened and x.ndim > 1 and len(x) > 1
        if screened and self._is_refuted(self._finished(compute, x[:1]), len(x), permuted):
            return None
        found = self._finished(compute, x)
        if found is None:
            return None
        measured = [confirmed(self.case, one) for one in arrangements(found, permuted)]
        return min((one for one in measured if one is not None), key=lambda one: one.measured, default=None)

    def _finished(self, compute: Compute, x: Array) -> Array | None:
        y = attempted(compute, x)
        return None if y is None else attempted(self.finish, y)

    def _is_refuted(self, first: Array | None, batch: int, permuted: bool) -> bool:
        """Return whether the first of the batch alone differs by more than the whole array may."""
        check, size = self.case.check, self.case.target.ours.size
        if first is None:
            return True
        if check.allowed is None or first.size * batch != size or first.dtype.kind != "f":
            return False
        mine = self._own
        positions = sample_indices(size, mine.size) if mine.size < size else np.arange(mine.size)
        inside = positions < first.size
        scale = l2(mine) if check.unit == "relative" else np.sqrt(mine.size / max(size, 1))
        differences = [mine[inside] - one.reshape(-1)[positions[inside]] for one in arrangements(first, permuted)]
        return all(np.isfinite(one).all() and l2(one) > 4 * check.allowed * scale for one in differences)

    @cached_property
    def _own(self) -> Floats:
        return self.case.pair.ours.array(self.case.target.ours).reshape(-1).astype(np.float64)


def arrangements(array: Array, permuted: bool) -> Iterator[Array]:
    """Yield an array, and with other orders of its axes but the first that keep its shape."""
    yield array
    if permuted and 3 <= array.ndim <= 5:
        for order in list(permutations(range(1, array.ndim)))[1:]:
            if all(array.shape[axis] == length for axis, length in zip(order, array.shape[1:], strict=True)):
                yield array.transpose(0, *order)


def confirmed(case: ForwardCase, prediction: Array) -> Measured | None:
    """Compare a prediction with the port, and require that it leaves far less of the difference than there was."""
    found, before = case.target.agrees(prediction), case.check.measured
    if found is not None and found.passed and before is not None and found.measured * CLEARLY > before:
        return replace(found, allowed=before / CLEARLY)
    return found


def attempted(compute: Compute, x: Array) -> Array | None:
    """Return the result of a computation; None if the shapes do not fit."""
    with np.errstate(all="ignore"):
        try:
            return compute(x)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError):
            return None


def always_same(one: Compute, other: Compute, shape: tuple[int, ...]) -> bool:
    """Return whether two computations agree for any array of a shape, by one array of different negative numbers."""
    x = -1 - np.random.default_rng(0).random(shape)
    first, second = (attempted(compute, x) for compute in (one, other))
    return first is not None and second is not None and first.shape == second.shape and np.allclose(first, second)


def output(case: ForwardCase) -> Array | None:
    """Return the first output of a case's call."""
    outputs = case.call.outputs
    return whole(case.pair.theirs, outputs[0]) if outputs else None


def about(case: ForwardCase, call: Call) -> ForwardCase:
    """Return the case of a call's output."""
    return replace(case, evidence=replace(case.evidence, call=key(call), role="output", index=0))


def makings(case: ForwardCase) -> Iterator[Making]:
    """Yield the calls that make the array: the one that returns it, or those just before which the port has not."""
    if case.role == "output" and not case.inside:
        if case.evidence.index == 0:
            yield Making(case, case, lambda y: y)
        return
    expected = case.expected
    if expected is None or not expected.size or expected.dtype.kind != "f":
        return
    finish: Compute | None = None
    wanted = expected
    for call in reversed(unseen(case)[-CHAIN:]):
        inner = about(case, call)
        y, x = output(inner), inner.input
        link = None if y is None else linked(y, wanted)
        if link is None:
            return
        finish = link if finish is None else followed(link, finish)
        making, run = Making(case, inner, finish), partial(again.recomputed, inner)
        yield making
        normalises = inner.module.type.startswith("BatchNorm") and case.training  # depends on the whole batch
        if x is None or normalises or not making.reproduced_by(run):
            return
        finish, wanted = followed(run, finish), x


def linked(y: Array, wanted: Array) -> Compute | None:
    """Return what turns an output into what is handed on; None if it is not known."""
    if y.size != wanted.size or not wanted.any():
        return None
    shape = wanted.shape
    for function in LINKS.values():

        def link(z: Floats, function: Callable[[Floats], Floats] = function) -> Floats:
            if y.shape == shape:
                return np.asarray(function(z))
            share = (z.size * shape[0] // y.size,) if z.size != y.size else shape[:1]
            return function(z).reshape(*share, *shape[1:])

        found = attempted(link, y)
        if found is not None and found.shape == shape and np.allclose(found, wanted, rtol=RTOL, atol=ATOL):
            return link
    return None


def followed(first: Compute, second: Compute) -> Compute:
    """Return one computation after the other."""

    def both(x: Array) -> Array | None:
        y = first(x)
        return None if y is None else second(y)

    return both
