"""Everything random about a run, as data: the initial parameters and the order of every epoch's batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32, PRNGKeyArray, UInt8

from jax_impl.errors import ArgumentError
from jax_impl.model import Params, init_params
from jax_impl.pixels import scale
from jax_impl.rbm import dbn
from jax_impl.rbm.machine import Rbm
from jax_impl.rbm.settings import PRETRAINING
from jax_impl.rbm.training import RbmRecord
from jax_impl.recipes import Recipe
from jax_impl.starts import lsuv

LOOKED_AT = (
    10_000  # images, the first of the training set: no random number is drawn for them, and 1,000 are 2 % dimmer
)

# What a data-driven start depends on beside its recipe; records of a study are known by it, too.
START = (LOOKED_AT, asdict(PRETRAINING))

Orders = Iterator[Int32[np.ndarray, "steps batch"]]


@runtime_checkable
class Stream(Protocol):
    """Orders that tell where they are, so that a checkpoint can keep it."""

    def __iter__(self) -> Orders: ...
    def __next__(self) -> Int32[np.ndarray, "steps batch"]: ...

    def state(self) -> dict[str, np.ndarray]:
        """Return what the next order and all after it depend on."""

    def go_to(self, state: dict[str, np.ndarray]) -> None:
        """Go on from where `state()` was taken."""


class Draws(NamedTuple):
    """What training takes from a random stream; where it came from does not matter to it."""

    params: Params  # the initial ones
    orders: Orders  # one an epoch, endless


class Shuffles:
    """An order of the batches for every epoch, endless, from a key of JAX's own generator."""

    def __init__(self, key: PRNGKeyArray, n_images: int, batch_size: int) -> None:
        self.key, self.n_images, self.batch_size = key, n_images, batch_size
        self.epoch = 0  # that the next order is for

    def __iter__(self) -> "Shuffles":
        return self

    def __next__(self) -> Int32[np.ndarray, "steps batch"]:
        self.epoch += 1
        return np.asarray(_shuffled(self.key, self.epoch - 1, self.n_images, self.batch_size))

    def state(self) -> dict[str, np.ndarray]:
        """Return the key's words and the epoch."""
        return {"key": np.array(jax.random.key_data(self.key)), "epoch": np.array(self.epoch)}

    def go_to(self, state: dict[str, np.ndarray]) -> None:
        """Go on from where `state()` was taken."""
        self.key, self.epoch = jax.random.wrap_key_data(jnp.asarray(state["key"])), int(state["epoch"])


@partial(jax.jit, static_argnames=("n_images", "batch_size"))
def _shuffled(
    key: PRNGKeyArray, epoch: int | Int[Array, ""], n_images: int, batch_size: int
) -> Int32[Array, "steps batch"]:
    """Return the images in the order of one epoch, cut into full batches."""
    permutation: Array = jax.random.permutation(jax.random.fold_in(key, epoch), n_images)
    steps = n_images // batch_size
    return permutation[: steps * batch_size].astype(jnp.int32).reshape(steps, batch_size)


def next_of_all(orders: Sequence[Orders]) -> Int32[Array | np.ndarray, "runs steps batch"]:
    """Return the next order of every run; those of JAX's own generator are drawn together, where training is."""
    shuffles = [one for one in orders if isinstance(one, Shuffles)]
    alike = len({(one.epoch, one.n_images, one.batch_size) for one in shuffles}) == 1
    if len(shuffles) < len(orders) or not alike:
        return np.stack([next(one) for one in orders])
    first = shuffles[0]
    keys = jnp.stack([one.key for one in shuffles])
    found: Array = jax.vmap(_shuffled, in_axes=(0, None, None, None))(
        keys, first.epoch, first.n_images, first.batch_size
    )
    for one in shuffles:
        one.epoch += 1
    return found


def native(recipe: Recipe, n_images: int) -> Draws:
    """Draw from JAX's own generator.

    Raises:
        ArgumentError: The recipe names an unknown initialiser, or runs the init cell twice, which only a replay of
            torch's draws can tell from once; or not one full batch fits.
    """
    check_batch_size(recipe, n_images)
    if recipe.init_passes > 1:
        raise ArgumentError(f"init passes must be 1 with --stream jax, got {recipe.init_passes}: use --stream torch")
    init_key, order_key = jax.random.split(jax.random.key(recipe.seed))
    return Draws(init_params(recipe, key=init_key), Shuffles(order_key, n_images, recipe.batch_size))


def look_at(
    images: UInt8[np.ndarray, "n pixels"],
    recipe: Recipe,
    draws: Draws,
    *,
    stack: Sequence[Rbm] | None = None,
    held_out: UInt8[np.ndarray, "m pixels"] | None = None,
    watch: Callable[[RbmRecord], None] = lambda record: None,  # noqa: ARG005
) -> Draws:
    """Let an initialiser that looks at training images go on from its random start; any other leaves the draws alone.

    A DBN is pretrained, unless one is given as `stack`; `watch` hears how it comes along, as `held_out` or else the
    first images tell. The draws of pretraining are JAX's own, whatever the stream of the others.

    Raises:
        UserError: lsuv cannot scale a layer; a DBN does not fit the hidden layers, or there are none.
    """
    if recipe.init == "lsuv":
        inputs = scale(jnp.asarray(images[:LOOKED_AT]), recipe.dtype)
        return draws._replace(params=lsuv.rescale(draws.params, inputs, recipe.activation))
    if recipe.init == "dbn":
        return draws._replace(params=dbn.unroll(stack or _pretrained(images, held_out, recipe, watch), draws.params))
    return draws


def _pretrained(
    images: UInt8[np.ndarray, "n pixels"],
    held_out: UInt8[np.ndarray, "m pixels"] | None,
    recipe: Recipe,
    watch: Callable[[RbmRecord], None],
) -> list[Rbm]:
    """Train a DBN for the recipe's hidden layers, on all images and without their labels."""
    inputs = scale(jnp.asarray(images), recipe.dtype)
    monitored = inputs[:LOOKED_AT] if held_out is None else scale(jnp.asarray(held_out), recipe.dtype)
    settings = replace(PRETRAINING, seed=recipe.seed, dtype=recipe.dtype)
    stack: list[Rbm] = []
    for record, so_far in dbn.fit_stack(recipe.layers[1:-1], settings, inputs, monitored):
        stack = so_far
        if record is not None:
            watch(record)
    return stack


def check_batch_size(recipe: Recipe, n_images: int) -> None:
    """Check that one full batch fits.

    Raises:
        ArgumentError: It does not.
    """
    if recipe.batch_size > n_images:
        raise ArgumentError(f"batch size must be at most the {n_images} training images, got {recipe.batch_size}")


def batches(permutation: Int[np.ndarray, " n"], batch_size: int) -> Int32[np.ndarray, "steps batch"]:
    """Cut a permutation of the images into full batches; the ragged end is dropped (`drop_last=True`)."""
    steps = len(permutation) // batch_size
    return permutation[: steps * batch_size].astype(np.int32).reshape(steps, batch_size)
