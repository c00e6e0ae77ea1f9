"""The port as the ladder sees it: NumPy in and out, parameters under torch's names. Every number is the port's own."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl import data, draws, initializers, interop, model, recipes, train
from jax_impl.starts.replayed import replayed

Tensors = dict[str, np.ndarray]


def x64(dtype: object) -> AbstractContextManager[object]:
    """Let JAX compute in float64 if `dtype` is float64, and only there."""
    return jax.enable_x64(np.dtype(dtype) == np.float64)


def dtype_of(tensors: Tensors) -> np.dtype:
    return tensors["linear1.weight"].dtype


def layers_of(tensors: Tensors) -> tuple[int, ...]:
    weights = [tensors[f"linear{number}.weight"] for number in range(1, len(tensors) // 2 + 1)]
    return (weights[0].shape[1], *(weight.shape[0] for weight in weights))


def params_of(tensors: Tensors) -> model.Params:
    return jax.tree.map(jnp.asarray, interop.from_torch(tensors, layers_of(tensors)))


@cache
def jitted(function: Callable[..., Any], *static: int) -> Callable[..., Any]:
    """Compile a function. `forget` clears the compiled ones: they would hide a fault that was planted since."""
    return jax.jit(lambda *arguments: function(*arguments), static_argnums=static)


def load() -> data.Mnist:
    return _loaded(data.load)


@lru_cache(maxsize=2)
def _loaded(load: Callable[[], data.Mnist]) -> data.Mnist:
    """Load once with each version of `data.load`."""
    return load()


def forget() -> None:
    """Drop everything that was computed by code that may change."""
    jitted.cache_clear()
    _loaded.cache_clear()


def load_part(n_train: int, n_test: int) -> data.Mnist:
    """Return the first training and test images."""
    train_images, train_labels, test_images, test_labels = load()
    return data.Mnist(train_images[:n_train], train_labels[:n_train], test_images[:n_test], test_labels[:n_test])


def scale(images: np.ndarray, dtype: str) -> np.ndarray:
    with x64(dtype):
        return np.asarray(jitted(train.scale, 1)(jnp.asarray(images), dtype))


def initial(recipe: str, **changes: object) -> Tensors:
    """Return the seeded initial parameters."""
    return interop.to_torch(replayed(recipes.named(recipe).with_changes(**changes), 60_000).params)


def orders(recipe: str, n_images: int, epochs: int, **changes: object) -> np.ndarray:
    """Return the batches of the first epochs, (epochs, steps, batch)."""
    drawn = replayed(recipes.named(recipe).with_changes(**changes), n_images)
    return np.stack(list(islice(drawn.orders, epochs)))


def own_orders(recipe: str, n_images: int, epochs: int, **changes: object) -> np.ndarray:
    """Return the same from JAX's own generator."""
    drawn = draws.native(recipes.named(recipe).with_changes(**changes), n_images)
    return np.stack(list(islice(drawn.orders, epochs)))


def own_initial(recipe: str, **changes: object) -> Tensors:
    """Return initial parameters from JAX's own generator."""
    return interop.to_torch(draws.native(recipes.named(recipe).with_changes(**changes), 60_000).params)


def sample(init: str, seed: int, fan_in: int, fan_out: int) -> np.ndarray:
    """Return a kernel from JAX's own generator, in torch's layout."""
    kernel = initializers.KERNELS[init]()(jax.random.key(seed), (fan_in, fan_out), jnp.float32)
    return np.asarray(kernel).T


def sample_bias(seed: int, fan_in: int, fan_out: int) -> np.ndarray:
    init = initializers.BIASES["linear_default"](fan_in)
    return np.asarray(init(jax.random.key(seed), (fan_out,), jnp.float32))


def write(path: Path, tensors: Tensors) -> None:
    interop.save(path, interop.from_torch(tensors, layers_of(tensors)))


def read(path: Path, layers: tuple[int, ...]) -> Tensors:
    return interop.to_torch(interop.load(path, layers))


def layers(tensors: Tensors, inputs: np.ndarray) -> list[np.ndarray]:
    """Return the pre-activations of every layer; the last are the logits."""
    with x64(dtype_of(tensors)):
        return [np.asarray(z) for z in jitted(model.pre_activations)(params_of(tensors), jnp.asarray(inputs))]


def loss(tensors: Tensors, inputs: np.ndarray, labels: np.ndarray) -> float:
    with x64(dtype_of(tensors)):
        return float(jitted(train.mean_loss)(params_of(tensors), jnp.asarray(inputs), jnp.asarray(labels)))


def accuracy(tensors: Tensors, images: np.ndarray, labels: np.ndarray) -> float:
    with x64(dtype_of(tensors)):
        return model.accuracy(params_of(tensors), jnp.asarray(images), jnp.asarray(labels))


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What a training loop has reached after an epoch, under torch's names."""

    number: int  # from 1
    cost: float
    accuracy: float
    params: Tensors
    first_moment: Tensors  # of Adam
    second_moment: Tensors
    steps: int  # that Adam has counted
    learning_rate: np.ndarray
    losses: tuple[float, ...] = ()  # of each step before its update, if the loop tells them


def epochs(
    recipe: str, mnist: data.Mnist, tensors: Tensors, orders: Iterable[np.ndarray], *, epochs: int
) -> tuple[list[Epoch], list[Epoch]]:
    """Run `fit`, the loop of `train`, from these weights on these batches.

    Returns each epoch as it was when `fit` yielded it, and as it is when `fit` has ended.
    """
    dtype = dtype_of(tensors)
    settings = recipes.named(recipe).with_changes(dtype=dtype.name, epochs=epochs)
    with x64(dtype):
        yielded, at_once = [], []
        for record, state in train.fit(settings, mnist, draws.Draws(params_of(tensors), iter(orders))):
            at_once.append(_epoch(record, state))
            yielded.append((record, state))
        return at_once, [_epoch(*one) for one in yielded]


def _epoch(record: train.EpochRecord, state: train.State) -> Epoch:
    moments = state.opt_state[0]
    trees = {"params": state.params, "first_moment": moments.mu, "second_moment": moments.nu}
    tensors = {name: {key: tensor.copy() for key, tensor in interop.to_torch(t).items()} for name, t in trees.items()}
    return Epoch(
        number=record.epoch,
        cost=record.cost,
        accuracy=record.test_accuracy,
        steps=int(moments.count),
        learning_rate=np.array(state.learning_rate),
        **tensors,
    )


def losses(recipe: str, mnist: data.Mnist, tensors: Tensors, batches: np.ndarray) -> np.ndarray:
    """Return the loss of every step before its update, by `fit`: an epoch of one batch has that batch's loss as cost.

    Each of these epochs is tested, so there are only a few test images.
    """
    dtype = dtype_of(tensors)
    settings = recipes.named(recipe).with_changes(dtype=dtype.name, epochs=len(batches))
    mnist = mnist._replace(test_images=mnist.test_images[:100], test_labels=mnist.test_labels[:100])
    with x64(dtype):
        drawn = draws.Draws(params_of(tensors), iter(batches[:, None]))
        return np.array([record.cost for record, _ in train.fit(settings, mnist, drawn)])


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run: by epoch its cost and accuracy, and the parameters at its end."""

    cost: list[float]
    accuracy: list[float]
    tensors: Tensors


def fit(recipe: str, mnist: data.Mnist, **changes: object) -> Run:
    """Train as `python -m jax_impl train --stream jax` does."""
    settings = recipes.named(recipe).with_changes(**changes)
    drawn = draws.native(settings, len(mnist.train_images))
    records, states = zip(*train.fit(settings, mnist, drawn), strict=True)
    costs, accuracies = ([getattr(record, name) for record in records] for name in ("cost", "test_accuracy"))
    return Run(cost=costs, accuracy=accuracies, tensors=interop.to_torch(states[-1].params))
