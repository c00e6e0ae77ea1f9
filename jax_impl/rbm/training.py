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

from jax_impl.errors import ArgumentError, DivergedError
from jax_impl.rbm import likelihood
from jax_impl.rbm.machine import Hidden, Rbm, Uniforms, Visible, divergence_step, hidden_given_visible, init, uniforms
from jax_impl.rbm.settings import Settings
from jax_impl.trainer import segments

LIMIT = 1e4  # of a parameter: from an input of 104 on a sigmoid is 1 in float32, and learning is over
DRAWN_TOGETHER = (
    1_300_000  # random numbers: of ten steps of the default machine; more at a time come faster, up to here
)
MONITORED = 10_000  # images, the first, on which the training set is monitored


class State(NamedTuple):
    """All that a training step changes."""

    rbm: Rbm
    velocity: Rbm
    chains: Float[Array, "batch hidden"]  # probabilities of the hidden units, where persistent chains stand
    activity: Float[Array, " hidden"]  # decaying mean of each hidden unit's probability


@dataclass(frozen=True, kw_only=True)
class RbmRecord:
    """One line of `metrics.jsonl`: how good the machine is after an epoch."""

    layer: int  # of a stack, from 1
    epoch: int  # from 1
    pseudo_log_likelihood: float  # of held-out images whose pixels are rounded, nats an image
    reconstruction_error: float  # cross-entropy of held-out images, nats an image; not what is trained
    free_energy_gap: float  # held-out minus training images, nats; it grows where the machine overfits
    hidden_activity: float  # mean probability of a hidden unit on held-out images
    seconds: float  # of training; compiling and monitoring apart

    def __str__(self) -> str:
        """Return the line that a run prints."""
        return (
            f"RBM {self.layer}, epoch {self.epoch:3d}: pseudo-log-likelihood = {self.pseudo_log_likelihood:.2f}  "
            f"reconstruction error = {self.reconstruction_error:.2f}  "
            f"free-energy gap = {self.free_energy_gap:+.2f}  ({self.seconds:.2f} s)"
        )


class Reached(NamedTuple):
    """How far a machine has come: all that its training needs to go on, as NumPy arrays of the caller's own."""

    state: State
    records: tuple[RbmRecord, ...]  # one an epoch
    steps: int = 0  # of the epoch under way so far
    seconds: float = 0.0  # of training, in it


def start(settings: Settings, images: Float[Array, "n visible"], key: PRNGKeyArray) -> State:
    """Return the state before the first step; persistent chains begin at the first images."""
    rbm = init(key, images.mean(axis=0), settings.hidden, settings.dtype)
    h = hidden_given_visible(rbm, images[: settings.batch_size])
    return State(rbm, jax.tree.map(jnp.zeros_like, rbm), h, h.mean(axis=0))


def update(
    state: State, data: Visible, drawn: Uniforms, settings: Settings, learning_rate: Float[Array, ""] | float
) -> State:
    """Take one step of CD-k or persistent CD with momentum, weight decay and, if asked for, sparsity."""
    chains: Hidden | None = state.chains if settings.persistent else None
    of_data, of_model, ends = divergence_step(state.rbm, data, drawn, chains)
    direction = jax.tree.map(jnp.subtract, of_data, of_model)
    direction = direction._replace(weight=direction.weight - settings.weight_decay * state.rbm.weight)
    activity = 0.9 * state.activity + 0.1 * of_data.hidden_bias  # section 11.1
    if settings.sparsity_cost:
        # The cross-entropy of activity and target, by the input of the units: activity minus target.
        off = settings.sparsity_cost * (activity - settings.sparsity_target)
        direction = direction._replace(
            weight=direction.weight - of_data.visible_bias[:, None] * off[None],
            hidden_bias=direction.hidden_bias - off,
        )
    velocity = jax.tree.map(lambda v, d: settings.momentum * v + learning_rate * d, state.velocity, direction)
    return State(jax.tree.map(jnp.add, state.rbm, velocity), velocity, ends, activity)


def run_epoch(
    state: State,
    images: Float[Array, "n visible"],
    order: Int32[Array, "steps batch"],
    key: PRNGKeyArray,
    learning_rate: Float[Array, ""],
    settings: Settings,
    *,
    first: Int32[Array, ""] | None = None,
    count: int | None = None,
) -> State:
    """Train on the batches of images in [0, 1] that `order` lists, as one program. Pure: the caller jits.

    Given both, only `count` steps are taken, from the step `first` on (the epoch's first is 0), with the draws that
    they have in the whole epoch.
    """
    keys = jax.random.split(key, len(order))
    if first is not None and count is not None:
        order, keys = (jax.lax.dynamic_slice_in_dim(part, first, count) for part in (order, keys))
    # A step's draws depend on its own key alone, so that it does not matter which are made together.
    numbers = settings.k * order.shape[1] * sum(state.rbm.weight.shape)
    together = max(1, min(DRAWN_TOGETHER // numbers, len(order)))

    def step(state: State, now: tuple[Int32[Array, " batch"], Uniforms]) -> tuple[State, None]:
        batch, drawn = now
        return update(state, images[batch], drawn, settings, learning_rate), None

    def steps(state: State, now: tuple[Int32[Array, "steps batch"], Key[Array, " steps"]]) -> tuple[State, None]:
        batches, keys = now
        drawn = jax.vmap(lambda key: uniforms(key, settings.k, batches.shape[1], state.rbm))(keys)
        return jax.lax.scan(step, state, (batches, drawn))

    whole = len(order) // together * together
    blocks = jax.tree.map(lambda part: part[:whole].reshape(-1, together, *part.shape[1:]), (order, keys))
    state = jax.lax.scan(steps, state, blocks)[0]
    return steps(state, (order[whole:], keys[whole:]))[0] if whole < len(order) else state


@lru_cache(maxsize=16)
def compiled_epoch(settings: Settings, n: int, n_visible: int, count: int | None = None) -> jax.stages.Compiled:
    """Compile `run_epoch` for so many images, apart from its first run, so that the seconds of an epoch are its own.

    Given a `count`, it takes so many steps, from `first` on.
    """
    images = jax.ShapeDtypeStruct((n, n_visible), settings.dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    order = jax.eval_shape(lambda key: _order(key, n, settings.batch_size), key)
    state = jax.eval_shape(lambda images, key: start(settings, images, key), images, key)
    arguments = (state, images, order, key, jax.ShapeDtypeStruct((), settings.dtype))
    where = {} if count is None else {"first": jax.ShapeDtypeStruct((), jnp.int32)}
    epoch = jax.jit(partial(run_epoch, settings=settings, count=count), donate_argnums=0)
    return epoch.lower(*arguments, **where).compile()


def fit(
    settings: Settings, images: Float[Array, "n visible"], held_out: Float[Array, "m visible"], layer: int = 1
) -> Iterator[tuple[RbmRecord | None, Rbm]]:
    """Train epoch by epoch: yield the initial machine with no record, then each epoch's record and machine.

    Args:
        settings: Of the machine and its training.
        images: In [0, 1]; what lies between is taken as a probability (Hinton 2010, section 3.2).
        held_out: Images that are only monitored.
        layer: Of the stack to which the machine belongs; another one has other random draws.

    Raises:
        ArgumentError: A pixel is outside [0, 1], or there are fewer images than a batch has.
        DivergedError: A parameter is not a number, or beyond `LIMIT`.
    """
    for reached in advance(settings, images, held_out, layer):
        yield (reached.records[-1] if reached.records else None), reached.state.rbm


def advance(
    settings: Settings,
    images: Float[Array, "n visible"],
    held_out: Float[Array, "m visible"],
    layer: int = 1,
    since: Reached | None = None,
    every: int | None = None,
) -> Iterator[Reached]:
    """Train as `fit` does, from where `since` says, whose epochs are then not yielded again.

    Every epoch's draws follow from the seed, the layer and the epoch, so that they need no state of their own. Given
    `every`, it yields also within an epoch, where `cuts` says; none is of a machine that would count as diverged there,
    for it may still come back.
    """
    check(images, held_out, settings)
    key = jax.random.fold_in(jax.random.key(settings.seed), layer - 1)
    init_key, epochs_key = jax.random.split(key)
    if since is None:
        since = Reached(_copied(start(settings, images, init_key)), ())
        yield since
    state, (_, records, done, seconds) = jax.tree.map(jnp.array, since.state), since
    for epoch in range(len(records) + 1, settings.epochs + 1):
        order_key, chains_key, monitor_key = jax.random.split(jax.random.fold_in(epochs_key, epoch), 3)
        order = _order(order_key, len(images), settings.batch_size)
        rate = jnp.asarray(settings.learning_rate * (1 - (epoch - 1) / settings.epochs), settings.dtype)
        while done < len(order):
            count = segments.end(done, len(order), every) - done
            # A whole epoch is a program of its own, the only one where there are no checkpoints within it.
            where = {} if count == len(order) else {"first": jnp.int32(done)}
            train_steps = compiled_epoch(replace(settings, seed=0), *images.shape, count if where else None)
            started = time.perf_counter()
            state = jax.block_until_ready(train_steps(state, images, order, chains_key, rate, **where))
            seconds += time.perf_counter() - started
            done, reached = done + count, _copied(state)
            largest = max(float(np.abs(array).max()) for array in reached.rbm)
            if done < len(order) and largest < LIMIT:  # what is beyond it would be a bad place to go on from
                yield Reached(reached, records, done, seconds)
        if not largest < LIMIT:  # NaN is not, either
            raise DivergedError(
                f"RBM {layer} diverged in epoch {epoch}, its largest parameter is {largest:.3g}: the learning rate "
                f"{settings.learning_rate:g} is probably too large; try --learning-rate {Settings.learning_rate:g}"
            )
        found = _monitors(state.rbm, images[:MONITORED], held_out, monitor_key)
        monitors = {name: float(value) for name, value in found.items()}
        records = (*records, RbmRecord(layer=layer, epoch=epoch, seconds=seconds, **monitors))
        done, seconds = 0, 0.0
        yield Reached(reached, records)


def check(images: Float[Array, "n visible"], held_out: Float[Array, "m visible"], settings: Settings) -> None:
    """Check what a machine is to be trained on.

    Raises:
        ArgumentError: A pixel is outside [0, 1], or there are fewer images than a batch has.
    """
    for pixels in (images, held_out):
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0 and high <= 1):  # NaN is neither
            raise ArgumentError(f"pixels must lie in [0, 1], got {low:g} to {high:g}: divide bytes by 255")
    if settings.batch_size > len(images):
        raise ArgumentError(f"batch size must be at most the {len(images)} training images, got {settings.batch_size}")


@partial(jax.jit, static_argnums=(1, 2))
def _order(key: PRNGKeyArray, n: int, batch_size: int) -> Int32[Array, "steps batch"]:
    steps = n // batch_size
    return jax.random.permutation(key, n)[: steps * batch_size].astype(jnp.int32).reshape(steps, batch_size)


@jax.jit
def _monitors(rbm: Rbm, images: Array, held_out: Array, key: PRNGKeyArray) -> dict[str, Float[Array, ""]]:
    return {
        "pseudo_log_likelihood": likelihood.pseudo_log_likelihood(rbm, jnp.round(held_out), key),
        "reconstruction_error": likelihood.reconstruction_error(rbm, held_out),
        "free_energy_gap": likelihood.free_energy_gap(rbm, images, held_out),
        "hidden_activity": hidden_given_visible(rbm, held_out).mean(),
    }


def _copied(state: State) -> State:
    """Return the state as NumPy arrays of the caller's own: it is donated."""
    copied: State = jax.tree.map(np.array, state)
    return copied
