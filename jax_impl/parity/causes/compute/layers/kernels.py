"""Other kernels of the same shape: flipped, exchanged, reshaped."""

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from jax_impl.parity.causes.compute.layers.convolutions import Convolution, Floats

AXES = ("depth", "height", "width")


def kernels(weight: Floats, how: Convolution) -> Iterator[tuple[str, str, str, Floats]]:
    """Yield other kernels of the same shape, each with a cause, a fix and a thread."""
    count, square = weight.ndim - 2, weight.shape[0] == weight.shape[1]
    names = AXES[-count:]
    every = tuple(range(2, weight.ndim))
    flipped = (
        "the kernel is not flipped" if how.transposed else "the kernel is flipped: a convolution, not a correlation"
    )
    unflip = f"kernel[{', '.join(['::-1'] * count)}]" + (", or transpose_kernel=True" if how.transposed else "")
    thread = "jax 11252" if how.transposed else ""
    swapped = "the kernel's inputs and outputs are exchanged"
    order = "kernel = weight.transpose(2, 3, 1, 0)" if count == 2 else "transpose the kernel's last two axes"
    yield flipped, unflip, thread, np.flip(weight, every)
    if count > 1:
        for axis, name in zip(every, names, strict=True):
            yield f"{flipped.partition(':')[0]} along its {name}", unflip, thread, np.flip(weight, axis)
    if square:
        yield swapped, order, "flax 2577" if how.transposed else "", weight.swapaxes(0, 1)
        yield f"{swapped}, and {flipped}", f"{order}; {unflip}", thread, np.flip(weight.swapaxes(0, 1), every)
    for chosen in permutations(range(count)):
        if chosen != tuple(range(count)):
            both = " and ".join(names[axis] for axis in range(count) if chosen[axis] != axis)
            text = f"{both} are exchanged, of the kernel or of the images"
            yield text, order, "", weight.transpose(0, 1, *(axis + 2 for axis in chosen))
    last = weight.reshape(*weight.shape[2:], weight.shape[1], weight.shape[0])
    yield "the kernel is reshaped instead of transposed", order, "", np.moveaxis(last, (-1, -2), (0, 1))
