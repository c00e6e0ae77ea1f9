"""Training of a restricted Boltzmann machine: contrastive divergence, one jitted `lax.scan` per epoch."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key, PRNGKeyArray

from jax_impl.draws import check_batch_size, full_batches
from jax_impl.errors import ArgumentError, DivergedError
from jax_impl.rbm import likelihood
from jax_impl.rbm.machine import Hidden, Rbm, Uniforms, Visible, divergence_step, hidden_given_visible, init, uniforms
from jax_impl.rbm.settings import Settings
from jax_impl.trainer.progress import Progress
from jax_impl.trainer.segments import segments

LIMIT = 1e4  # of a parameter; a sigmoid of 104 is already 1 in float32, so the machine no longer learns
DRAWN_TOGETHER = 1_300_000  # random numbers, ten steps of the default machine; drawing more is not faster
MONITORED = 10_000  # training images, from the first one, that the free-energy gap uses

Images = Float[Array, "n visible"]  # to train on
HeldOut = Float[Array, "m visible"]


class State(NamedTuple):
    """Everything that a training step changes."""

    rbm: Rbm
    velocity: Rbm
    chains: Float[Array, "batch hidden"]  # the persistent chains' hidden probabilities
    activity: Float[Array, " hidden"]  # decaying mean of each hidden unit's probability


@dataclass(frozen=True, kw_only=True)
class RbmRecord:
    """One line of `metrics.jsonl`: monitors of the machine after an epoch."""

    layer: int  # of a stack, from 1
    epoch: int  # from 1
    pseudo_log_likelihood: float  # of held-out images with rounded pixels, nats per image
    reconstruction_error: float  # cross-entropy of held-out images, nats per image; not the training objective
    free_energy_gap: float  # held-out minus training images, nats; it grows if the machine overfits
    hidden_activity: float  # mean probability of a hidden unit on held-out images
    seconds: float  # of training, without compilation and monitoring

    def __str__(self) -> str:
        """Return the line that a run prints."""
        return (
            f"RBM {self.layer}, epoch {self.epoch:3d}: pseudo-log-likelihood = {self.pseudo_log_likelihood:.2f}  "
            f"reconstruction error = {self.reconstruction_error:.2f}  "
            f"free-energy gap = {self.free_energy_gap:+.2f}  ({self.seconds:.2f} s)"
        )


def start(settings: Settings, images: Images, key: PRNGKeyArray) -> State:
    """Return the state before the first step. Persistent chains start at the first batch of images."""
    rbm = init(key, images.mean(axis=0), settings.hidden, settings.dtype)
    h = hidden_given_visible(rbm, images[: settings.batch_size])
    return State(rbm, jax.tree.map(jnp.zeros_like, rbm), h, h.mean(axis=0))


def update(
    state: State, data: Visible, drawn: Uniforms, settings: Settings, learning_rate: Float[Array, ""] | float
) -> State:
    """Take one step of CD-k or persistent CD, with momentum, weight decay and, if its cost is not 0, sparsity."""
    chains: Hidden | None = state.chains if settings.persistent else None
    of_data, of_model, ends = divergence_step(state.rbm, data, drawn, chains)
    direction = jax.tree.map(jnp.subtract, of_data, of_model)
    direction = direction._replace(weight=direction.weight - settings.weight_decay * state.rbm.weight)
    activity = 0.9 * state.activity + 0.1 * of_data.hidden_bias  # section 11.1
    if settings.sparsity_cost:
        # The gradient of the cross-entropy between target and activity with respect to a unit's input.
        penalty = settings.sparsity_cost * (activity - settings.sparsity_target)
        direction = direction._replace(
            weight=direction.weight - of_data.visible_bias[:, None] * penalty[None],
            hidden_bias=direction.hidden_bias - penalty,
        )
    velocity = jax.tree.map(lambda v, d: settings.momentum * v + learning_rate * d, state.velocity, direction)
    return State(jax.tree.map(jnp.add, state.rbm, velocity), velocity, ends, activity)


def run_epoch(
    state: State,
    images: Images,
    order: Int32[Array, "steps batch"],
    keys: Key[Array, " steps"],
    learning_rate: Float[Array, ""],
    settings: Settings,
) -> State:
    """Train on the batches of images in [0, 1] that `order` lists, as one program. Pure: the caller applies jit.

    Step i draws from keys[i].
    """
    # Each step depends on its own key only, so several steps' random numbers can be drawn together.
    numbers = settings.k * order.shape[1] * sum(state.rbm.weight.shape)
    together = max(1, min(DRAWN_TOGETHER // numbers, len(order)))

    def step(state: State, inputs: tuple[Int32[Array, " batch"], Uniforms]) -> tuple[State, None]:
        batch, drawn = inputs
        return update(state, images[batch], drawn, settings, learning_rate), None

    def steps(state: State, inputs: tuple[Int32[Array, "steps batch"], Key[Array, " steps"]]) -> tuple[State, None]:
        batches, keys = inputs
        drawn = jax.vmap(lambda key: uniforms(key, settings.k, batches.shape[1], state.rbm))(keys)
        return jax.lax.scan(step, state, (batches, drawn))

    whole = len(order) // together * together
    blocks = jax.tree.map(lambda part: part[:whole].reshape(-1, together, *part.shape[1:]), (order, keys))
    state = jax.lax.scan(steps, state, blocks)[0]
    return steps(state, (order[whole:], keys[whole:]))[0] if whole < len(order) else state


@lru_cache(maxsize=16)
def compiled_epoch(settings: Settings, n_images: int, n_visible: int, steps: int) -> jax.stages.Compiled:
    """Compile `run_epoch` for this number of images and steps before its first call."""
    images = jax.ShapeDtypeStruct((n_images, n_visible), settings.dtype)
    state = jax.eval_shape(lambda images: start(settings, images, jax.random.key(0)), images)
    order = jax.ShapeDtypeStruct((steps, settings.batch_size), jnp.int32)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), steps))
    rate = jax.ShapeDtypeStruct((), settings.dtype)
    epoch = jax.jit(partial(run_epoch, settings=settings), donate_argnums=0)
    return epoch.lower(state, images, order, keys, rate).compile()


def fit(
    settings: Settings, images: Images, held_out: HeldOut, layer: int = 1
) -> Iterator[tuple[RbmRecord | None, Rbm]]:
    """Train epoch by epoch; yield the initial machine without a record, then each epoch's record and machine.

    Pixels lie in [0, 1]; values between 0 and 1 are probabilities (Hinton 2010, section 3.2). The held-out images serve
    for monitoring only. `layer`, the machine's place in its stack from 1, changes the random draws.

    Raises:
        ArgumentError: A pixel is outside [0, 1], or there are fewer images than in a batch.
        DivergedError: A parameter is not a number, or beyond `LIMIT`.
    """
    for progress in advance(settings, images, held_out, layer):
        yield (progress.records[-1] if progress.records else None), progress.state.rbm


def advance(
    settings: Settings,
    images: Images,
    held_out: HeldOut,
    layer: int = 1,
    since: Progress | None = None,
    every: int | None = None,
) -> Iterator[Progress]:
    """Train as `fit` does, from `since`; yield the progress after each segment of `every` steps and each epoch.

    The initial progress is yielded first, unless `since` is given. An epoch's draws depend on seed, layer and epoch
    only. Within an epoch a machine beyond `LIMIT` is not yielded: it may still recover.
    """
    _check(images, held_out, settings.batch_size)
    init_key, epochs_key = jax.random.split(jax.random.fold_in(jax.random.key(settings.seed), layer - 1))
    if since is None:
        since = Progress(state=jax.tree.map(np.array, start(settings, images, init_key)))
        yield since
    progress, state = since, jax.tree.map(jnp.array, since.state)
    n_steps = len(images) // settings.batch_size
    # The program does not depend on these three settings: it gets the learning rate and the draws as arguments.
    of_program = replace(settings, epochs=0, learning_rate=1.0, seed=0)
    for epoch in range(len(progress.records) + 1, settings.epochs + 1):
        order, keys, monitor_key = _epoch_draws(jax.random.fold_in(epochs_key, epoch), len(images), settings.batch_size)
        rate = jnp.asarray(settings.learning_rate * (1 - (epoch - 1) / settings.epochs), settings.dtype)
        seconds = progress.seconds
        for first, end in segments(progress.steps, n_steps, every):
            train_steps = compiled_epoch(of_program, *images.shape, end - first)
            started = time.perf_counter()
            state = jax.block_until_ready(train_steps(state, images, order[first:end], keys[first:end], rate))
            seconds += time.perf_counter() - started
            copied = jax.tree.map(np.array, state)  # the next segment overwrites the state
            largest = max(float(np.abs(array).max()) for array in copied.rbm)
            if end < n_steps and largest < LIMIT:
                yield Progress(state=copied, records=progress.records, steps=end, seconds=seconds)
        if not largest < LIMIT:  # also true for NaN
            raise DivergedError(
                f"RBM {layer} diverged in epoch {epoch}, its largest parameter is {largest:.3g}: the learning rate "
                f"{settings.learning_rate:g} is probably too large; try --learning-rate {Settings.learning_rate:g}"
            )
        monitors = jax.tree.map(float, _monitors(state.rbm, images[:MONITORED], held_out, monitor_key))
        record = RbmRecord(layer=layer, epoch=epoch, seconds=seconds, **monitors)
        progress = Progress(state=copied, records=(*progress.records, record))
        yield progress


def _check(images: Images, held_out: HeldOut, batch_size: int) -> None:
    """Raise an ArgumentError if a pixel is outside [0, 1], or if there are fewer images than in a batch."""
    for pixels in (images, held_out):
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0 and high <= 1):  # false for NaN
            raise ArgumentError(f"pixels must lie in [0, 1], got {low:g} to {high:g}: divide bytes by 255")
    check_batch_size(batch_size, len(images))


@partial(jax.jit, static_argnums=(1, 2))
def _epoch_draws(
    key: PRNGKeyArray, n: int, batch_size: int
) -> tuple[Int32[Array, "steps batch"], Key[Array, " steps"], PRNGKeyArray]:
    """Return an epoch's batches, the key of each step, and the key of the monitors."""
    order_key, chains_key, monitor_key = jax.random.split(key, 3)
    order = full_batches(jax.random.permutation(order_key, n), batch_size)
    return order, jax.random.split(chains_key, len(order)), monitor_key


@jax.jit
def _monitors(rbm: Rbm, images: Array, held_out: Array, key: PRNGKeyArray) -> dict[str, Float[Array, ""]]:
    return {
        "pseudo_log_likelihood": likelihood.pseudo_log_likelihood(rbm, jnp.round(held_out), key),
        "reconstruction_error": likelihood.reconstruction_error(rbm, held_out),
        "free_energy_gap": likelihood.free_energy_gap(rbm, images, held_out),
        "hidden_activity": hidden_given_visible(rbm, held_out).mean(),
    }
