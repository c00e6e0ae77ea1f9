"""Convolutions: padding, dilation, groups, the kernel's axes, bias."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.convolutions import MODES, Convolution, Sides, convolved
from jax_impl.parity.causes.compute.layers.kernels import kernels
from jax_impl.parity.causes.families.modules import again
from jax_impl.parity.causes.families.modules.making import Making, always_same, makings
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

SHIFTS = {1: 6, 2: 2, 3: 1}  # pixels that a padding may be off, by the number of axes
DILATIONS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Found:
    """A convolution that gives the reference's numbers."""

    making: Making
    how: Convolution
    weight: Floats
    bias: Floats | None
    space: tuple[int, ...]

    @property
    def kernel(self) -> tuple[int, ...]:
        """The kernel's sizes."""
        return self.weight.shape[2:]

    @property
    def size(self) -> tuple[int, ...]:
        """The output's sizes."""
        return size_of(self.how, self.space, self.kernel)

    def sides(self, how: Convolution, lows: tuple[int, ...]) -> Sides:
        """Return the padding that begins with `lows` and gives the same sizes."""
        axes = enumerate(zip(self.space, self.kernel, self.size, lows, strict=True))
        return tuple(sides_for(length, size, end, low, how, axis) for axis, (length, size, end, low) in axes)

    def same(self, how: Convolution) -> Sides:
        """Return XLA's padding SAME."""
        axes = enumerate(zip(self.space, self.kernel, strict=True))
        return tuple(same(length, size, how, axis) for axis, (length, size) in axes)

    def is_same(self, how: Convolution) -> bool:
        """Return whether other settings give the same for any image and kernel, by one image and one kernel."""
        weight = np.random.default_rng(1).random((1, 1, *self.kernel))
        one, other = (partial(_run, weight=weight, bias=None, how=replace(each, groups=1)) for each in (how, self.how))
        return always_same(one, other, (1, 1, *self.space))

    def with_(self, *, permuted: bool = True, **changes: Any) -> Callable[[], Measured | None]:
        """Return the test of the convolution with other settings, weight or bias."""
        run = partial(_run, **{"weight": self.weight, "bias": self.bias, "how": self.how} | changes)
        return partial(self.making.confirm, run, permuted=permuted)


def known(case: ForwardCase) -> Iterator[Found]:
    """Yield convolutions with weight and bias that give the reference's numbers."""
    for making in makings(case):
        x = making.x
        how = None if x is None else again.convolution(making.inner, x)
        weight, bias = making.inner.parameter("weight"), making.inner.parameter("bias")
        if x is None or how is None or weight is None:
            continue
        if making.reproduced_by(partial(_run, weight=weight, bias=bias, how=how)):
            yield Found(making, how, weight, bias, x.shape[2:])


def sides_for(length: int, kernel: int, out: int, low: int, how: Convolution, axis: int) -> tuple[int, int]:
    """Return the padding of an axis that begins with `low` and gives `out` numbers."""
    reach = how.dilation[axis] * (kernel - 1)
    if how.transposed:  # what is added to a full output
        return low, out - ((length - 1) * how.stride[axis] + reach + 1) - low
    return low, (out - 1) * how.stride[axis] + reach + 1 - length - low


def same(length: int, kernel: int, how: Convolution, axis: int) -> tuple[int, int]:
    """Return XLA's padding SAME of an axis, as JAX applies it."""
    stride, reach = how.stride[axis], how.dilation[axis] * (kernel - 1)
    if how.transposed:
        total = reach + stride - 1
        low = reach if stride > reach else -(-total // 2)
        return low - reach, total - low - reach
    total = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
    return total // 2, total - total // 2


def written(how: Convolution, kernel: tuple[int, ...], sides: Sides) -> str:
    """Return a padding as it is written in Flax, where a transposed convolution counts from a full overlap."""
    reach = [gap * (size - 1) if how.transposed else 0 for gap, size in zip(how.dilation, kernel, strict=True)]
    return str(tuple((low + more, high + more) for (low, high), more in zip(sides, reach, strict=True)))


def paddings(found: Found) -> list[Sides]:
    """Return the paddings of the same sizes: SAME first, then shifts of all axes at once, then of single ones."""
    how, count = found.how, len(found.kernel)
    start = tuple(low for low, _ in how.padding)
    steps = range(-SHIFTS[count], SHIFTS[count] + 1)
    shifts = sorted(product(steps, repeat=count), key=lambda one: (len(set(one)), sum(map(abs, one))))
    causal = tuple(gap * (size - 1) for gap, size in zip(how.dilation, found.kernel, strict=True))
    lows = [tuple(low for low, _ in found.same(how)), (0,) * count, *([] if how.transposed else [causal])]
    lows += [tuple(low + step for low, step in zip(start, shift, strict=True)) for shift in shifts]
    return [found.sides(how, one) for one in dict.fromkeys(lows) if one != start]


def padding(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield other paddings: what is cut or added at the other side, and what fills it."""
    for found in known(case):
        how, kernel = found.how, found.kernel
        right, named = written(how, kernel, how.padding), found.same(how)
        fits = size_of(replace(how, padding=named), found.space, kernel) == found.size
        for sides in paddings(found):
            if found.is_same(replace(how, padding=sides)):
                continue
            is_named = fits and all(a[0] == b[0] for a, b in zip(sides, named, strict=True))
            text = f"padding {written(how, kernel, sides)}"
            thread = "flax 2578" if how.transposed else ""
            if is_named:
                text = f'padding "SAME", here {written(how, kernel, named)},'
                thread = "keras PR 22876" if how.transposed else "flax 963"
            yield Hypothesis(
                cause=f"{found.making.prefix}{text} instead of {right}",
                fix=f"padding={right}",
                known=thread,
                test=found.with_(how=replace(how, padding=sides)),
            )
        for mode in () if how.transposed or not any(map(any, how.padding)) else MODES:
            if not found.is_same(replace(how, mode=mode)):
                yield Hypothesis(
                    cause=f"{found.making.prefix}padding filled by {mode} instead of {how.mode}",
                    fix=f"pad by {how.mode}: jnp.pad(x, …, mode={MODES[how.mode]!r})",
                    test=found.with_(how=replace(how, mode=mode)),
                )


def dilation(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield another dilation, with the padding's beginning, or SAME, that gives the same sizes."""
    for found in known(case):
        how = found.how
        for gap in DILATIONS if max(found.kernel, default=1) > 1 else ():
            other = replace(how, dilation=(gap,) * len(found.kernel))
            if other.dilation == how.dilation:
                continue
            starts = [tuple(low for low, _ in sides) for sides in (how.padding, found.same(other))]
            for lows in dict.fromkeys(starts):
                if found.is_same(replace(other, padding=found.sides(other, lows))):
                    continue
                yield Hypothesis(
                    cause=f"{found.making.prefix}dilation {other.dilation} instead of {how.dilation}",
                    fix=f"kernel_dilation={how.dilation}",
                    test=found.with_(how=replace(other, padding=found.sides(other, lows))),
                )


def kernel_axes(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield kernels with flipped or exchanged axes."""
    for found in known(case):
        for text, fix, thread, changed in kernels(found.weight, found.how):
            space = "exchanged" in text and "inputs" not in text
            if found.making.is_layout_known or not space:
                yield Hypothesis(
                    cause=f"{found.making.prefix}{text}",
                    fix=fix,
                    known=thread,
                    test=found.with_(weight=changed, permuted=not space),
                )


def groups(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield groups of every g-th channel in place of neighbours."""
    for found in known(case):
        parts, (first, second) = found.how.groups, found.weight.shape[:2]
        inputs, outputs = (first, second * parts) if found.how.transposed else (second * parts, first)
        for what, count in (("input", inputs), ("output", outputs)) if parts > 1 else ():
            mixed = np.arange(count).reshape(parts, -1).T.reshape(-1)
            for order in (mixed, np.argsort(mixed)):
                if np.array_equal(order, np.arange(count)):
                    continue
                run = partial(_mixed, found=found, inputs=what == "input", order=order)
                yield Hypothesis(
                    cause=f"{found.making.prefix}the {what} channels of the {parts} groups are in another order",
                    fix="a group is a run of neighbouring channels",
                    test=partial(found.making.confirm, run),
                )


def _mixed(x: Floats, *, found: Found, inputs: bool, order: NDArray[np.int64]) -> Floats:
    """Return the convolution with its input or output channels in another order; the bias keeps its own."""
    if inputs:
        return convolved(x[:, order], found.weight, found.bias, found.how)
    bias = None if found.bias is None else found.bias[np.argsort(order)]
    return convolved(x, found.weight, bias, found.how)[:, order]


def biases(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield a bias that is left out or added twice."""
    for found in known(case):
        if found.bias is None:
            continue
        for text, fix, times in (("left out", "use_bias=True", 0), ("added twice", "add the bias once", 2)):
            yield Hypothesis(
                cause=f"{found.making.prefix}the bias is {text}", fix=fix, test=found.with_(bias=times * found.bias)
            )


def _run(x: Floats, *, weight: Floats, bias: Floats | None, how: Convolution) -> Floats:
    return convolved(x, weight, bias, how)


def size_of(how: Convolution, space: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of the output."""
    found = []
    for length, size, step, gap, (low, high) in zip(space, kernel, how.stride, how.dilation, how.padding, strict=True):
        reach = gap * (size - 1)
        full = (length - 1) * step + reach + 1 + low + high
        found.append(full if how.transposed else (length + low + high - reach - 1) // step + 1)
    return tuple(found)


FAMILIES = (
    Family("padding of a convolution", padding),
    Family("axes of a kernel", kernel_axes),
    Family("dilation", dilation),
    Family("groups of a convolution", groups),
    Family("bias of a convolution", biases),
)
