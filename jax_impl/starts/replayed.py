"""A run's draws from torch's random stream, without torch."""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Int32

from jax_impl.draws import Draws, check_batch_size, full_batches
from jax_impl.interop import from_torch
from jax_impl.recipes import DATA_DRIVEN, Recipe, check_replayable
from jax_impl.replay import notebook
from jax_impl.replay.generator import TorchGenerator


def replayed(recipe: Recipe, n_images: int, *, watch: Callable[[int], None] = lambda _: None) -> Draws:
    """Return what torch draws on the CPU for this recipe. `watch` gets the number of finished passes of the init cell.

    Weights are torch's float32 ones whatever the recipe's dtype, so a float64 run starts from the same numbers.

    Raises:
        ArgumentError: torch does not have the initialiser, or the data set has no full batch.
    """
    check_batch_size(recipe.batch_size, n_images)
    check_replayable(recipe)
    generator = TorchGenerator(recipe.seed)
    tensors = notebook.initial_tensors(
        generator,
        recipe.layers,
        init=DATA_DRIVEN.get(recipe.init, recipe.init),
        bias_init=recipe.bias_init,
        init_passes=recipe.init_passes,
        watch=watch,
    )
    params = from_torch({name: tensor.astype(recipe.dtype) for name, tensor in tensors.items()}, recipe.layers)
    return Draws(params, orders(generator, n_images, recipe.batch_size))


def orders(generator: TorchGenerator, n_images: int, batch_size: int) -> Iterator[Int32[np.ndarray, "steps batch"]]:
    """Yield the batches of each epoch of a shuffling `DataLoader` with `drop_last`, endlessly."""
    while True:
        yield full_batches(notebook.permutation(generator, n_images), batch_size)
