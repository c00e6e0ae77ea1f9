"""`torch.nn.init` without torch: the numbers that its functions draw from a generator, for a tensor of a shape.

Shapes are torch's: (fan_out, fan_in), or (out channels, in channels, …) of a convolution. Only torch's order of
operations gives every bit, so the standard deviations and bounds are computed as torch does. The source is
torch/nn/init.py of torch 2.14.1. Every function raises a ValueError for a shape with too few axes.
"""

import math

import numpy as np
from numpy.typing import DTypeLike

from jax_impl.replay.arguments import Reals, floating
from jax_impl.replay.generator import TorchGenerator

Shape = tuple[int, ...]
CONVOLUTIONS = tuple(f"conv{kind}{axes}d" for kind in ("", "_transpose") for axes in (1, 2, 3))
GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 3 / 4}
MODES = ("fan_in", "fan_out")
LIKELY = 0.3  # a probability of lying within the bounds from which on `trunc_normal_` draws normal numbers


def gain_of(nonlinearity: str, a: float = 0.01) -> float:
    """Return the gain of an activation (`calculate_gain`), with slope `a` for "leaky_relu"."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + a**2))
    if nonlinearity in CONVOLUTIONS:
        return 1.0
    if nonlinearity not in GAINS:
        raise ValueError(f"nonlinearity must be leaky_relu, {', '.join(GAINS)}, got {nonlinearity!r}")
    return GAINS[nonlinearity]


def fans(shape: Shape) -> tuple[int, int]:
    """Return fan_in and fan_out of a weight (`_calculate_fan_in_and_fan_out`)."""
    if len(shape) < 2:
        raise ValueError(f"fans need a shape with 2 axes or more, got {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def xavier_std(shape: Shape, gain: float = 1.0) -> float:
    """Return the standard deviation of `xavier_normal_`."""
    fan_in, fan_out = fans(shape)
    if not fan_in + fan_out:
        raise ValueError(f"fan_in and fan_out must not both be 0, got the shape {shape}")
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))


def kaiming_std(shape: Shape, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> float:
    """Return the standard deviation of `kaiming_normal_`."""
    if mode not in MODES:
        raise ValueError(f"mode must be fan_in or fan_out, got {mode!r}")
    return gain_of(nonlinearity, a) / math.sqrt(fans(shape)[MODES.index(mode)])


def symmetric(generator: TorchGenerator, shape: Shape, bound: float, dtype: DTypeLike = np.float32) -> Reals:
    """Draw from U[-bound, bound)."""
    return generator.uniform(shape, 0.0 - bound, bound, dtype)  # 0.0 stays 0.0


def xavier_uniform(generator: TorchGenerator, shape: Shape, gain: float = 1.0, dtype: DTypeLike = np.float32) -> Reals:
    """Draw as `xavier_uniform_` (Glorot & Bengio 2010, equation 16)."""
    bound = math.sqrt(3.0) * xavier_std(shape, gain)
    return generator.uniform(shape, -bound, bound, dtype)  # -0.0 for a gain of 0


def xavier_normal(generator: TorchGenerator, shape: Shape, gain: float = 1.0, dtype: DTypeLike = np.float32) -> Reals:
    """Draw as `xavier_normal_`."""
    return generator.normal(shape, 0.0, xavier_std(shape, gain), dtype)


def kaiming_uniform(
    generator: TorchGenerator,
    shape: Shape,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    dtype: DTypeLike = np.float32,
) -> Reals:
    """Draw as `kaiming_uniform_` (He et al. 2015). The modules of `torch.nn` use it with a = √5."""
    if 0 in shape:
        return floating(dtype).rounded(np.zeros(shape))
    return symmetric(generator, shape, math.sqrt(3.0) * kaiming_std(shape, a, mode, nonlinearity), dtype)


def kaiming_normal(
    generator: TorchGenerator,
    shape: Shape,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    dtype: DTypeLike = np.float32,
) -> Reals:
    """Draw as `kaiming_normal_` (He et al. 2015, equations 10 and 14)."""
    if 0 in shape:
        return floating(dtype).rounded(np.zeros(shape))
    return generator.normal(shape, 0.0, kaiming_std(shape, a, mode, nonlinearity), dtype)


def trunc_normal(
    generator: TorchGenerator,
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    dtype: DTypeLike = np.float32,
) -> Reals:
    """Draw N(mean, std²) within the absolute bounds a and b, as `trunc_normal_`.

    torch draws the whole tensor again until no number lies outside, and replaces only those that do. If less than
    `LIKELY` of the distribution lies within the bounds, it draws uniform candidates and accepts some of them; there a
    candidate at the limit of being accepted may fall on the other side, since NumPy's log rounds differently.
    """
    kind = floating(dtype)
    if not std > 0:
        raise ValueError(f"std must be above 0, got {std}")
    below, above = (math.erf((bound - mean) / std / math.sqrt(2.0)) for bound in (a, b))
    if (1.0 + above) / 2.0 - (1.0 + below) / 2.0 <= LIKELY:
        return _accepted(generator, shape, mean, std, a, b, dtype)
    lowest, highest = kind.rounded(np.array([a, b], kind.computes))
    values = generator.normal(shape, mean, std, dtype)
    while (outside := (values < lowest) | (values > highest)).any():
        values = np.where(outside, generator.normal(shape, mean, std, dtype), values)
    return values


def _accepted(
    generator: TorchGenerator, shape: Shape, mean: float, std: float, a: float, b: float, dtype: DTypeLike
) -> Reals:
    """Draw uniform candidates, and accept each with a probability that is proportional to the normal density.

    torch rounds after every operation. It also rounds a number before it subtracts it, but not before it multiplies or
    divides by it.
    """
    kind = floating(dtype)
    number = kind.computes.type

    def rounded(x: Reals) -> Reals:
        return kind.rounded(x).astype(kind.computes)

    middle, peak = rounded(np.array([mean, -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2]))
    values, pending = np.empty(shape), np.ones(shape, bool)
    while pending.any():
        candidates = generator.uniform(shape, a, b, dtype)
        values = np.where(pending, candidates, values)
        scaled = rounded(rounded(candidates.astype(kind.computes) - middle) / number(std))
        density = rounded(rounded(rounded(scaled**2) * number(-0.5)) - peak)
        with np.errstate(divide="ignore"):
            pending = pending & (rounded(np.log(generator.uniform(shape, dtype=dtype).astype(kind.computes))) > density)
    return kind.rounded(values)


def orthogonal(generator: TorchGenerator, shape: Shape, gain: float = 1.0, dtype: DTypeLike = np.float32) -> Reals:
    """Draw as `orthogonal_`: Q of a normal matrix, with R's diagonal made positive (Mezzadri 2007).

    The normal numbers are torch's to the bit, and Q up to the rounding of LAPACK.
    """
    fans(shape)
    if floating(dtype).name not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64 for an orthogonal matrix, as in torch, got {dtype}")
    if 0 in shape:
        return floating(dtype).rounded(np.zeros(shape))
    matrix = generator.normal((shape[0], math.prod(shape[1:])), 0.0, 1.0, dtype)
    wide = matrix.shape[0] < matrix.shape[1]
    q, r = np.linalg.qr(matrix.T if wide else matrix)
    q = q * np.sign(np.diag(r))
    return np.asarray((q.T if wide else q).reshape(shape) * q.dtype.type(gain))


def sparse(
    generator: TorchGenerator, shape: Shape, sparsity: float, std: float = 0.01, dtype: DTypeLike = np.float32
) -> Reals:
    """Draw as `sparse_`: N(0, std²), with a fraction of each column set to 0."""
    if len(shape) != 2:
        raise ValueError(f"sparse needs a shape with 2 axes, got {shape}")
    weight = generator.normal(shape, 0.0, std, dtype)
    for column in range(shape[1]):
        weight[generator.randperm(shape[0])[: math.ceil(sparsity * shape[0])], column] = 0
    return weight


def dirac(shape: Shape, groups: int = 1, dtype: DTypeLike = np.float32) -> Reals:
    """Return the kernel of a convolution that keeps its inputs, as `dirac_`. It draws nothing."""
    if len(shape) not in (3, 4, 5):
        raise ValueError(f"dirac needs a shape with 3 to 5 axes, got {shape}")
    if groups < 1 or shape[0] % groups:
        raise ValueError(f"out channels must be a multiple of groups, got {shape[0]} and {groups}")
    weight = np.zeros(shape)
    centre = tuple(length // 2 for length in shape[2:])
    for group in range(groups):
        for channel in range(min(shape[0] // groups, shape[1])):
            weight[(group * (shape[0] // groups) + channel, channel, *centre)] = 1
    return floating(dtype).rounded(weight)
