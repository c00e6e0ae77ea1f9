"""What the presets measure. Each function takes a recipe, seeds and MNIST, and returns plain JSON data by seed.

A record's key contains the name of its function: renaming one means measuring its parts again.
"""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from jax_impl.data import Mnist
from jax_impl.draws import Orders
from jax_impl.model import Params, linears, pre_activations, scale
from jax_impl.recipes import Recipe
from jax_impl.starts.from_images import USED, draw_seeds
from jax_impl.storage.records import plain
from jax_impl.study import cells
from jax_impl.study.presets.preset import Seeds
from jax_impl.study.propagation import Images, Labels, propagate
from jax_impl.train import mean_loss
from jax_impl.trainer.engine import fit_many
from jax_impl.trainer.trees import stacked

PROBE_IMAGES = 100  # the first test images, for measurements of signal and gradient
PROBE_INTERVAL = 50  # steps between two probes of `saturation`
FINE_TUNING_STEPS = {100: 500, 1_000: 1_000, 10_000: 3_000, 60_000: 6_000}  # by the number of labels
MAX_STEPS = 300  # of `steps_to_loss`
SMOOTHING_STEPS = 20  # of the running mean in `steps_to_loss`
# Learning rates that `steps_to_loss` tries, times the number of layers. 0.2 is slower; 1.6 diverges or is slower.
RATES = (0.4, 0.8)


def sgd_recipe(name: str, hidden: int, width: int, init: str, **changes: object) -> Recipe:
    """Return a recipe with `hidden` layers of `width` units, trained by plain SGD as in the papers."""
    settings = {"bias_init": "zeros", "optimizer": "sgd", "learning_rate": 0.01, "epochs": 1} | changes
    return Recipe(name=name, layers=(784, *[width] * hidden, 10), init=init, **settings)  # type: ignore[arg-type]


def trained(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train as a cell of a grid does, and return the cell's record."""
    return cells.run([cells.Cell(recipe=recipe, seeds=tuple(seeds))], mnist)[0]


def signal(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Return how signal and gradient propagate before training: `measured` and `predicted`, by seed and layer."""
    params = stacked([one.params for one in draw_seeds(recipe, seeds, mnist)])
    return cells.summary(propagate(params, *_probe(mnist), recipe.activation))


def signal_of_five(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Return `signal` over at least five seeds: if `seeds` has fewer, the next higher ones are added."""
    return signal(recipe, [*seeds, *range(seeds[-1] + 1, seeds[-1] + 6 - len(seeds))], mnist)


def scaled(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Measure each layer's variance before training, then train.

    Returns:
        `pre_variance`, the variance of the pre-activations before training, by seed and layer; and the curve of the
        training `loss`, by seed and `cells.POINTS` per epoch. The variance is taken over `USED` training images
        that follow the ones that a data-driven initialiser uses.
    """
    runs = draw_seeds(recipe, seeds, mnist)
    images = jnp.asarray(mnist.train_images[USED : 2 * USED])
    variances = [_pre_variances(one.params, images, recipe.activation) for one in runs]
    losses = [cells.means(epoch.losses) for epoch, _ in fit_many(recipe, runs, mnist)]
    return {"loss": plain(np.concatenate(losses, axis=1)), "pre_variance": plain(np.stack(variances))}


def symmetry(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train, and measure before training and after every epoch the gradients and how much a layer's units differ.

    Returns:
        `kernel_gradient` and `bias_gradient`, norms by seed, epoch and layer, the first before training.
        `unit_spread` by seed, epoch and hidden layer: the largest difference between two units' weights, relative to
        the largest weight. `cost` and `test_accuracy` by seed and epoch.
    """
    runs = draw_seeds(recipe, seeds, mnist)
    networks, epochs = [stacked([one.params for one in runs])], []
    for epoch, params in fit_many(recipe, runs, mnist):
        networks.append(params)
        epochs.append(epoch)
    gradients = [_gradient_norms(params, *_probe(mnist), recipe.activation) for params in networks]
    return {
        "kernel_gradient": plain(np.stack([norms["kernel"] for norms in gradients], axis=1)),
        "bias_gradient": plain(np.stack([norms["bias"] for norms in gradients], axis=1)),
        "unit_spread": plain(np.stack([_unit_spread(params) for params in networks], axis=1)),
        "cost": plain(np.stack([epoch.costs for epoch in epochs], axis=1)),
        "test_accuracy": plain(np.stack([epoch.test_accuracies for epoch in epochs], axis=1)),
    }


def saturation(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train one epoch and probe the activations before the first step and every `PROBE_INTERVAL` steps.

    Returns:
        `steps`, the step of every probe; and the `mean` activation by seed, probe and layer, the output layer last.
    """
    runs = [one._replace(orders=_split_orders(one.orders)) for one in draw_seeds(recipe, seeds, mnist)]
    count = len(mnist.train_images) // recipe.batch_size // PROBE_INTERVAL
    networks = [stacked([one.params for one in runs])]
    networks += [params for _, params in fit_many(recipe.with_changes(epochs=count), runs, mnist)]
    probes = [propagate(params, *_probe(mnist), recipe.activation).measured for params in networks]
    return {
        "steps": [PROBE_INTERVAL * number for number in range(count + 1)],
        "mean": plain(np.stack([probe.mean for probe in probes], axis=1)),
    }


def steps_to_loss(recipe: Recipe, seeds: Seeds, mnist: Mnist, loss: float = 0.6) -> dict[str, Any]:
    """Count the steps until a running mean of the training loss falls below `loss`.

    The learning rate is the best of `RATES`, as Saxe et al. choose one for every depth. Each rate is divided by the
    number of layers, because that many factors of the product change in one step.

    Returns:
        `steps` by seed, None if `MAX_STEPS` were not enough; the `learning_rate`; and `limit` and `loss`.
    """
    depth, steps = len(recipe.layers) - 1, {}
    for rate in RATES:
        one_epoch = recipe.with_changes(learning_rate=rate / depth, epochs=1)
        draws = draw_seeds(one_epoch, seeds, mnist)
        runs = [one._replace(orders=(order[:MAX_STEPS] for order in one.orders)) for one in draws]
        ((epoch, _),) = fit_many(one_epoch, runs, mnist)
        steps[rate] = [_first_step_below(loss, losses) for losses in epoch.losses]
    best = min(RATES, key=lambda rate: sum(MAX_STEPS if count is None else count for count in steps[rate]))
    return {"steps": steps[best], "learning_rate": best / depth, "limit": MAX_STEPS, "loss": loss}


def accuracies(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train, and return the `test_accuracy` by seed and epoch."""
    epochs = [epoch for epoch, _ in fit_many(recipe, draw_seeds(recipe, seeds, mnist), mnist)]
    return {"test_accuracy": plain(np.stack([epoch.test_accuracies for epoch in epochs], axis=1))}


def fine_tuned(recipe: Recipe, seeds: Seeds, mnist: Mnist) -> dict[str, Any]:
    """Train on a part of the labels, always for the number of steps in `FINE_TUNING_STEPS`.

    A data-driven initialiser uses all images. Which images are labelled depends on the seed only.

    Returns:
        The numbers of `labels`, the `steps` for each, and the `test_accuracy` by seed and number of labels.
    """
    runs = draw_seeds(recipe, seeds, mnist)
    shares = []
    for labels, steps in FINE_TUNING_STEPS.items():
        labelled_runs = [
            one._replace(orders=_labelled_order(seed, labels, steps, recipe.batch_size, mnist))
            for one, seed in zip(runs, seeds, strict=True)
        ]
        ((epoch, _),) = fit_many(recipe.with_changes(epochs=1), labelled_runs, mnist)
        shares.append(epoch.test_accuracies)
    return {
        "labels": list(FINE_TUNING_STEPS),
        "steps": list(FINE_TUNING_STEPS.values()),
        "test_accuracy": plain(np.stack(shares, axis=1)),
    }


def _labelled_order(seed: int, labels: int, steps: int, batch: int, mnist: Mnist) -> Orders:
    """Yield one order, (steps, batch), of several passes over the labelled images, each pass shuffled differently."""
    rng = np.random.default_rng(seed)
    labelled = rng.permutation(len(mnist.train_images))[:labels]
    passes = [rng.permutation(labelled) for _ in range(-(-steps * batch // labels))]
    yield np.concatenate(passes)[: steps * batch].astype(np.int32).reshape(steps, batch)


def _split_orders(orders: Orders) -> Iterator[Int32[np.ndarray, "steps batch"]]:
    """Yield pieces of `PROBE_INTERVAL` steps: each counts as an epoch, so that training stops there for a probe."""
    for order in orders:
        for start in range(0, len(order) - PROBE_INTERVAL + 1, PROBE_INTERVAL):
            yield order[start : start + PROBE_INTERVAL]


def _first_step_below(loss: float, losses: Float[np.ndarray, " steps"]) -> int | None:
    """Return the number of steps after which the mean of the last `SMOOTHING_STEPS` losses is below `loss`."""
    means = np.convolve(losses, np.ones(SMOOTHING_STEPS) / SMOOTHING_STEPS, "valid")
    below = np.flatnonzero(means < loss)
    return int(below[0]) + SMOOTHING_STEPS if len(below) else None


def _probe(mnist: Mnist) -> tuple[Images, Labels]:
    return jnp.asarray(mnist.test_images[:PROBE_IMAGES]), jnp.asarray(mnist.test_labels[:PROBE_IMAGES])


@partial(jax.jit, static_argnames="activation")
def _pre_variances(params: Params, images: Images, activation: str) -> Float[Array, " layers"]:
    inputs = scale(images, jax.tree.leaves(params)[0].dtype)
    return jnp.stack([z.var() for z in pre_activations(params, inputs, activation)])


@partial(jax.jit, static_argnames="activation")
def _gradient_norms(params: Params, images: Images, labels: Labels, activation: str) -> dict[str, Array]:
    """Return the gradient norms of the mean loss for `kernel` and `bias`, each (seeds, layers)."""
    gradient = jax.vmap(partial(jax.grad(mean_loss), activation=activation), in_axes=(0, None, None))
    layers = gradient(params, scale(images, jax.tree.leaves(params)[0].dtype), labels).values()
    return {
        name: jnp.stack([jnp.sqrt(jnp.sum(layer[name] ** 2, axis=range(1, layer[name].ndim))) for layer in layers], 1)
        for name in ("kernel", "bias")
    }


def _unit_spread(params: Params) -> Float[np.ndarray, "seeds hidden"]:
    """Return the largest difference between two units of a hidden layer, relative to the largest weight.

    It compares the units' incoming weights, biases and outgoing weights.
    """
    layers = [jax.tree.map(np.asarray, layer) for layer in linears(params)]
    spreads = []
    for into, out in pairwise(layers):
        # Units are the last axis of incoming weights and the first of outgoing ones.
        views = (into["kernel"], into["bias"][:, None], out["kernel"].swapaxes(1, 2))
        apart = [np.ptp(view, axis=2).max(axis=1) for view in views]
        largest = np.max([np.abs(view).max(axis=(1, 2)) for view in views], axis=0)
        spreads.append(np.max(apart, axis=0) / np.maximum(largest, np.finfo(largest.dtype).tiny))
    return np.stack(spreads, axis=1)
