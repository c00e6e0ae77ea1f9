"""What a module of the reference does, by its type and settings, and its result computed again."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from jax_impl.parity.arrays import Array
from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.convolutions import Convolution, convolved
from jax_impl.parity.causes.compute.layers.norms import normalised
from jax_impl.parity.causes.compute.layers.pooling import Pooling, adaptively_pooled, number_of_windows, pooled
from jax_impl.parity.causes.compute.layers.resizing import Resizing, resized
from jax_impl.parity.causes.families import norms

METHODS = {"nearest": "nearest", "nearest-exact": "nearest", "linear": "linear", "bilinear": "linear",
           "trilinear": "linear", "bicubic": "cubic", "area": "area"}  # fmt: skip


def each(value: Any, count: int) -> tuple[int, ...]:
    """Return a setting for each spatial axis; torch takes one number for all of them, too."""
    return tuple(int(one) for one in value) if isinstance(value, list | tuple) else (int(value),) * count


def spatial(case: ForwardCase, name: str) -> int:
    """Return the number of spatial axes of a module whose type is `name` and 1d, 2d or 3d; 0 if it is another type."""
    kind = case.module.type.removeprefix("Lazy")
    return next((count for count in (1, 2, 3) if kind == f"{name}{count}d"), 0)


def convolution(case: ForwardCase, x: Array) -> Convolution | None:
    """Return how the module convolves a batch; None if it is no convolution."""
    transposed = bool(spatial(case, "ConvTranspose"))
    count, given = spatial(case, "ConvTranspose") or spatial(case, "Conv"), case.settings
    if not count or x.ndim != count + 2 or x.dtype.kind != "f" or "stride" not in given:
        return None
    stride, dilation = (each(given[name], count) for name in ("stride", "dilation"))
    if transposed:
        cut, extra = each(given["padding"], count), each(given["output_padding"], count)
        sides = tuple((-one, more - one) for one, more in zip(cut, extra, strict=True))
    elif given["padding"] in ("same", "valid"):
        kernel = each(given["kernel_size"], count)
        total = [gap * (size - 1) * (given["padding"] == "same") for gap, size in zip(dilation, kernel, strict=True)]
        sides = tuple((one // 2, one - one // 2) for one in total)
    else:
        sides = tuple((one, one) for one in each(given["padding"], count))
    return Convolution(
        stride=stride,
        padding=sides,
        dilation=dilation,
        groups=int(given.get("groups", 1)),
        transposed=transposed,
        mode=str(given.get("padding_mode", "zeros")),
    )


def pooling(case: ForwardCase, x: Array) -> Pooling | None:
    """Return how the module pools a batch; None if it does not, or adaptively."""
    maximum, given = spatial(case, "MaxPool"), case.settings
    count = maximum or spatial(case, "AvgPool")
    if not count or x.ndim != count + 2 or x.dtype.kind != "f" or "kernel_size" not in given:
        return None
    kernel, padding = each(given["kernel_size"], count), each(given.get("padding", 0), count)
    stride, dilation = each(given.get("stride") or kernel, count), each(given.get("dilation", 1), count)
    ceil = bool(given.get("ceil_mode"))
    sizes = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    return Pooling(
        kind="max" if maximum else "mean",
        kernel=kernel,
        stride=stride,
        before=padding,
        after=padding,
        dilation=dilation,
        size=tuple(number_of_windows(*one, ceil=ceil) for one in sizes),
        counted=bool(given.get("count_include_pad", True)),
        divisor=given.get("divisor_override"),
    )


def adaptive(case: ForwardCase, x: Array) -> tuple[str, tuple[int, ...]] | None:
    """Return the kind, "max" or "mean", and the sizes of an adaptive pooling."""
    maximum = spatial(case, "AdaptiveMaxPool")
    count = maximum or spatial(case, "AdaptiveAvgPool")
    if not count or x.ndim != count + 2 or x.dtype.kind != "f":
        return None
    size = case.settings.get("output_size", 1)
    size = size if isinstance(size, list | tuple) else [size] * count
    sizes = tuple(length if one is None else int(one) for one, length in zip(size, x.shape[2:], strict=True))
    return ("max" if maximum else "mean"), sizes


def resizing(case: ForwardCase, x: Array) -> tuple[Resizing, tuple[int, ...], tuple[float | None, ...]] | None:
    """Return how the module resizes a batch, to which sizes, and the factors that decide where outputs lie."""
    kind, given, count = case.module.type, case.settings, x.ndim - 2
    if kind not in ("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d") or count < 1 or x.dtype.kind != "f":
        return None
    mode = str(given.get("mode", "nearest"))
    size, scale = given.get("size"), given.get("scale_factor")
    if mode not in METHODS or (size is None and scale is None):
        return None
    factors: tuple[float | None, ...] = (None,) * count
    if size is None:
        numbers = [float(one) for one in scale] if isinstance(scale, list | tuple) else [float(scale)] * count  # type: ignore[arg-type]
        sizes = tuple(int(length * one) for length, one in zip(x.shape[2:], numbers, strict=True))
        factors = factors if given.get("recompute_scale_factor") else tuple(numbers)
    else:
        sizes = each(size, count)
    places = "corners" if given.get("align_corners") else "origin" if mode == "nearest" else "half-pixel"
    return Resizing(kernel=METHODS[mode], places=places), sizes, factors


def gelu(x: Floats) -> Floats:
    """Return torch's gelu, by the error function."""
    return np.asarray(x * special.ndtr(x))


def silu(x: Floats) -> Floats:
    """Return torch's silu."""
    return np.asarray(x * special.expit(x))


Function = Callable[[Floats], Floats]
ACTIVATIONS: dict[str, Function] = {  # without settings
    "ReLU": lambda x: np.maximum(x, 0), "ReLU6": lambda x: np.clip(x, 0, 6), "SiLU": silu, "Tanh": np.tanh,
    "Sigmoid": special.expit, "Identity": lambda x: x, "Softplus": lambda x: np.logaddexp(x, 0),
}  # fmt: skip


def activation(case: ForwardCase, x: Array) -> Floats | None:
    """Return the result of an activation function, of a reshape, or of a dropout that is off."""
    kind, given = case.module.type, case.settings
    if kind in ACTIVATIONS:
        return ACTIVATIONS[kind](x)
    if kind == "LeakyReLU":
        return np.where(x > 0, x, x * float(given.get("negative_slope", 0.01)))
    if kind == "GELU":
        inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + np.tanh(inner)) if given.get("approximate") == "tanh" else gelu(x)
    if kind == "Flatten":
        start, end = (int(given.get(name, axis)) % x.ndim for name, axis in (("start_dim", 1), ("end_dim", -1)))
        return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])
    if kind == "Unflatten" and isinstance(given.get("dim"), int) and isinstance(given.get("unflattened_size"), list):
        axis = given["dim"] % x.ndim
        return x.reshape(*x.shape[:axis], *given["unflattened_size"], *x.shape[axis + 1 :])
    if "Dropout" in kind and (not case.training or not given.get("p")):
        return x
    return None


Parameter = Callable[[str], Floats | None]  # a weight or buffer by its name in the module


def recomputed(case: ForwardCase, x: Array, parameter: Parameter | None = None) -> Floats | None:
    """Return what the module makes of x, by its type, settings and weights; None if that is not known."""
    parameter = parameter or case.parameter
    weight, bias = parameter("weight"), parameter("bias")
    if (how := convolution(case, x)) is not None:
        return None if weight is None else convolved(x, weight, bias, how)
    if (pool := pooling(case, x)) is not None:
        return pooled(x, pool)
    if (sizes := adaptive(case, x)) is not None:
        return adaptively_pooled(x, sizes[1], sizes[0])
    if (resize := resizing(case, x)) is not None:
        return resized(x, resize[1], resize[0], resize[2])
    if case.module.type == "Linear":
        return None if weight is None or x.dtype.kind != "f" else x @ weight.T + (0.0 if bias is None else bias)
    if case.module.type == "Embedding":
        return None if weight is None or x.dtype.kind not in "iu" else weight[x]
    if (norm := norms.how(case, x)) is not None:
        mean, variance = parameter("running_mean"), parameter("running_var")
        given = (None, None) if case.training or mean is None else (mean, variance)
        return normalised(x, norm, weight, bias, *given)
    return activation(case, x)
