"""Training as pure functions: one jitted `lax.scan` per epoch over uint8 images that stay on the device.

The order of the batches is data, an int32 array (steps, batch), so that another framework can replay it.
"""

import time
from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int32, UInt8

from jax_impl.data import Mnist
from jax_impl.draws import Draws, Stream
from jax_impl.model import Params, apply, init_params
from jax_impl.pixels import scale
from jax_impl.recipes import Recipe
from jax_impl.trainer import compiling, devices, segments
from jax_impl.trainer.trajectory import EpochRecord, Progress, State, diverged


def losses(
    params: Params, images: Float[Array, "batch pixels"], labels: Int32[Array, " batch"], activation: str = "relu"
) -> Float[Array, " batch"]:
    """Return each image's cross-entropy in nats, from integer labels."""
    found: Array = optax.softmax_cross_entropy_with_integer_labels(apply(params, images, activation), labels)
    return found


def mean_loss(
    params: Params, images: Float[Array, "batch pixels"], labels: Int32[Array, " batch"], activation: str = "relu"
) -> Float[Array, ""]:
    """Return the mean cross-entropy in nats (`torch.nn.CrossEntropyLoss`)."""
    return losses(params, images, labels, activation).mean()


def rule(optimizer: str, learning_rate: float | Array) -> optax.GradientTransformation:
    """Return adam or sgd. Optax's defaults are torch's: betas 0.9 and 0.999 and epsilon 1e-8; no momentum in SGD."""
    return {"adam": optax.adam, "sgd": optax.sgd}[optimizer](learning_rate)


def start(params: Params, learning_rate: float, optimizer: str = "adam") -> State:
    """Return the state before the first step."""
    dtype = jax.tree.leaves(params)[0].dtype
    opt_state = rule(optimizer, learning_rate).init(params)
    return State(params, opt_state, jnp.asarray(learning_rate, dtype))


def update(state: State, gradients: Params, optimizer: str = "adam") -> State:
    """Take one step of `torch.optim.Adam` or `torch.optim.SGD`."""
    updates, opt_state = rule(optimizer, state.learning_rate).update(gradients, state.opt_state)
    return State(optax.apply_updates(state.params, updates), opt_state, state.learning_rate)


def run_epoch(
    state: State,
    images: UInt8[Array, "n pixels"],
    labels: Int32[Array, " n"],
    order: Int32[Array, "steps batch"],
    *,
    activation: str = "relu",
    optimizer: str = "adam",
    batch_size: int | None = None,
) -> tuple[State, Float[Array, " steps"]]:
    """Train on the batches listed in `order`, as one `lax.scan`.

    Pure: the caller applies jit and vmap. Row i of `order` indexes `images`, so that a reference can replay it. Given a
    `batch_size`, `order` holds this device's images of batches of that size, and the devices add up what they find.
    Returns the new state and each batch's mean loss before its update.
    """
    dtype = jax.tree.leaves(state.params)[0].dtype

    def loss_of(params: Params, batch: Int32[Array, " batch"]) -> Float[Array, ""]:
        inputs = scale(images[batch], dtype)  # (batch, pixels)
        if batch_size is None:
            return mean_loss(params, inputs, labels[batch], activation)
        found = losses(params, inputs, labels[batch], activation)
        here = jnp.where(batch == devices.PADDING, 0, found).sum() / batch_size
        whole: Array = jax.lax.psum(here, devices.DATA)
        return whole

    def step(state: State, batch: Int32[Array, " batch"]) -> tuple[State, Float[Array, ""]]:
        loss, gradients = jax.value_and_grad(loss_of)(state.params, batch)
        return update(state, gradients, optimizer), loss

    return jax.lax.scan(step, state, order)


@partial(jax.jit, static_argnames="activation")
def count_correct(
    params: Params, images: UInt8[Array, "n pixels"], labels: Int32[Array, " n"], activation: str = "relu"
) -> Int32[Array, ""]:
    """Return how many images get their largest logit at their label."""
    logits = apply(params, scale(images, jax.tree.leaves(params)[0].dtype), activation)
    return jnp.sum(jnp.argmax(logits, axis=1) == labels, dtype=jnp.int32)


def accuracy(
    params: Params, images: UInt8[Array, "n pixels"], labels: Int32[Array, " n"], activation: str = "relu"
) -> float:
    """Return the share of correctly classified images: the correct ones summed, divided once."""
    return int(count_correct(params, images, labels, activation)) / len(labels)


def fit(recipe: Recipe, mnist: Mnist, draws: Draws, mesh: Mesh | None = None) -> Iterator[tuple[EpochRecord, Params]]:
    """Train epoch by epoch; each yields its record and the parameters after it, as NumPy arrays of the caller's own.

    On a mesh the devices share each batch: the same sums, taken in another order.

    Raises:
        DivergedError: The cost of an epoch is not finite; what was yielded before stays good.
    """
    for progress in advance(recipe, mnist, draws, mesh):
        yield progress.records[-1], progress.state.params


def advance(
    recipe: Recipe,
    mnist: Mnist,
    draws: Draws,
    mesh: Mesh | None = None,
    *,
    since: Progress | None = None,
    every: int | None = None,
) -> Iterator[Progress]:
    """Train as `fit` does, from where another training stopped; yield how far it came, which `since` takes.

    Args:
        recipe: What is trained.
        mnist: The data.
        draws: The initial parameters, and the orders, which with `since` go on from where it says.
        mesh: Whose devices share each batch.
        since: Where to go on; None for the beginning.
        every: How many steps lie between two yields, as `cuts` says; None for a whole epoch.

    Raises:
        DivergedError: As `fit`.
    """
    images, labels = devices.everywhere((mnist.train_images, mnist.train_labels), mesh)
    test_images, test_labels = devices.everywhere((mnist.test_images, mnist.test_labels), mesh)
    if since is None:
        since = begin(recipe, draws)
    elif isinstance(draws.orders, Stream):
        draws.orders.go_to(since.stream)
    records, losses, seconds = since.records, since.losses, since.seconds
    state = devices.everywhere(jax.tree.map(jnp.array, since.state), mesh)  # a copy: it is donated
    stream = since.stream
    for order in islice(draws.orders, recipe.epochs - len(records)):
        epoch = len(records) + 1
        while len(losses) < len(order):
            now = order[len(losses) : segments.end(len(losses), len(order), every)]
            train_steps = compiled_epoch(
                recipe.layers, recipe.dtype, images.shape, now.shape, recipe.activation, recipe.optimizer, mesh
            )
            batches = devices.by_batch(now, mesh)
            started = time.perf_counter()
            state, found = train_steps(state, images, labels, batches)
            losses = np.concatenate([losses, np.asarray(found)])  # waits for the device
            seconds += time.perf_counter() - started
            reached = jax.tree.map(np.array, state)
            # A loss is taken before its update: only the parameters show what the last step did.
            if not all(np.isfinite(values).all() for values in (losses, *jax.tree.leaves(reached.params))):
                raise diverged(epoch, losses, recipe.learning_rate)
            if len(losses) < len(order):
                yield Progress(state=reached, stream=stream, records=records, losses=losses, seconds=seconds)
        record = EpochRecord(
            epoch=epoch,
            cost=float(losses.mean(dtype=np.float64)),
            test_accuracy=accuracy(state.params, test_images, test_labels, recipe.activation),
            seconds=seconds,
        )
        records, losses, seconds, stream = (*records, record), losses[:0], 0.0, _where(draws)
        yield Progress(state=reached, stream=stream, records=records, losses=losses, seconds=seconds)


def begin(recipe: Recipe, draws: Draws) -> Progress:
    """Return where a training begins."""
    state = start(draws.params, recipe.learning_rate, recipe.optimizer)
    return Progress(
        state=jax.tree.map(np.array, state),
        stream=_where(draws),
        records=(),
        losses=np.zeros(0, recipe.dtype),
        seconds=0.0,
    )


def _where(draws: Draws) -> dict[str, np.ndarray]:
    """Return where the orders are, if they can tell."""
    return draws.orders.state() if isinstance(draws.orders, Stream) else {}


@lru_cache(maxsize=16)
def compiled_epoch(
    layers: tuple[int, ...],
    dtype: str,
    images_shape: tuple[int, int],
    order_shape: tuple[int, ...],
    activation: str = "relu",
    optimizer: str = "adam",
    mesh: Mesh | None = None,
) -> jax.stages.Compiled:
    """Compile `run_epoch` for these shapes, apart from its first run, so that the seconds of an epoch are its own.

    An order of (runs, steps, batch) makes it the epoch of so many runs, whose states have that axis first; a mesh
    shares the runs out, and otherwise the images of each batch.
    """
    recipe = Recipe(name="shapes", layers=layers, dtype=dtype)
    state = jax.eval_shape(lambda: start(init_params(recipe, key=jax.random.key(0)), recipe.learning_rate, optimizer))
    epoch: Any = partial(run_epoch, activation=activation, optimizer=optimizer)
    everywhere, by_run = PartitionSpec(), PartitionSpec(devices.RUNS)
    if len(order_shape) == 3:
        state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((order_shape[0], *leaf.shape), leaf.dtype), state)
        split, by_batch = by_run, by_run
        epoch = devices.over_runs(epoch, n_shared=2)
    else:
        split, by_batch = everywhere, PartitionSpec(None, devices.DATA)
        if mesh:
            epoch = partial(epoch, batch_size=order_shape[1])
            order_shape = (order_shape[0], devices.shared_out(order_shape[1], mesh))
    epoch = devices.sharded(epoch, mesh, (split, everywhere, everywhere, by_batch), (split, split))
    shapes = (
        (state, split),
        (jax.ShapeDtypeStruct(images_shape, jnp.uint8), everywhere),
        (jax.ShapeDtypeStruct(images_shape[:1], jnp.int32), everywhere),
        (jax.ShapeDtypeStruct(order_shape, jnp.int32), by_batch),
    )
    return compiling.compiled(epoch, *(devices.shaped(tree, mesh, spec) for tree, spec in shapes))
