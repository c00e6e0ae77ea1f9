"""Resizing: the kernel, where outputs lie in the input, antialiasing; also where torch calls interpolate."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.resizing import Resizing, resized, weights
from jax_impl.parity.causes.families.modules import again
from jax_impl.parity.causes.families.modules.functions import handed
from jax_impl.parity.causes.families.modules.making import Compute, Making, always_same, makings
from jax_impl.parity.causes.hypotheses import Family, Hypothesis

Sizes = tuple[int, ...]
Factors = tuple[float | None, ...]

WAYS: dict[str, Resizing] = {
    "nearest, from each pixel's corner (torch's nearest)": Resizing(kernel="nearest", places="origin"),
    "nearest, from each pixel's centre (JAX's nearest, torch's nearest-exact)": Resizing(kernel="nearest"),
    "linear": Resizing(kernel="linear"),
    "linear with antialias": Resizing(kernel="linear", antialias=True, clamped=False),
    "linear with align_corners": Resizing(kernel="linear", places="corners"),
    "linear from each pixel's corner": Resizing(kernel="linear", places="origin"),
    "cubic with a = -0.75 (torch's)": Resizing(kernel="cubic"),
    "cubic with a = -0.5, edges repeated": Resizing(kernel="cubic", sharpness=-0.5),
    "cubic with a = -0.5 (JAX's)": Resizing(kernel="cubic", sharpness=-0.5, clamped=False),
    "cubic with a = -0.5 and antialias (JAX's)": Resizing(
        kernel="cubic", sharpness=-0.5, clamped=False, antialias=True
    ),
    "cubic with a = -0.75 and align_corners": Resizing(kernel="cubic", places="corners"),
    "cubic with a = -0.5 and align_corners": Resizing(kernel="cubic", places="corners", sharpness=-0.5),
    "Lanczos of 3 pixels": Resizing(kernel="lanczos3", antialias=True, clamped=False),
    "Lanczos of 5 pixels": Resizing(kernel="lanczos5", antialias=True, clamped=False),
    "means of areas": Resizing(kernel="area"),
}
FIXES = {  # what gives the reference's numbers in JAX, by the reference's kernel, place and antialias
    ("nearest", "origin"): "index by jnp.floor(jnp.arange(out) * n / out)",
    ("nearest", "half-pixel"): 'jax.image.resize(x, shape, "nearest")',
    ("linear", "half-pixel"): 'jax.image.resize(x, shape, "linear", antialias={})',
    ("linear", "corners"): "jax.image.scale_and_translate with scale (out - 1) / (n - 1), antialias=False",
}


def known(case: ForwardCase) -> Iterator[tuple[Making, Resizing, Sizes, Factors]]:
    """Yield resizings, of modules and of functions, that give the reference's numbers."""
    for making in makings(case):
        found = None if making.x is None else again.resizing(making.inner, making.x)
        if found is not None:
            how, sizes, factors = found
            if making.reproduced_by(partial(resized, size=sizes, how=how, scale=factors)):
                yield making, how, sizes, factors

    def usual(x: Floats) -> Iterator[tuple[tuple[Resizing, Sizes], Compute]]:
        shape = case.expected.shape if case.expected is not None else ()
        if len(shape) == x.ndim and shape[:2] == x.shape[:2] and shape != x.shape:
            for how in WAYS.values():
                yield (how, shape[2:]), partial(resized, size=shape[2:], how=how)

    for making, (how, sizes) in handed(case, usual):
        yield making, how, sizes, ()


def resizing(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the other ways to resize, and the reference's own with or without torch's scale_factor."""
    for making, how, sizes, factors in known(case):
        right = next((name for name, way in WAYS.items() if way == how), how.kernel)
        fix = FIXES.get((how.kernel, how.places), "multiply by the weights of torch's interpolate along each axis")
        lengths = making.x.shape[2:] if making.x is not None else ()
        tried = [matrices(lengths, sizes, how)]
        for name, way in WAYS.items():
            tried.append(matrices(lengths, sizes, way))
            if not any(np.allclose(one, tried[-1]) for one in tried[:-1]):  # some are the same for an image that grows
                yield Hypothesis(
                    cause=f"{making.prefix}resized by {name} instead of {right}",
                    fix=fix.format(how.antialias),
                    known="jax 15768" if way.antialias or {way.kernel, how.kernel} == {"cubic"} else "",
                    test=partial(making.confirm, partial(resized, size=sizes, how=way)),
                )
        turned = partial(_exchanged, sizes=sizes, how=how)
        if len(sizes) == 2 and not always_same(turned, partial(resized, size=sizes, how=how), (1, 1, *lengths)):
            yield Hypothesis(
                cause=f"{making.prefix}height and width of the images are exchanged",
                fix="x.transpose(0, 2, 3, 1), from (n, channels, height, width)",
                test=partial(making.confirm, turned),
            )
        if not np.allclose(tried[0], matrices(lengths, sizes, how, factors)):
            yield Hypothesis(
                cause=f"{making.prefix}places by the ratio of sizes instead of scale_factor {factors}",
                fix="jax.image.scale_and_translate with the factor itself",
                test=partial(making.confirm, partial(resized, size=sizes, how=how)),
            )


def _exchanged(x: Floats, *, sizes: Sizes, how: Resizing) -> Floats:
    return resized(x.swapaxes(2, 3), sizes, how)


def matrices(lengths: Sizes, sizes: Sizes, how: Resizing, factors: Factors = ()) -> Floats:
    """Return the weights of all axes, one after the other."""
    axes = zip(lengths, sizes, factors or (None,) * len(sizes), strict=True)
    return np.concatenate([weights(length, count, how, factor).reshape(-1) for length, count, factor in axes])


FAMILIES = (Family("resizing", resizing),)
