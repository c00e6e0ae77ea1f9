"""Training as pure functions: one jitted `lax.scan` per epoch over uint8 images that stay on the device.

`fit` is a whole training run. The order of the batches is data, an int32 array (steps, batch), so another framework can
replay it. `trainer` wraps the same `run_epoch` for many runs, many devices and resumed runs.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int32, UInt8

from jax_impl.data import Mnist
from jax_impl.draws import Draws
from jax_impl.errors import DivergedError
from jax_impl.model import Params, accuracy, apply, init_params, scale
from jax_impl.recipes import Recipe

# Without it, XLA's CPU backend copies every kernel in every step of the scan.
CPU_OPTIONS: jax.stages.CompilerOptions = {"xla_cpu_copy_insertion_use_region_analysis": True}


class State(NamedTuple):
    """What a training step takes and returns."""

    params: Params
    opt_state: optax.OptState  # Adam's two moments and its step count; empty for SGD
    learning_rate: Array  # traced, so another learning rate needs no new compilation


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One line of `metrics.jsonl`, and one line of the output."""

    epoch: int  # from 1
    cost: float  # mean over the epoch's batches of the mean loss before each update, in nats
    test_accuracy: float  # after the epoch, on all 10,000 test images, from 0 to 1
    seconds: float  # of training, without compilation and testing

    def __str__(self) -> str:
        """Return the notebook's own line, followed by the test accuracy and the seconds."""
        return (
            f"Epoch: {self.epoch:04d} cost = {self.cost:.9f}  "
            f"test accuracy = {self.test_accuracy:.2%}  ({self.seconds:.2f} s)"
        )


def fit(recipe: Recipe, mnist: Mnist, draws: Draws) -> Iterator[tuple[EpochRecord, State]]:
    """Train epoch by epoch; yield each epoch's record and a copy of the state after it, as NumPy arrays.

    Raises:
        DivergedError: A loss or a parameter is not finite. What was yielded before stays valid.
    """
    images, labels, test_images, test_labels = map(jnp.asarray, mnist)
    state = start(draws.params, recipe.learning_rate, recipe.optimizer)
    for epoch, order in enumerate(islice(draws.orders, recipe.epochs), start=1):
        train_epoch = compiled_epoch(
            recipe.layers, recipe.dtype, recipe.activation, recipe.optimizer, images.shape, order.shape
        )
        started = time.perf_counter()
        state, losses = train_epoch(state, images, labels, jnp.asarray(order))
        losses = np.asarray(losses)  # waits for the device
        seconds = time.perf_counter() - started
        check_finite(epoch, losses, state.params, recipe.learning_rate)
        record = EpochRecord(
            epoch=epoch,
            cost=float(losses.mean(dtype=np.float64)),
            test_accuracy=accuracy(state.params, test_images, test_labels, recipe.activation),
            seconds=seconds,
        )
        yield record, jax.tree.map(np.array, state)  # a copy: the next epoch overwrites the state


def run_epoch(
    state: State,
    images: UInt8[Array, "n pixels"],
    labels: Int32[Array, " n"],
    order: Int32[Array, "steps batch"],
    *,
    activation: str = "relu",
    optimizer: str = "adam",
) -> tuple[State, Float[Array, " steps"]]:
    """Train on the batches listed in `order`, as one `lax.scan`.

    Pure: the caller applies jit and vmap. Row i of `order` indexes `images`, so a reference can replay it.
    Returns the new state and each batch's mean loss before its update, in nats.
    """
    dtype = jax.tree.leaves(state.params)[0].dtype

    def step(state: State, batch: Int32[Array, " batch"]) -> tuple[State, Float[Array, ""]]:
        inputs = scale(images[batch], dtype)  # (batch, pixels)
        loss, gradients = jax.value_and_grad(mean_loss)(state.params, inputs, labels[batch], activation)
        return update(state, gradients, optimizer), loss

    return jax.lax.scan(step, state, order)


def mean_loss(
    params: Params, images: Float[Array, "batch pixels"], labels: Int32[Array, " batch"], activation: str = "relu"
) -> Float[Array, ""]:
    """Return the mean cross-entropy of the logits and integer labels, in nats (`torch.nn.CrossEntropyLoss`)."""
    logits = apply(params, images, activation)
    losses: Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()


def start(params: Params, learning_rate: float, optimizer: str = "adam") -> State:
    """Return the state before the first step, with a copy of the parameters: training overwrites its state."""
    params = jax.tree.map(jnp.array, params)
    dtype = jax.tree.leaves(params)[0].dtype
    return State(params, _initial_moments(params, optimizer), jnp.asarray(learning_rate, dtype))


@partial(jax.jit, static_argnames="optimizer")  # one program in place of one for each shape
def _initial_moments(params: Params, optimizer: str) -> optax.OptState:
    return _rule(optimizer, 0.0).init(params)


def update(state: State, gradients: Params, optimizer: str = "adam") -> State:
    """Take one step of `torch.optim.Adam` or `torch.optim.SGD`."""
    updates, opt_state = _rule(optimizer, state.learning_rate).update(gradients, state.opt_state)
    return State(optax.apply_updates(state.params, updates), opt_state, state.learning_rate)


def _rule(optimizer: str, learning_rate: float | Array) -> optax.GradientTransformation:
    """Return the optimizer with torch's defaults: Adam with betas 0.9 and 0.999 and epsilon 1e-8, plain SGD."""
    return {"adam": optax.adam, "sgd": optax.sgd}[optimizer](learning_rate)


def check_finite(epoch: int, losses: Float[np.ndarray, " steps"], params: Params, learning_rate: float) -> None:
    """Raise a DivergedError that names the first bad step, unless all losses and parameters are finite.

    Each loss belongs to the parameters before its update, so only the parameters show what the last step did.
    """
    bad = np.flatnonzero(~np.isfinite(losses))
    if not len(bad) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
        return
    # If the last step broke the parameters, the next step would be the first to show it.
    cost, step = (losses[bad[0]], bad[0] + 1) if len(bad) else ("nan", len(losses) + 1)
    raise DivergedError(
        f"the cost became {cost} in epoch {epoch}, step {step}: the learning rate {learning_rate:g} or the initial "
        f"weights are probably too large; try --learning-rate {min(1e-3, learning_rate / 10):g}"
    )


@lru_cache(maxsize=16)
def compiled_epoch(
    layers: tuple[int, ...],
    dtype: str,
    activation: str,
    optimizer: str,
    images_shape: tuple[int, int],
    order_shape: tuple[int, int],
) -> jax.stages.Compiled:
    """Compile `run_epoch` for these shapes before its first call, so that an epoch's seconds are its own."""
    images, labels = jax.ShapeDtypeStruct(images_shape, jnp.uint8), jax.ShapeDtypeStruct(images_shape[:1], jnp.int32)
    order = jax.ShapeDtypeStruct(order_shape, jnp.int32)
    recipe = Recipe(name="shapes", layers=layers, dtype=dtype)  # the other settings change no shape
    state = jax.eval_shape(lambda: start(init_params(recipe, key=jax.random.key(0)), recipe.learning_rate, optimizer))
    return compile_for(partial(run_epoch, activation=activation, optimizer=optimizer), state, images, labels, order)


def compile_for(function: Callable[..., Any], *arguments: Any, **jit_options: Any) -> jax.stages.Compiled:
    """Compile a function for arguments of these shapes.

    Unless the options say otherwise, the first one is donated: the result reuses its memory.
    """
    lowered = jax.jit(function, **{"donate_argnums": 0} | jit_options).lower(*arguments)
    if jax.default_backend() != "cpu":
        return lowered.compile()
    try:
        return lowered.compile(CPU_OPTIONS)
    except jax.errors.JaxRuntimeError as error:  # other JAX versions may not have the option
        if "No such compile option" not in str(error):
            raise
        return lowered.compile()
