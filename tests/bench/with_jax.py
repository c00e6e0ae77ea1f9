"""The contenders that train in JAX and Flax."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jax_impl import draws, train
from jax_impl.data import Mnist
from jax_impl.model import init_params
from jax_impl.recipes import Recipe
from tests.bench.contenders import Epoch, pixels, shuffled, timed

ENDLESS = 10**9  # epochs


def scan(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Train as `python -m jax_impl train` does."""
    endless = recipe.with_changes(epochs=ENDLESS)
    for record, _ in train.fit(endless, mnist, draws.native(endless, len(mnist.train_images))):
        yield Epoch(record.seconds, record.cost)


def steps(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Make the same step, jitted by itself and called from a Python loop."""

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(
        state: train.State, total: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[train.State, jax.Array]:
        loss, gradients = jax.value_and_grad(train.mean_loss)(state.params, images, labels, recipe.activation)
        return train.update(state, gradients, recipe.optimizer), total + loss

    inputs, labels, rng = pixels(mnist), mnist.train_labels, np.random.default_rng(recipe.seed)
    state = train.start(init_params(recipe, key=jax.random.key(recipe.seed)), recipe.learning_rate, recipe.optimizer)

    def epoch() -> float:
        nonlocal state
        total = jnp.float32(0)  # summed in the step: six hundred numbers to fetch one by one would cost
        for batch in shuffled(inputs, labels, recipe.batch_size, rng):
            state, total = step(state, total, *batch)
        return float(total) / (len(labels) // recipe.batch_size)

    return timed(epoch)


def perceptron(layers: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Sequential:
    """Return the network as Flax's documentation writes one."""
    modules = []
    for fan_in, fan_out in pairwise(layers):
        # float32 is multiplied in float32 on every device, as all contenders do.
        linear = partial(nnx.Linear, kernel_init=nnx.initializers.xavier_uniform(), precision="highest")
        modules += [linear(fan_in, fan_out, rngs=rngs), nnx.relu]
    return nnx.Sequential(*modules[:-1])


def nnx_steps(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Train a module with its optimizer, both objects that `nnx.jit` takes apart and puts together at every step."""
    model = perceptron(recipe.layers, nnx.Rngs(recipe.seed))
    optimizer = nnx.Optimizer(model, optax.adam(recipe.learning_rate), wrt=nnx.Param)

    @nnx.jit
    def step(
        model: nnx.Module, optimizer: nnx.Optimizer, total: jax.Array, images: jax.Array, labels: jax.Array
    ) -> jax.Array:
        def mean_loss(model: nnx.Module) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()

        loss, gradients = nnx.value_and_grad(mean_loss)(model)
        optimizer.update(model, gradients)
        return total + loss

    inputs, labels, rng = pixels(mnist), mnist.train_labels, np.random.default_rng(recipe.seed)

    def epoch() -> float:
        total = jnp.float32(0)
        for batch in shuffled(inputs, labels, recipe.batch_size, rng):
            total = step(model, optimizer, total, *batch)
        return float(total) / (len(labels) // recipe.batch_size)

    return timed(epoch)
