"""The notebook's random draws in the notebook's order: the same seed gives torch's weights and batches, without torch.

`torch.manual_seed(seed)`, then each `Linear` draws its weight and its bias, then the init cell draws over the weights
(once, or `init_passes` times: the session that the notebook was saved from had run it twice), then every
`iter(DataLoader)` draws a base seed and its sampler the seed of a generator of its own.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int32, Int64

from jax_impl.draws import Draws, batches, check_batch_size
from jax_impl.errors import ArgumentError, unknown_name
from jax_impl.initializers import DATA_DRIVEN, KERNELS, kaiming_std, linear_default_bound, xavier_std
from jax_impl.interop import from_torch
from jax_impl.recipes import Recipe
from jax_impl.replay.generator import TorchGenerator

Shape = tuple[int, int]  # (fan_out, fan_in), as torch stores a weight
Weight = Float[np.ndarray, "fan_out fan_in"]


def replayed(recipe: Recipe, n_images: int) -> Draws:
    """Draw what torch draws on the CPU for this recipe.

    Weights are torch's float32 ones whatever the recipe's dtype: a float64 run starts from the same numbers.

    Raises:
        ArgumentError: The init is one that torch does not have, or not one full batch fits.
    """
    check_batch_size(recipe, n_images)
    check_init(recipe)
    generator = TorchGenerator(recipe.seed)
    tensors = _initial(recipe, generator)
    params = from_torch({name: tensor.astype(recipe.dtype) for name, tensor in tensors.items()}, recipe.layers)
    return Draws(params, Loader(generator, n_images, recipe.batch_size))


def check_init(recipe: Recipe) -> None:
    """Check that torch's draws for this init can be replayed.

    Raises:
        ArgumentError: They cannot; the message names those that can.
    """
    if DATA_DRIVEN.get(recipe.init, recipe.init) not in WEIGHTS:
        if recipe.init in KERNELS:
            raise ArgumentError(f"torch has no init {recipe.init!r} to replay: use --stream jax")
        raise unknown_name("init", recipe.init, (*KERNELS, *DATA_DRIVEN))
    if recipe.bias_init not in {"linear_default", "zeros"}:
        raise unknown_name("bias init", recipe.bias_init, ("linear_default", "zeros"))


def permutation(generator: TorchGenerator, n_images: int) -> Int64[np.ndarray, " n"]:
    """Draw the order in which one epoch of a shuffling DataLoader visits the images (`RandomSampler.__iter__`)."""
    generator.random_int64()  # the base seed of the loader's workers, drawn even when there are none
    return TorchGenerator(generator.random_int64()).randperm(n_images)


class Loader:
    """The orders of a shuffling DataLoader that drops the ragged end, endless: each `iter(loader)` is the next one."""

    def __init__(self, generator: TorchGenerator, n_images: int, batch_size: int) -> None:
        self.generator, self.n_images, self.batch_size = generator, n_images, batch_size

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> Int32[np.ndarray, "steps batch"]:
        return batches(permutation(self.generator, self.n_images), self.batch_size)

    def state(self) -> dict[str, np.ndarray]:
        """Return the state of the generator, as the bytes of `torch.get_rng_state()`."""
        return {"generator": self.generator.state()}

    def go_to(self, state: dict[str, np.ndarray]) -> None:
        """Go on from where `state()` was taken."""
        self.generator = TorchGenerator.from_state(state["generator"])


def _initial(recipe: Recipe, generator: TorchGenerator) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(recipe.layers), start=1):
        bound = linear_default_bound(fan_in)
        tensors[f"linear{number}.weight"] = _kaiming_uniform(generator, (fan_out, fan_in), math.sqrt(5))
        tensors[f"linear{number}.bias"] = generator.uniform(fan_out, -bound, bound)
    for _ in range(recipe.init_passes):
        for name, tensor in tensors.items():
            if name.endswith("weight") and recipe.init != "linear_default":
                tensors[name] = WEIGHTS[DATA_DRIVEN.get(recipe.init, recipe.init)](generator, tensor.shape)
    if recipe.bias_init == "zeros":
        tensors |= {name: np.zeros_like(tensor) for name, tensor in tensors.items() if name.endswith("bias")}
    return tensors


def _uniform(generator: TorchGenerator, shape: Shape, std: float) -> Weight:
    bound = math.sqrt(3.0) * std
    return generator.uniform(shape, -bound, bound)


def _kaiming_uniform(generator: TorchGenerator, shape: Shape, a: float = 0.0) -> Weight:
    return _uniform(generator, shape, kaiming_std(shape[1], shape[0], a))


def _trunc_normal(generator: TorchGenerator, shape: Shape) -> Weight:
    """N(0, 1) on [-2, 2]: torch redraws the whole tensor, and takes what it needs, until nothing lies outside."""
    weight = generator.normal(shape)
    while (outside := np.abs(weight) > 2).any():
        weight = np.where(outside, generator.normal(shape), weight)
    return weight


def _orthogonal(generator: TorchGenerator, shape: Shape) -> Weight:
    """The Q of a normal matrix with the signs of R's diagonal taken out (Mezzadri 2007); LAPACK's rounding remains."""
    matrix = generator.normal(shape)
    q, r = np.linalg.qr(matrix.T if shape[0] < shape[1] else matrix)
    q = q * np.sign(np.diag(r))
    return np.ascontiguousarray(q.T if shape[0] < shape[1] else q)


def _sparse(generator: TorchGenerator, shape: Shape, sparsity: float = 0.9, std: float = 0.01) -> Weight:
    weight = generator.normal(shape, 0.0, std)
    for column in range(shape[1]):
        weight[generator.randperm(shape[0])[: math.ceil(sparsity * shape[0])], column] = 0
    return weight


# torch.nn.init's functions, with the parameters of `initializers.KERNELS`.
WEIGHTS: dict[str, Callable[[TorchGenerator, Shape], Weight]] = {
    "uniform": lambda generator, shape: generator.uniform(shape),
    "normal": lambda generator, shape: generator.normal(shape),
    "small_normal": lambda generator, shape: generator.normal(shape, 0.0, 0.01),
    "trunc_normal": _trunc_normal,
    "constant": lambda _, shape: np.full(shape, 0.1, np.float32),
    "ones": lambda _, shape: np.ones(shape, np.float32),
    "zeros": lambda _, shape: np.zeros(shape, np.float32),
    "eye": lambda _, shape: np.eye(*shape, dtype=np.float32),
    "xavier_uniform": lambda generator, shape: _uniform(generator, shape, xavier_std(shape[1], shape[0])),
    "xavier_normal": lambda generator, shape: generator.normal(shape, 0.0, xavier_std(shape[1], shape[0])),
    "kaiming_uniform": _kaiming_uniform,
    "kaiming_normal": lambda generator, shape: generator.normal(shape, 0.0, kaiming_std(shape[1], shape[0])),
    "orthogonal": _orthogonal,
    "sparse": _sparse,
    "linear_default": lambda generator, shape: _kaiming_uniform(generator, shape, math.sqrt(5)),
}
