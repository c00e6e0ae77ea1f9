"""Other kernels of the same shape: flipped, exchanged, reshaped."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import permutations

import numpy as np

from jax_impl.parity.causes.compute.layers.convolutions import Convolution, Floats

AXES = ("depth", "height", "width")
LONGEST = 3  # entries along an axis by which it is known whether a change moves any

Change = tuple[str, str, str, Callable[[Floats], Floats]]  # a cause, a fix, a thread, and what becomes of a kernel


def kernels(weight: Floats, how: Convolution) -> Iterator[tuple[str, str, str, Floats]]:
    """Yield other kernels of the same shape, each with a cause, a fix and a thread.

    Of those that are the same for any kernel of this shape, such as a flipped kernel of one pixel, none is yielded
    twice, and none that is the kernel itself.
    """
    small = [min(length, LONGEST) for length in weight.shape]
    seen = [np.arange(np.prod(small), dtype=np.float64).reshape(small)]
    for text, fix, thread, change in changes(weight.shape, how):
        moved = change(seen[0])
        if not any(np.array_equal(moved, one) for one in seen):
            seen.append(moved)
            yield text, fix, thread, change(weight)


def changes(shape: Sequence[int], how: Convolution) -> Iterator[Change]:
    """Yield the changes that apply to a kernel of a shape."""
    count, square = len(shape) - 2, shape[0] == shape[1]
    names = AXES[-count:]
    every = tuple(range(2, len(shape)))
    flipped = (
        "the kernel is not flipped" if how.transposed else "the kernel is flipped: a convolution, not a correlation"
    )
    unflip = f"kernel[{', '.join(['::-1'] * count)}]" + (", or transpose_kernel=True" if how.transposed else "")
    thread = "jax 11252" if how.transposed else ""
    swapped = "the kernel's inputs and outputs are exchanged"
    order = "kernel = weight.transpose(2, 3, 1, 0)" if count == 2 else "transpose the kernel's last two axes"
    yield flipped, unflip, thread, partial(np.flip, axis=every)
    if count > 1:
        for axis, name in zip(every, names, strict=True):
            yield f"{flipped.partition(':')[0]} along its {name}", unflip, thread, partial(np.flip, axis=axis)
    if square:
        yield swapped, order, "flax 2577" if how.transposed else "", lambda kernel: kernel.swapaxes(0, 1)
        both = f"{swapped}, and {flipped}"
        yield both, f"{order}; {unflip}", thread, lambda kernel: np.flip(kernel.swapaxes(0, 1), every)
    for chosen in permutations(range(count)):
        if chosen != tuple(range(count)):
            both = " and ".join(names[axis] for axis in range(count) if chosen[axis] != axis)
            text = f"{both} are exchanged, of the kernel or of the images"
            yield text, order, "", partial(np.transpose, axes=(0, 1, *(axis + 2 for axis in chosen)))
    yield "the kernel is reshaped instead of transposed", order, "", reshaped


def reshaped(kernel: Floats) -> Floats:
    """Return a kernel whose numbers were taken for those of one with the channels last."""
    last = kernel.reshape(*kernel.shape[2:], kernel.shape[1], kernel.shape[0])
    return np.moveaxis(last, (-1, -2), (0, 1))
