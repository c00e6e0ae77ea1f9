"""Epochs that compute the same in another form: trials of docs/performance.md that no option of XLA gives.

Each form is a loss of a batch, with the parameters that it needs. A loop like that of `train.run_epoch` trains it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jax_impl import draws, train
from jax_impl.activations import ACTIVATIONS
from jax_impl.data import Mnist
from jax_impl.model import PRECISION, Params, from_linears, init_params, linears, scale
from jax_impl.recipes import Recipe
from tests.bench.contenders import Epoch, timed

Loss = Callable[[Params, jax.Array, jax.Array, str], jax.Array]
ENDLESS = 10**9  # epochs


@dataclass(frozen=True, kw_only=True)
class Form:
    """How parameters are stored, how a batch's loss is computed from them, and when the next batch is gathered."""

    stored: Callable[[Params], Params] = lambda params: params
    loss: Loss = train.mean_loss
    ahead: bool = False  # whether a step gathers the batch of the next one, which nothing in the step waits for
    unroll: int = 1  # steps in an iteration of the compiled loop


def transposed(params: Params) -> Params:
    """Store every kernel as torch does, (fan_out, fan_in): then the backward product needs no transpose."""
    return jax.tree.map(lambda leaf: leaf.T, params)


def loss_of_transposed(params: Params, images: jax.Array, labels: jax.Array, activation: str) -> jax.Array:
    """Return the mean loss with kernels of shape (fan_out, fan_in)."""

    def layer(inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        return jax.lax.dot_general(inputs, kernel, (((1,), (1,)), ((), ())), precision=PRECISION) + bias[None]

    return _mean_loss(layer, params, images, labels, activation)


def with_bias_row(params: Params) -> Params:
    """Store every bias as the last row of its kernel."""
    return from_linears({"kernel": jnp.concatenate([one["kernel"], one["bias"][None]])} for one in linears(params))


def loss_with_bias_row(params: Params, images: jax.Array, labels: jax.Array, activation: str) -> jax.Array:
    """Return the mean loss with biases in the kernels: every layer gets a column of ones."""

    def layer(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        with_ones = jnp.concatenate([inputs, jnp.ones((len(inputs), 1), inputs.dtype)], axis=1)
        return jnp.matmul(with_ones, kernel, precision=PRECISION)

    return _mean_loss(layer, params, images, labels, activation)


def _mean_loss(
    layer: Callable[..., jax.Array], params: Params, images: jax.Array, labels: jax.Array, activation: str
) -> jax.Array:
    first, *others = linears(params)
    outputs = layer(images, **first)
    for one in others:
        outputs = layer(ACTIVATIONS[activation](outputs), **one)
    return optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean()


FORMS = {
    "unrolled": Form(unroll=4),
    "transposed": Form(stored=transposed, loss=loss_of_transposed),
    "bias-row": Form(stored=with_bias_row, loss=loss_with_bias_row),
    "ahead": Form(ahead=True),
}


def run_epoch(form: Form, recipe: Recipe, state: Any, images: jax.Array, labels: jax.Array, order: jax.Array) -> Any:
    """Train on the batches of `order`, as `train.run_epoch` does."""

    def gathered(batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        return scale(images[batch], recipe.dtype), labels[batch]

    def trained(state: train.State, inputs: jax.Array, targets: jax.Array) -> tuple[train.State, jax.Array]:
        loss, gradients = jax.value_and_grad(form.loss)(state.params, inputs, targets, recipe.activation)
        return train.update(state, gradients, recipe.optimizer), loss

    def step(state: train.State, batch: jax.Array) -> tuple[train.State, jax.Array]:
        return trained(state, *gathered(batch))

    def step_with_given(carry: Any, following: jax.Array) -> Any:
        state, given = carry
        after, loss = trained(state, *given)
        return (after, gathered(following)), loss

    if not form.ahead:
        return jax.lax.scan(step, state, order, unroll=form.unroll)
    (state, _), losses = jax.lax.scan(step_with_given, (state, gathered(order[0])), jnp.roll(order, -1, axis=0))
    return state, losses


def epochs(name: str, recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Train in one jitted scan an epoch, for ever."""
    form = FORMS[name]
    images, labels = jnp.asarray(mnist.train_images), jnp.asarray(mnist.train_labels)
    drawn = draws.native(recipe.with_changes(epochs=ENDLESS), len(images))
    state = train.start(form.stored(init_params(recipe, key=jax.random.key(0))), recipe.learning_rate, recipe.optimizer)
    order = jnp.asarray(next(drawn.orders))
    run = train.compile_for(
        lambda state, images, labels, order: run_epoch(form, recipe, state, images, labels, order),
        *(jax.eval_shape(lambda *arrays: arrays, state, images, labels, order)),
    )

    def epoch() -> float:
        nonlocal state
        state, losses = run(state, images, labels, order)
        return float(losses.mean())

    return timed(epoch)
