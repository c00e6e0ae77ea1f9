"""Arrays of another shape: the change of a pooling, convolution or resizing that gives the port's shape.

The record does not hold the port's array, because it has no partner in the reference. So the shape alone confirms a
cause, and all causes with this shape are listed together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.compute.layers.pooling import number_of_windows
from jax_impl.parity.causes.families.modules import convolutions, pooling, resizing
from jax_impl.parity.causes.families.modules.making import Making, attempted, output
from jax_impl.parity.causes.families.modules.rows import own_stride
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

Sizes = tuple[int, ...]
Change = tuple[str, Sizes]  # what the port does, and the sizes of the output that it gives
RATIOS = (2, 3, 4, 8)  # of sizes, after and before resizing


def sized(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the settings that give another size, all that give the port's size as one."""
    wanted = {shape for own in case.own_shapes for shape in layouts(own, case.reference.shape)}
    for making, fix, changes in known(case):
        now = shape_of(making)
        tried = {text: shape_of(making, sizes) for text, sizes in changes}
        fitting = [text for text, shape in tried.items() if shape in wanted and shape != now]
        for text in [" or ".join(fitting)] if fitting else list(tried):
            test = partial(Measured, measured=0.0 if fitting else 1.0, allowed=0.0, unit="shape")
            yield Hypothesis(cause=f"{making.prefix}{text}", fix=fix, test=test)


def layouts(own: Sequence[int], theirs: Sequence[int]) -> list[Sizes]:
    """Return a shape of the port's with the channels where the reference has them, without the batch."""
    moved = [tuple(own[1:]), (own[-1], *own[1:-1])] if len(own) == len(theirs) > 2 and own[0] == theirs[0] else []
    return [shape for shape in moved if shape[0] == theirs[1]]


def known(case: ForwardCase) -> Iterator[tuple[Making, str, list[Change]]]:
    """Yield poolings, convolutions and resizings that make the reference's array, each with a fix and changes."""
    for pool in pooling.known(case):
        how = pool.how
        sides = tuple(zip(how.before, how.after, strict=True))
        yield pool.making, f"strides={how.stride}, padding={sides}", list(of_pooling(pool))
    for conv in convolutions.known(case):
        right = convolutions.written(conv.how, conv.kernel, conv.how.padding)
        yield conv.making, f"strides={conv.how.stride}, padding={right}", list(of_convolution(conv))
    for making, _, sizes, _ in resizing.known(case):
        space = spatial(making)
        larger = [tuple(ratio * one for one in space) for ratio in RATIOS]
        changes = [(f"resized to {one} instead of {sizes}", one) for one in larger]
        yield making, f"resize to {sizes}", [("not resized", space), *changes]
    for making, _, sizes in pooling.adaptive(case):
        yield making, f"pool to {sizes}", [("not applied", spatial(making))]


def of_pooling(found: pooling.Found) -> Iterator[Change]:
    """Yield the usual settings of windows with the sizes that they give."""
    how = found.how
    axes = list(zip(found.space, how.kernel, how.stride, how.before, how.dilation, strict=True))
    for ceil in (True, False):
        yield (
            f"sizes rounded {'up' if ceil else 'down'}, ceil_mode={ceil}",
            tuple(number_of_windows(*one, ceil=ceil) for one in axes),
        )
    yield 'padding "SAME"', tuple(-(-length // step) for length, _, step, _, _ in axes)
    ones = [(length, size, 1, pad, gap) for length, size, _, pad, gap in axes]
    yield "stride 1", tuple(number_of_windows(*one, ceil=False) for one in ones)
    whole = [(length, size, size, pad, gap) for length, size, _, pad, gap in axes]
    yield "strides of the window's size", tuple(number_of_windows(*one, ceil=False) for one in whole)
    bare = [(length, size, step, 0, gap) for length, size, step, _, gap in axes]
    yield "no padding", tuple(number_of_windows(*one, ceil=False) for one in bare)
    yield "not applied", found.space


def of_convolution(found: convolutions.Found) -> Iterator[Change]:
    """Yield the usual settings of a convolution with the sizes that they give."""
    how, count = found.how, len(found.kernel)

    def size(**changes: object) -> Sizes:
        return convolutions.size_of(replace(how, **changes), found.space, found.kernel)  # type: ignore[arg-type]

    stride = own_stride(found.making.inner)
    if stride is not None:
        yield f"stride {stride} instead of {how.stride}", size(stride=stride)
    yield (
        'padding "SAME"',
        tuple(
            length * step if how.transposed else -(-length // step)
            for length, step in zip(found.space, how.stride, strict=True)
        ),
    )
    yield "no padding", size(padding=tuple((0, high - low if how.transposed else 0) for low, high in how.padding))
    yield "stride 1", size(stride=(1,) * count)
    yield "dilation 1", size(dilation=(1,) * count)
    if how.transposed:
        yield "no output padding", size(padding=tuple((low, low) for low, _ in how.padding))


def spatial(making: Making) -> Sizes:
    """Return the sizes of the images that a call receives."""
    return () if making.x is None else making.x.shape[2:]


def shape_of(making: Making, sizes: Sizes | None = None) -> Sizes:
    """Return the shape, without the batch, of the array that images of these sizes, or the call's own, become."""
    y = output(making.inner) if making.result is None else making.result
    if y is None:
        return ()
    found = attempted(making.finish, np.zeros((1, y.shape[1], *(y.shape[2:] if sizes is None else sizes))))
    return () if found is None else found.shape[1:]


FAMILIES = (Family("sizes by padding, stride and rounding", sized),)
