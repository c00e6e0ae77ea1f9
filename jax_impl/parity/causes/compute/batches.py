"""What pipelines of data do to batches, in NumPy. A batch's array has shape (n, …)."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations
from math import prod

import numpy as np
from numpy.typing import NDArray

from jax_impl.parity.causes.compute.conversions import Change, Floats, rounded_to

Array = NDArray[np.generic]
Affine = tuple[Floats, Floats]  # factors and summands: of one, or of every channel
NORMALISED = {  # mean and std of the images of a data set, from 0 to 1
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR-10, as often copied": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "CIFAR-100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "CLIP": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "MNIST": ((0.1307,), (0.3081,)),
    "FashionMNIST": ((0.2860,), (0.3530,)),
    "mean 0.5 and std 0.5": ((0.5,), (0.5,)),
}
FACTORS = {
    255.0: "255", 1 / 255: "1/255", 2.0: "2", 0.5: "1/2", 256.0: "256", 1 / 256: "1/256", 127.5: "127.5",
    1 / 127.5: "1/127.5", 1 / 255**2: "1/255²", 100.0: "100", 0.01: "1/100", 1000.0: "1000", 0.001: "1/1000",
}  # fmt: skip
CLOSE = 1e-4  # relative error of a constant up to which it has a name: they are written with 4 digits


def fitted(theirs: Sequence[Floats], ours: Sequence[Floats], axis: int | None) -> Affine | None:
    """Return the factors and summands with which ours is closest to theirs: for all, or along an axis."""
    x, y = (_channels(side, axis) for side in (theirs, ours))
    centred = x - x.mean(axis=1, keepdims=True)
    square = np.square(centred).sum(axis=1)
    if not square.all():
        return None
    factor = (centred * y).sum(axis=1) / square
    return factor, y.mean(axis=1) - factor * x.mean(axis=1)


def _channels(arrays: Sequence[Floats], axis: int | None) -> Floats:
    """Return all numbers, shape (channels, numbers)."""
    if axis is None:
        return np.concatenate([one.reshape(-1) for one in arrays])[None]
    return np.concatenate([np.moveaxis(one, axis, 0).reshape(one.shape[axis], -1) for one in arrays], axis=1)


def affine(x: Floats, found: Affine, axis: int | None) -> Floats:
    """Return x times the factors plus the summands."""
    shape = [1] * x.ndim
    if axis is not None:
        shape[axis] = -1
    return x * found[0].reshape(shape) + found[1].reshape(shape)


def affine_names(found: Affine) -> Iterator[tuple[str, str]]:
    """Yield what such factors and summands do, with the remedy, for each constant that fits."""
    factor, summand = found
    small = np.abs(summand).max() < 1e-6 * max(np.abs(factor).max(), 1e-300)
    if small and np.ptp(factor) <= CLOSE * abs(factor[0]):
        value = float(factor[0])
        names = [name for one, name in FACTORS.items() if abs(value / one - 1) < CLOSE / 10]
        text = names[0] if names else f"{value:.5g}"
        yield f"{text} times the reference's numbers", f"scale them as the reference does: here by {1 / value:.5g} more"
        return
    named = False
    for name, (mean, std) in NORMALISED.items():
        m, s = np.array(mean), np.array(std)
        if len(factor) not in (1, len(m)):
            continue
        for text, fix, f, b in _around(name, m, s):
            if np.allclose(factor, f, rtol=CLOSE) and np.allclose(summand, b, rtol=CLOSE, atol=CLOSE / 10):
                named = True
                yield text, fix
    if not named and len(factor) == 1:
        yield (
            f"{factor[0]:.5g} times the reference's numbers plus {summand[0]:.5g}: another normalisation",
            "scale and normalise as the reference does",
        )
    elif not named:
        listed = ", ".join(f"{a:.4g}·x{b:+.4g}" for a, b in zip(factor, summand, strict=True))
        yield f"another normalisation by channel: {listed}", "normalise each channel as the reference does"


def _around(name: str, m: Floats, s: Floats) -> Iterator[tuple[str, str, Floats, Floats]]:
    """Yield text, remedy, factors and summands of mistakes around (x - mean) / std."""
    by = f"by {name}" if name.startswith("mean") else f"by the mean and std of {name}"
    do = f"normalise {by}: (x - mean) / std"
    yield f"not normalised {by}", do, s, m
    yield f"from 0 to 255 and not normalised {by}", f"divide by 255, then {do}", 255 * s, 255 * m
    yield f"normalised {by} once more than the reference", f"do not normalise {by} again", 1 / s, -m / s
    yield f"normalised {by} without subtracting the mean", do, np.ones_like(s), m / s
    yield f"normalised {by} without dividing by the std", do, s, np.zeros_like(s)
    for other, (mean, std) in NORMALISED.items():
        if other != name and len(mean) == len(m):
            m2, s2 = np.array(mean), np.array(std)
            words = f"normalised by {other} instead of {name}"
            yield words, f"normalise {by}", s / s2, (m - m2) / s2


def sample_layouts(theirs: tuple[int, ...], ours: tuple[int, ...]) -> Iterator[Change]:
    """Yield rearrangements of every sample, from shape (n, …) of theirs to that of ours; the first axis stays."""
    n = len(theirs)
    if n > 5 or n < 2 or theirs[:1] != ours[:1]:
        return
    for rest in permutations(range(1, n)):
        order = (0, *rest)
        if order != tuple(range(n)) and tuple(theirs[axis] for axis in order) == ours:
            text = "height and width exchanged" if order == (0, 1, 3, 2) else f"axes in the order {order}"
            yield Change(text, f"x.transpose{tuple(np.argsort(order).tolist())}", partial(np.transpose, axes=order))
    if theirs == ours:
        names = {1: "channels", n - 2: "upside down", n - 1: "mirrored"} if n == 4 else {}
        for axis in range(1, n):
            name = names.get(axis, "")
            text = name if axis > 1 and name else f"reversed along axis {axis}"
            if name == "channels" and theirs[axis] == 3:
                text = "channels in the order BGR instead of RGB"
            yield Change(text, f"do not reverse axis {axis}, or x[{':, ' * axis}::-1]", partial(np.flip, axis=axis))
    elif len(theirs) != len(ours) and prod(theirs) == prod(ours):
        yield Change(
            f"shape {ours} instead of {theirs}, the numbers agree",
            f"x.reshape{theirs}",
            partial(np.reshape, shape=ours),
        )


def roundings(x: Floats) -> Iterator[tuple[str, Floats]]:
    """Yield x in narrower types."""
    for name in ("float16", "bfloat16", "float32"):
        yield f"rounded to {name}", rounded_to(name, x)
    for top in (255, 256, 127.5):
        yield f"rounded to multiples of 1/{top:g}", np.round(x * top) / top
        yield f"rounded down to multiples of 1/{top:g}", np.floor(x * top) / top
    yield "rounded to whole numbers", np.round(x)
    yield "cut to whole numbers", np.trunc(x)


def rows_of(arrays: Sequence[Array]) -> list[bytes]:
    """Return each sample of several batches as bytes, as float32."""
    return [(np.ascontiguousarray(row, np.float32) + np.float32(0)).tobytes() for array in arrays for row in array]


def order_of(theirs: Sequence[bytes], ours: Sequence[bytes]) -> list[int] | None:
    """Return for each of our samples its number among theirs; None if they are not the same ones."""
    places: dict[bytes, list[int]] = {}
    for number, row in enumerate(theirs):
        places.setdefault(row, []).append(number)
    found = []
    for row in ours:
        if not places.get(row):
            return None
        found.append(places[row].pop(0))
    return found if len(ours) == len(theirs) else None
