"""What the presets measure of a recipe over seeds; each returns plain data by seed."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, UInt8

from jax_impl.data import Mnist
from jax_impl.draws import LOOKED_AT, Orders
from jax_impl.model import Params, pre_activations, stacked
from jax_impl.pixels import scale
from jax_impl.recipes import Recipe
from jax_impl.storage.records import plain
from jax_impl.study import cells
from jax_impl.study.presets.preset import Seeds
from jax_impl.study.propagation import propagate
from jax_impl.train import mean_loss
from jax_impl.trainer import ensemble

PROBED = 100  # test images, the first, where large networks are probed
SMOOTHED = 20  # steps of a running mean of the loss
CHUNK = 50  # steps between two probes of `saturation`
TRIED = (0.4, 0.8)  # learning rates of `steps_to_loss`, times the number of layers; 0.2 is slower, 1.6 diverges
BUDGETS = {100: 500, 1_000: 1_000, 10_000: 3_000, 60_000: 6_000}  # steps of fine-tuning, by the number of labels
STEPS = 300  # that `steps_to_loss` takes at most

Images = UInt8[Array, "n pixels"]
Labels = Int32[Array, " n"]


def recipe(name: str, hidden: int, width: int, init: str, **more: object) -> Recipe:
    """Return a recipe of so many hidden layers, trained by plain SGD as deep networks are in the papers."""
    settings = {"bias_init": "zeros", "optimizer": "sgd", "learning_rate": 0.01, "epochs": 1} | more
    return Recipe(name=name, layers=(784, *[width] * hidden, 10), init=init, **settings)  # type: ignore[arg-type]


def trained(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Return the record of the study's cell."""
    return cells.run([cells.Cell(recipe=recipe, seeds=tuple(seeds))], mnist)[0]


def signal(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Return what signal and gradient do before training."""
    params = stacked([one.params for one in ensemble.drawn(recipe, seeds, mnist)])
    return cells.summary(propagate(params, *_batch(mnist), recipe.activation))


def signal_of_five(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Return `signal` of at least five seeds: fewer are filled up with the ones that follow."""
    return signal(recipe, [*seeds, *range(seeds[-1] + 1, seeds[-1] + 6 - len(seeds))], mnist)


def scaled(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train; return the curve of the `loss` by seed, and before it each layer's `pre_variance` by seed and layer.

    The variance is that of the `LOOKED_AT` training images after those that a data-driven initialiser looks at.
    """
    runs = ensemble.drawn(recipe, seeds, mnist)
    images = jnp.asarray(mnist.train_images[LOOKED_AT : 2 * LOOKED_AT])
    variances = [_pre_variances(one.params, images, recipe.activation) for one in runs]
    losses = [cells.means(epoch.losses) for epoch, _ in ensemble.fit_many(recipe, runs, mnist)]
    return {"loss": plain(np.concatenate(losses, axis=1)), "pre_variance": plain(np.stack(variances))}


def symmetry(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train, and look before it and after every epoch at the gradients and at how far a layer's units differ.

    Returns:
        `kernel_gradient` and `bias_gradient`, norms by seed, epoch and layer; `unit_spread` by seed, epoch and hidden
        layer, the largest difference between two units' weights as a share of the largest weight; `cost` and
        `test_accuracy` by seed and epoch.
    """
    runs = ensemble.drawn(recipe, seeds, mnist)
    networks, epochs = [stacked([one.params for one in runs])], []
    for epoch, params in ensemble.fit_many(recipe, runs, mnist):
        networks.append(params)
        epochs.append(epoch)
    gradients = [_gradient_norms(params, *_batch(mnist), recipe.activation) for params in networks]
    return {
        "kernel_gradient": plain(np.stack([found["kernel"] for found in gradients], axis=1)),
        "bias_gradient": plain(np.stack([found["bias"] for found in gradients], axis=1)),
        "unit_spread": plain(np.stack([_unit_spread(params) for params in networks], axis=1)),
        "cost": plain(np.stack([epoch.costs for epoch in epochs], axis=1)),
        "test_accuracy": plain(np.stack([epoch.test_accuracies for epoch in epochs], axis=1)),
    }


def saturation(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train an epoch and probe every `CHUNK` steps; return the `steps`, and each layer's `mean` activation.

    The means are by seed, probe and layer, the output layer last; the first probe is before the first step.
    """
    runs = [one._replace(orders=_chunks(one.orders)) for one in ensemble.drawn(recipe, seeds, mnist)]
    count = len(mnist.train_images) // recipe.batch_size // CHUNK
    networks = [stacked([one.params for one in runs])]
    networks += [params for _, params in ensemble.fit_many(recipe.but(epochs=count), runs, mnist)]
    probes = [propagate(params, *_batch(mnist), recipe.activation).measured for params in networks]
    return {
        "steps": [CHUNK * number for number in range(count + 1)],
        "mean": plain(np.stack([found.mean for found in probes], axis=1)),
    }


def steps_to_loss(recipe: Recipe, seeds: Seeds, mnist: Mnist, loss: float = 0.6) -> dict[str, Any]:
    """Return the `steps` until a running mean of the loss falls below `loss`, by seed; None after `STEPS`.

    At the best of the learning rates `TRIED`, as Saxe et al. choose one for every depth; each is divided by the number
    of layers, since so many factors move at a time.
    """
    found = {}
    for rate in TRIED:
        one = recipe.but(learning_rate=rate / (len(recipe.layers) - 1), epochs=1)
        runs = [drawn._replace(orders=_first(drawn.orders)) for drawn in ensemble.drawn(one, seeds, mnist)]
        ((epoch, _),) = ensemble.fit_many(one, runs, mnist)
        found[rate] = [_steps(losses, loss) for losses in epoch.losses]
    best = min(TRIED, key=lambda rate: sum(STEPS if steps is None else steps for steps in found[rate]))
    return {"steps": found[best], "learning_rate": best / (len(recipe.layers) - 1), "limit": STEPS, "loss": loss}


def accuracies(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train; return the `test_accuracy` by seed and epoch."""
    epochs = [epoch for epoch, _ in ensemble.fit_many(recipe, ensemble.drawn(recipe, seeds, mnist), mnist)]
    return {"test_accuracy": plain(np.stack([epoch.test_accuracies for epoch in epochs], axis=1))}


def fine_tuned(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train on some of the labels, for as many steps whatever the start; an initialiser sees all images.

    Returns:
        `labels`, how many, `steps`, and after them the `test_accuracy` by seed and number of labels. Which images are
        labelled depends on the seed alone.
    """
    runs = ensemble.drawn(recipe, seeds, mnist)
    found = []
    for labels, steps in BUDGETS.items():
        few = [
            one._replace(orders=_of_labelled(seed, labels, steps, recipe.batch_size, mnist))
            for one, seed in zip(runs, seeds, strict=True)
        ]
        ((epoch, _),) = ensemble.fit_many(recipe.but(epochs=1), few, mnist)
        found.append(epoch.test_accuracies)
    return {"labels": list(BUDGETS), "steps": list(BUDGETS.values()), "test_accuracy": plain(np.stack(found, axis=1))}


def _of_labelled(seed: int, labels: int, steps: int, batch: int, mnist: Mnist) -> Orders:
    """Yield one order of so many steps through the labelled images, pass after pass, each in another order."""
    rng = np.random.default_rng(seed)
    labelled = rng.permutation(len(mnist.train_images))[:labels]
    passes = [rng.permutation(labelled) for _ in range(-(-steps * batch // labels))]
    yield np.concatenate(passes)[: steps * batch].astype(np.int32).reshape(steps, batch)


@partial(jax.jit, static_argnames="activation")
def _pre_variances(params: Params, images: Images, activation: str) -> Float[Array, " layers"]:
    inputs = scale(images, jax.tree.leaves(params)[0].dtype)
    return jnp.stack([z.var() for z in pre_activations(params, inputs, activation)])


def _batch(mnist: Mnist) -> tuple[Images, Labels]:
    return jnp.asarray(mnist.test_images[:PROBED]), jnp.asarray(mnist.test_labels[:PROBED])


@partial(jax.jit, static_argnames="activation")
def _gradient_norms(params: Params, images: Images, labels: Labels, activation: str) -> dict[str, Array]:
    """Return for kernels and biases the norm of the mean loss's gradient, by seed and layer."""
    gradient = jax.vmap(partial(jax.grad(mean_loss), activation=activation), in_axes=(0, None, None))
    layers = gradient(params, scale(images, jax.tree.leaves(params)[0].dtype), labels).values()
    return {
        name: jnp.stack([jnp.sqrt(jnp.sum(layer[name] ** 2, axis=range(1, layer[name].ndim))) for layer in layers], 1)
        for name in ("kernel", "bias")
    }


def _unit_spread(params: Params) -> Float[np.ndarray, "seeds hidden"]:
    """Return how far apart the units of each hidden layer are, in the weights into, in the biases, and out of it."""
    layers = [jax.tree.map(np.asarray, params[f"linear{number}"]) for number in range(1, len(params) + 1)]
    spreads = []
    for into, out in pairwise(layers):
        # Units are the last axis of what leads into them and the first of what leads out.
        views = (into["kernel"], into["bias"][:, None], out["kernel"].swapaxes(1, 2))
        apart = [np.ptp(view, axis=2).max(axis=1) for view in views]
        largest = np.max([np.abs(view).max(axis=(1, 2)) for view in views], axis=0)
        spreads.append(np.max(apart, axis=0) / np.maximum(largest, np.finfo(largest.dtype).tiny))
    return np.stack(spreads, axis=1)


def _chunks(orders: Orders) -> Iterator[Int32[np.ndarray, "steps batch"]]:
    for order in orders:
        for start in range(0, len(order) - CHUNK + 1, CHUNK):
            yield order[start : start + CHUNK]


def _first(orders: Orders) -> Iterator[Int32[np.ndarray, "steps batch"]]:
    for order in orders:
        yield order[:STEPS]


def _steps(losses: Float[np.ndarray, " steps"], loss: float) -> int | None:
    means = np.convolve(losses, np.ones(SMOOTHED) / SMOOTHED, "valid")
    below = np.flatnonzero(means < loss)
    return int(below[0]) + SMOOTHED if len(below) else None
