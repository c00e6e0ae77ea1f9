"""Pooling: the maximum or the mean, its padding, what the mean counts, windows; also where torch calls a function."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.pooling import Pooling, adaptively_pooled, number_of_windows, pooled
from jax_impl.parity.causes.families.modules import again
from jax_impl.parity.causes.families.modules.functions import handed
from jax_impl.parity.causes.families.modules.making import Compute, Making, always_same, makings
from jax_impl.parity.causes.hypotheses import Family, Hypothesis

KERNELS = (2, 3, 4, 5, 7, 8)
FUNCTIONS = ((2, 2, 0), (3, 2, 1), (3, 3, 0), (4, 4, 0), (3, 2, 0), (3, 1, 1), (2, 1, 0), (8, 8, 0), (7, 7, 0))
NAMES = {"max": "maximum", "mean": "mean", "sum": "sum"}
SHIFT = 2  # pixels that the padding may be off


@dataclass(frozen=True)
class Found:
    """A pooling that gives the reference's numbers."""

    making: Making
    how: Pooling
    space: tuple[int, ...]


def known(case: ForwardCase) -> Iterator[Found]:
    """Yield poolings with windows, of modules and of functions."""
    for making in makings(case):
        x = making.x
        how = None if x is None else again.pooling(making.inner, x)
        if x is not None and how is not None and making.reproduced_by(partial(pooled, how=how)):
            yield Found(making, how, x.shape[2:])
    for making, how in handed(case, lambda x: ((one, partial(pooled, how=one)) for one in functions(x))):
        yield Found(making, how, making.x.shape[2:] if making.x is not None else ())


def functions(x: Floats) -> Iterator[Pooling]:
    """Yield the usual settings of torch's functions."""
    count = x.ndim - 2
    if count not in (1, 2, 3) or x.dtype.kind != "f":
        return
    for kernel, stride, padding in FUNCTIONS:
        if min(x.shape[2:]) + 2 * padding < kernel:
            continue
        size = tuple(number_of_windows(length, kernel, stride, padding, 1, ceil=False) for length in x.shape[2:])
        for kind in ("max", "mean"):
            yield Pooling(kind=kind, kernel=(kernel,) * count, stride=(stride,) * count, before=(padding,) * count,
                          after=(padding,) * count, dilation=(1,) * count, size=size)  # fmt: skip


Change = tuple[str, str, str, Pooling]  # a cause, a fix, a thread, and what it does


def others(how: Pooling, space: tuple[int, ...]) -> Iterator[Change]:
    """Yield poolings that give the same sizes."""
    right, padded = f"{'max' if how.kind == 'max' else 'avg'}_pool", any(how.before)
    for kind in ("max", "mean", "sum"):
        for counted in (True, False) if kind == "mean" and padded else (True,):
            if kind != how.kind:
                more = "" if counted else ", without the padding,"
                cause = f"{NAMES[kind]}{more} instead of {NAMES[how.kind]}"
                yield cause, right, "", replace(how, kind=kind, counted=counted)
    if how.kind == "mean":
        words = ("counts", "leaves out") if how.counted else ("leaves out", "counts")
        cause, fix = f"the mean {words[1]} the padding, where torch's {words[0]} it", f"count_include_pad={how.counted}"
        yield cause, fix, "", replace(how, counted=not how.counted)
        cause, fix = "the divisor is the size of the window", "divide as divisor_override says"
        yield cause, fix, "", replace(how, divisor=None)
    elif padded:
        yield "padded by zeros instead of -inf", "pad by -jnp.inf, or let max_pool pad", "", replace(how, value=0.0)
    yield from shifted(how, space)
    for size in KERNELS:
        kernel = (size,) * len(space)
        if kernel != how.kernel:
            cause, fix = f"windows of {kernel} instead of {how.kernel}", f"window_shape={how.kernel}"
            yield cause, fix, "", replace(how, kernel=kernel)


def shifted(how: Pooling, space: tuple[int, ...]) -> Iterator[Change]:
    """Yield other paddings: SAME, and windows that begin some pixels earlier or later."""
    axes = zip(space, how.kernel, how.stride, how.size, how.dilation, strict=True)
    reaches = [(count - 1) * step + gap * (size - 1) + 1 - length for length, size, step, count, gap in axes]
    full = all(count == -(-length // step) for length, count, step in zip(space, how.size, how.stride, strict=True))
    same = tuple(max(reach, 0) // 2 for reach in reaches)
    starts = [same, *(tuple(low + step for low in how.before) for step in range(-SHIFT, SHIFT + 1))]
    torch_padding = f"padding={tuple((low, high) for low, high in zip(how.before, how.after, strict=True))}"
    for lows in dict.fromkeys(starts):
        if lows == how.before:
            continue
        named = full and lows == same
        sides = tuple((low, reach - low) for low, reach in zip(lows, reaches, strict=True))
        text = f'padding "SAME", here {sides},' if named else f"padding {sides}"
        for counted in (True, False) if how.kind == "mean" else (how.counted,):
            more = "" if counted == how.counted else f", {'counted' if counted else 'not counted'} by the mean,"
            changed = replace(how, before=lows, after=tuple(high for _, high in sides), counted=counted)
            cause = f"{text}{more} instead of {torch_padding.removeprefix('padding=')}"
            yield cause, torch_padding, "flax 963" if named else "", changed


def windows(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield other poolings with windows."""
    for found in known(case):
        for cause, fix, thread, how in others(found.how, found.space):
            if always_same(partial(pooled, how=how), partial(pooled, how=found.how), (1, 1, *found.space)):
                continue
            yield Hypothesis(
                cause=f"{found.making.prefix}{cause}",
                fix=fix,
                known=thread,
                test=partial(found.making.confirm, partial(pooled, how=how)),
            )


def global_pooling(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the maximum or the sum for a mean, and the reverse, of adaptive pooling and of means over all pixels."""
    for making, kind, size in adaptive(case):
        space = making.x.shape[2:] if making.x is not None else ()
        for other in ("max", "mean", "sum"):
            now, then = (partial(adaptively_pooled, size=size, kind=one) for one in (kind, other))
            if not always_same(now, then, (1, 1, *space)):
                yield Hypothesis(
                    cause=f"{making.prefix}{NAMES[other]} instead of {NAMES[kind]}",
                    fix=f"x.{kind}((1, 2)), over the spatial axes"
                    if set(size) == {1}
                    else f"pool by the {NAMES[kind]}",
                    test=partial(making.confirm, partial(adaptively_pooled, size=size, kind=other)),
                )


def adaptive(case: ForwardCase) -> Iterator[tuple[Making, str, tuple[int, ...]]]:
    """Yield adaptive poolings that give the reference's numbers, each with its kind and sizes."""
    for making in makings(case):
        found = None if making.x is None else again.adaptive(making.inner, making.x)
        if found is not None and making.reproduced_by(partial(adaptively_pooled, size=found[1], kind=found[0])):
            yield making, found[0], found[1]

    def over_all(x: Floats) -> Iterator[tuple[str, Compute]]:
        for kind in ("mean", "max"):
            yield kind, partial(adaptively_pooled, size=(1,) * (x.ndim - 2), kind=kind)

    for making, kind in handed(case, over_all):
        yield making, kind, (1,) * (making.x.ndim - 2 if making.x is not None else 0)


FAMILIES = (Family("pooling", windows), Family("pooling over all pixels", global_pooling))
