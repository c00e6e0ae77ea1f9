"""The notebook's random draws in the notebook's order: the same seed gives torch's weights and batches, without torch.

After `torch.manual_seed(seed)`, each `Linear` draws its weight and its bias. Then the init cell draws all weights again
(once, or `init_passes` times: the notebook's saved session ran it twice). Then every pass of the shuffling `DataLoader`
draws a base seed and the seed of its sampler.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int64

from jax_impl.replay import init as draw
from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.loaders import Loader, RandomSampler
from jax_impl.replay.modules import Linear, initial

Shape = tuple[int, ...]  # of a weight as torch stores it: (fan_out, fan_in)
Weight = Float[np.ndarray, "fan_out fan_in *kernel"]
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
    network = {f"linear{number}": Linear(*sizes) for number, sizes in enumerate(pairwise(layers), start=1)}
    tensors = initial(network, generator)
    for done in range(1, init_passes + 1):
        for name, tensor in tensors.items():
            if name.endswith("weight") and init != "linear_default":
                tensors[name] = WEIGHTS[init](generator, tensor.shape)
        watch(done)
    if bias_init == "zeros":
        tensors |= {name: np.zeros_like(tensor) for name, tensor in tensors.items() if name.endswith("bias")}
    return tensors


def permutation(generator: TorchGenerator, n_images: int) -> Int64[np.ndarray, " n"]:
    """Return the order in which one epoch of a shuffling DataLoader visits the images."""
    return Loader(RandomSampler(size=n_images)).epoch(generator)


# torch.nn.init's functions, with the parameters that `initializers.KERNELS` chooses, and how `Linear` draws its weight.
# `replay.init` has all parameters.
WEIGHTS: dict[str, Callable[[TorchGenerator, Shape], Weight]] = {
    "uniform": lambda generator, shape: generator.uniform(shape),
    "normal": lambda generator, shape: generator.normal(shape),
    "small_normal": lambda generator, shape: generator.normal(shape, 0.0, 0.01),
    "trunc_normal": draw.trunc_normal,
    "constant": lambda _, shape: np.full(shape, 0.1, np.float32),
    "ones": lambda _, shape: np.ones(shape, np.float32),
    "zeros": lambda _, shape: np.zeros(shape, np.float32),
    "eye": lambda _, shape: np.eye(*shape, dtype=np.float32),
    "xavier_uniform": draw.xavier_uniform,
    "xavier_normal": draw.xavier_normal,
    "kaiming_uniform": draw.kaiming_uniform,
    "kaiming_normal": draw.kaiming_normal,
    "orthogonal": draw.orthogonal,
    "sparse": lambda generator, shape: draw.sparse(generator, shape, 0.9),
    "linear_default": lambda generator, shape: draw.kaiming_uniform(generator, shape, 5**0.5),
}
