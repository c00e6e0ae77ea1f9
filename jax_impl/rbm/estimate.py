"""The memory and the work of training restricted Boltzmann machines, from their shapes (see `trainer.estimate`)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from jax_impl.rbm.likelihood import CHAINS
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import DRAWN_TOGETHER
from jax_impl.trainer.estimate import PIXELS, TEST_IMAGES, TRAIN_IMAGES, Memory, Work


def machines(sizes: Sequence[int], settings: Settings, *, annealed: bool = False) -> Memory:
    """Return the memory of training machines of these hidden sizes on MNIST, one after the other.

    `annealed` adds that of the likelihood at the end, of a single machine.
    """
    size = np.dtype(settings.dtype).itemsize
    pairs = list(pairwise((PIXELS, *sizes)))
    n_images = TRAIN_IMAGES + TEST_IMAGES
    pixels = size * n_images * PIXELS
    device = max(_device(visible, hidden, settings, size) for visible, hidden in pairs)
    if (
        len(sizes) > 1
    ):  # a machine's images are the hidden probabilities of the one below; the next ones are made of them
        device += size * n_images * max(visible + hidden for visible, hidden in pairs[:-1])
    if annealed:
        visible, hidden = pairs[-1]
        # The images drawn as 0 or 1 with their random numbers, and the hidden inputs of the training images.
        drawn = size * n_images * (4 * visible + hidden)
        chains = size * (CHAINS * (4 * visible + 6 * hidden) + 3 * visible * hidden)
        device = max(device, drawn + chains)
    kept = size * sum(visible * hidden for visible, hidden in pairs)
    largest = size * max((2 * visible + settings.batch_size) * hidden for visible, hidden in pairs)
    return Memory(
        device=float(pixels + device),
        # The states before and after an epoch, a checkpoint and the parameter file as arrays and as bytes.
        host=float(5 * kept + 4 * largest + 3 * n_images * PIXELS),
    )


def _device(visible: int, hidden: int, settings: Settings, size: int) -> int:
    """Return the bytes of one machine while it trains, without its images."""
    weights, units, batch = visible * hidden, visible + hidden, settings.batch_size
    # XLA draws the random numbers of several steps together, as integers first, in several passes.
    together = max(1, min(DRAWN_TOGETHER // max(1, settings.k * batch * units), TRAIN_IMAGES // batch))
    drawn = 6 * together * settings.k * batch * units
    # Weights, velocity, two statistics, and what becomes of them. Probabilities and states of both layers.
    training = 6 * weights + 4 * batch * units + drawn
    # Four hidden inputs of the held-out or the training images live at the same time.
    monitoring = 2 * weights + TEST_IMAGES * (5 * hidden + 3 * visible)
    return size * max(training, monitoring)


def machines_work(sizes: Sequence[int], settings: Settings) -> Work:
    """Return the work of training machines of these hidden sizes on MNIST.

    A round of Gibbs sampling has two matrix products. The data and the two statistics add three.
    """
    steps = settings.epochs * (TRAIN_IMAGES // settings.batch_size)
    weights = sum(visible * hidden for visible, hidden in pairwise((PIXELS, *sizes)))
    products = 3 + 2 * settings.k
    return Work(2.0 * products * steps * settings.batch_size * weights, float(steps * len(sizes) * products))
