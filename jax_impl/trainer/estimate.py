"""Estimates the memory and the time of a run before it starts: memory from shapes, time from two short timings.

Every command that trains asks here first. The memory is an upper bound: it counts arrays that XLA may never make,
because it fuses the operations around them. `tests/scale/test_memory.py` compares it with what processes used.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.errors import ArgumentError
from jax_impl.model import IMAGES_AT_ONCE, init_params
from jax_impl.recipes import Recipe
from jax_impl.train import compiled_epoch, start
from jax_impl.trainer import devices
from jax_impl.trainer.memory import GIB, SHARE

TRAIN_IMAGES, TEST_IMAGES, PIXELS = 60_000, 10_000, 784  # of MNIST
PROCESS = 0.8 * GIB  # of Python, JAX, Matplotlib and compiled programs, before there is any array
LONG = 1.0  # hours; a longer run is announced
SLOWEST = (1e-10, 1e-3)  # seconds per operation and per layer of a step, slower than any machine that is in use
TIMED_STEPS = 20
WIDE = Recipe(name="wide", layers=(784, 512, 512, 10))
NARROW = Recipe(name="narrow", layers=(784, *[16] * 12, 10))


class Memory(NamedTuple):
    """The memory that a run needs at most, in bytes, without that of the process itself."""

    device: float  # arrays that programs read, write and compute with
    host: float  # NumPy's copies: data, results of an epoch, contents of files

    def plus(self, other: "Memory") -> "Memory":
        """Return the memory of both."""
        return Memory(self.device + other.device, self.host + other.host)


class Work(NamedTuple):
    """What takes the time of a run."""

    operations: float  # of floating-point numbers
    layers: float  # computed one after the other: steps times layers


class Speed(NamedTuple):
    """The speed of training steps on this machine."""

    flop: float  # seconds per floating-point operation
    layer: float  # additional seconds per layer, whatever its width

    def hours(self, work: Work) -> float:
        """Return the estimated hours, correct within a factor of about two."""
        return (self.flop * work.operations + self.layer * work.layers) / 3600


def weights(recipe: Recipe) -> int:
    """Return the number of a network's weights, without the few biases."""
    return sum(fan_in * fan_out for fan_in, fan_out in pairwise(recipe.layers))


def flops(recipe: Recipe, runs: int) -> float:
    """Return the floating-point operations of a training step.

    There are three matrix products, with two operations per weight and image each.
    """
    return 6.0 * runs * recipe.batch_size * weights(recipe)


def network_work(recipe: Recipe) -> Work:
    """Return the work of training one network on MNIST."""
    steps = recipe.epochs * (TRAIN_IMAGES // recipe.batch_size)
    return Work(steps * flops(recipe, 1), float(steps * (len(recipe.layers) - 1)))


def network(recipe: Recipe, runs: int = 1) -> Memory:
    """Return the memory of training `runs` networks on MNIST, one of them at a time."""
    size = np.dtype(recipe.dtype).itemsize
    units = sum(recipe.layers[1:])
    parameters = size * (weights(recipe) + units)
    state = (3 if recipe.optimizer == "adam" else 1) * parameters  # Adam has two moments
    # Per image of a batch: the pixels, and per unit the values before and after the activation, and their gradients.
    batch = size * recipe.batch_size * (PIXELS + 4 * units)
    tested = size * IMAGES_AT_ONCE * (PIXELS + 2 * max(recipe.layers))  # only two layers at a time
    orders = 3 * 4 * TRAIN_IMAGES  # int32; drawn, cut, and copied to the device
    return Memory(
        # Beside the state: the initial parameters, the gradients and the updates.
        device=float(state + 3 * parameters + max(batch, tested) + orders + _mnist()),
        # The states before and after an epoch, the last one written, and a checkpoint as arrays and as bytes. Each
        # run's initial parameters, as drawn and in the layout of JAX.
        host=float(runs * (5 * state + 2 * parameters) + 2 * parameters + 2 * _mnist()),
    )


def devices_at_once(recipe: Recipe) -> int:
    """Return how many devices may train a run each at the same time. Those of a CPU share the host's memory."""
    if jax.default_backend() != "cpu":
        return jax.device_count()
    fitting = (SHARE * devices.memory() - PROCESS) / network(recipe).device
    return max(1, min(int(fitting), jax.local_device_count()))


def refuse(
    needs: Callable[..., Memory], what: str = "this run", max_gib: float | int | None = None, **options: int
) -> None:
    """Refuse a run that does not fit into the memory. `needs` takes these options and returns the run's memory.

    `max_gib` is a limit for the device's memory that the user gave.

    Raises:
        ArgumentError: It does not fit. The message says how far each option by itself must be lowered.
    """
    if (short := shortage(needs(**options), max_gib)) is None:
        return

    def fits(name: str, value: int) -> bool:
        return shortage(needs(**options | {name: value}), max_gib) is None

    remedies = []
    for name, value in options.items():
        if fitting := largest(value, partial(fits, name)):
            remedies.append(f"--{name.replace('_', '-')} {fitting}")
    remedy = f"use at most {' or '.join(remedies)}" if remedies else "use a smaller network, or a larger machine"
    raise ArgumentError(f"{what} would need about {short}: {remedy}")


def shortage(memory: Memory, max_gib: float | int | None = None) -> str | None:
    """Return how much memory is needed and how much there is, in words, or None if it suffices.

    `max_gib` limits the device's memory, too. A CPU's arrays and the host's copies share one memory. An accelerator has
    its own.
    """
    if max_gib is not None and not memory.device <= max_gib * GIB:
        return f"{memory.device / GIB:.3g} GiB of memory, more than the {max_gib:.3g} GiB of --max-gib"
    shared = jax.default_backend() == "cpu"
    for of_device in (False,) if shared else (True, False):
        needed = memory.device if of_device else memory.host + PROCESS + shared * memory.device
        allowed = SHARE * (devices.memory() if of_device or shared else devices.host_memory())
        if not needed <= allowed:
            where = "device" if of_device else "machine"
            return f"{needed / GIB:.3g} GiB of memory, more than the {allowed / GIB:.3g} GiB available on this {where}"
    return None


def largest(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number from 1 to below `limit` that fits, or 0 if none does. Smaller numbers fit, too."""
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def hours_if_long(work: Work, timed: Callable[[], Speed]) -> float | None:
    """Return the hours of a run if there are more than `LONG`, else None.

    `timed` measures the speed; it is called only if a slow machine would need that long.
    """
    if Speed(*SLOWEST).hours(work) < LONG:
        return None
    hours = timed().hours(work)
    return hours if hours > LONG else None


def measure() -> Speed:
    """Time steps of a wide network and of a deep, narrow one. This takes a few seconds, including compilation."""
    recipes = (WIDE, NARROW)
    rows = [[flops(recipe, 1), len(recipe.layers) - 1] for recipe in recipes]
    flop, layer = np.linalg.solve(rows, [_step_seconds(recipe) for recipe in recipes])
    return Speed(max(float(flop), 0.0), max(float(layer), 0.0))


def _mnist() -> int:
    """Return the bytes of MNIST: pixels of one byte, and int32 labels."""
    return (TRAIN_IMAGES + TEST_IMAGES) * (PIXELS + 4)


def _step_seconds(recipe: Recipe) -> float:
    """Return the seconds of a training step, the shorter of two timings."""
    images, labels = jnp.zeros((1000, recipe.layers[0]), jnp.uint8), jnp.zeros(1000, jnp.int32)
    order = jnp.arange(TIMED_STEPS * recipe.batch_size, dtype=jnp.int32).reshape(TIMED_STEPS, -1) % 1000
    epoch = compiled_epoch(recipe.layers, recipe.dtype, recipe.activation, recipe.optimizer, images.shape, order.shape)
    seconds = []
    for _ in range(3):  # the first one warms up
        state = start(init_params(recipe, key=jax.random.key(0)), recipe.learning_rate)
        jax.block_until_ready(state)
        started = time.perf_counter()
        jax.block_until_ready(epoch(state, images, labels, order))
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:]) / TIMED_STEPS
