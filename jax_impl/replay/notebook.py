"""The notebook's random draws in the notebook's order: the same seed gives torch's weights and batches, without torch.

After `torch.manual_seed(seed)`, each `Linear` draws its weight and its bias. Then the init cell draws all weights again
(once, or `init_passes` times: the notebook's saved session ran it twice). Then every `iter(DataLoader)` draws a base
seed, and its sampler draws the seed of a generator of its own.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int64

from jax_impl.replay.generator import TorchGenerator

Shape = tuple[int, int]  # (fan_out, fan_in), as torch stores a weight
Weight = Float[np.ndarray, "fan_out fan_in"]
BIASES = ("linear_default", "zeros")


def initial_tensors(
    generator: TorchGenerator,
    layers: tuple[int, ...],
    *,
    init: str,
    bias_init: str,
    init_passes: int = 1,
    watch: Callable[[int], None] = lambda _: None,
) -> dict[str, np.ndarray]:
    """Return the notebook's initial `linear1.weight`, `linear1.bias`, … in float32. The generator advances as torch's.

    `layers` are the units per layer, from the pixels to the classes. `init` is a name in `WEIGHTS` and `bias_init` one
    in `BIASES`. The init cell runs `init_passes` times; `watch` gets the number of finished passes after each.
    """
    tensors: dict[str, np.ndarray] = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(layers), start=1):
        bound = 1 / math.sqrt(fan_in)
        tensors[f"linear{number}.weight"] = WEIGHTS["linear_default"](generator, (fan_out, fan_in))
        tensors[f"linear{number}.bias"] = generator.uniform(fan_out, -bound, bound)
    for done in range(1, init_passes + 1):
        for name, tensor in tensors.items():
            if name.endswith("weight") and init != "linear_default":
                tensors[name] = WEIGHTS[init](generator, tensor.shape)
        watch(done)
    if bias_init == "zeros":
        tensors |= {name: np.zeros_like(tensor) for name, tensor in tensors.items() if name.endswith("bias")}
    return tensors


def permutation(generator: TorchGenerator, n_images: int) -> Int64[np.ndarray, " n"]:
    """Return the order in which one epoch of a shuffling DataLoader visits the images (`RandomSampler.__iter__`)."""
    generator.random_int64()  # the base seed of the loader's workers; drawn even without workers
    return TorchGenerator(generator.random_int64()).randperm(n_images)


def xavier_std(shape: Shape, gain: float = 1.0) -> float:
    """Return the standard deviation of `xavier_normal_`. Only torch's order of operations gives every bit."""
    fan_out, fan_in = shape
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))


def kaiming_std(shape: Shape, a: float = 0.0) -> float:
    """Return the standard deviation of `kaiming_normal_` with mode fan_in and leaky_relu's gain of slope `a`."""
    gain = math.sqrt(2.0 / (1 + a**2))
    return gain / math.sqrt(shape[1])


def _uniform(generator: TorchGenerator, shape: Shape, std: float) -> Weight:
    bound = math.sqrt(3.0) * std
    return generator.uniform(shape, -bound, bound)


def _trunc_normal(generator: TorchGenerator, shape: Shape) -> Weight:
    """N(0, 1) on [-2, 2]. torch redraws the whole tensor until no value lies outside, and replaces only those."""
    weight = generator.normal(shape)
    while (outside := np.abs(weight) > 2).any():
        weight = np.where(outside, generator.normal(shape), weight)
    return weight


def _orthogonal(generator: TorchGenerator, shape: Shape) -> Weight:
    """Q of the QR decomposition of a normal matrix, with R's diagonal made positive (Mezzadri 2007).

    It equals torch's up to the rounding of LAPACK.
    """
    matrix = generator.normal(shape)
    q, r = np.linalg.qr(matrix.T if shape[0] < shape[1] else matrix)
    q = q * np.sign(np.diag(r))
    return np.ascontiguousarray(q.T if shape[0] < shape[1] else q)


def _sparse(generator: TorchGenerator, shape: Shape) -> Weight:
    weight = generator.normal(shape, 0.0, 0.01)
    for column in range(shape[1]):
        weight[generator.randperm(shape[0])[: math.ceil(0.9 * shape[0])], column] = 0
    return weight


# torch.nn.init's functions, with the parameters that `initializers.KERNELS` chooses, and how `Linear` draws its weight.
WEIGHTS: dict[str, Callable[[TorchGenerator, Shape], Weight]] = {
    "uniform": lambda generator, shape: generator.uniform(shape),
    "normal": lambda generator, shape: generator.normal(shape),
    "small_normal": lambda generator, shape: generator.normal(shape, 0.0, 0.01),
    "trunc_normal": _trunc_normal,
    "constant": lambda _, shape: np.full(shape, 0.1, np.float32),
    "ones": lambda _, shape: np.ones(shape, np.float32),
    "zeros": lambda _, shape: np.zeros(shape, np.float32),
    "eye": lambda _, shape: np.eye(*shape, dtype=np.float32),
    "xavier_uniform": lambda generator, shape: _uniform(generator, shape, xavier_std(shape)),
    "xavier_normal": lambda generator, shape: generator.normal(shape, 0.0, xavier_std(shape)),
    "kaiming_uniform": lambda generator, shape: _uniform(generator, shape, kaiming_std(shape)),
    "kaiming_normal": lambda generator, shape: generator.normal(shape, 0.0, kaiming_std(shape)),
    "orthogonal": _orthogonal,
    "sparse": _sparse,
    "linear_default": lambda generator, shape: _uniform(generator, shape, kaiming_std(shape, math.sqrt(5))),
}
