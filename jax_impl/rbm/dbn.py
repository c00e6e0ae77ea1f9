"""The deep belief network of the notebook: RBMs trained greedily, each on what the one below makes of the images.

Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets". Unrolled into the layers of an MLP, it
was the first start from which deep networks could be trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PRNGKeyArray

from jax_impl.errors import ArgumentError
from jax_impl.model import Params
from jax_impl.rbm.machine import (
    Hidden,
    Rbm,
    Visible,
    gibbs,
    hidden_given_visible,
    sample,
    uniforms,
    visible_given_hidden,
)
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import RbmRecord, Reached, State, advance

Stack = Sequence[Rbm]  # from the pixels up


class StackReached(NamedTuple):
    """How far a stack has come: all that its training needs to go on, as NumPy arrays of the caller's own."""

    below: tuple[Rbm, ...]  # the finished machines
    state: State  # of the one above them
    records: tuple[RbmRecord, ...]  # of all
    steps: int = 0  # of the epoch under way so far
    seconds: float = 0.0  # of training, in it

    @property
    def stack(self) -> list[Rbm]:
        """The machines, from the pixels up."""
        return [*self.below, self.state.rbm]

    @property
    def fresh(self) -> bool:
        """Whether the last machine has not been trained yet."""
        return not self.steps and (not self.records or self.records[-1].layer < len(self.stack))


def fit_stack(
    sizes: Sequence[int],
    settings: Settings,
    images: Float[Array, "n visible"],
    held_out: Float[Array, "m visible"],
) -> Iterator[tuple[RbmRecord | None, list[Rbm]]]:
    """Train RBMs of these hidden sizes from the pixels up; yield each epoch's record and the machines so far.

    What a machine makes of an image, the probabilities of its hidden units, is the image of the next one. Each machine
    is yielded once with no record, before its first epoch.

    Raises:
        ArgumentError: There is no size, or a setting is out of range, or a pixel outside [0, 1].
        DivergedError: As `rbm_train.fit`.
    """
    for reached in advance_stack(sizes, settings, images, held_out):
        yield (None if reached.fresh else reached.records[-1]), reached.stack


def advance_stack(
    sizes: Sequence[int],
    settings: Settings,
    images: Float[Array, "n visible"],
    held_out: Float[Array, "m visible"],
    since: StackReached | None = None,
    every: int | None = None,
) -> Iterator[StackReached]:
    """Train as `fit_stack` does, from where `since` says; yield also within an epoch, where `cuts` says."""
    if not sizes:
        raise ArgumentError("a DBN needs at least one hidden layer, got none")
    machines = [replace(settings, hidden=size) for size in sizes]  # a wrong size is told before anything is trained
    below, records = (since.below, since.records) if since else ((), ())
    for rbm in below:
        images, held_out = _up_one(rbm, images), _up_one(rbm, held_out)
    for layer, of_layer in enumerate(machines[len(below) :], start=len(below) + 1):
        earlier = tuple(record for record in records if record.layer < layer)
        at = None
        if since and layer == len(since.stack):
            at = Reached(since.state, records[len(earlier) :], since.steps, since.seconds)
        state = since.state if since else None
        for reached in advance(of_layer, images, held_out, layer, at, every):
            state, records = reached.state, (*earlier, *reached.records)
            yield StackReached(below, state, records, reached.steps, reached.seconds)
        assert state is not None  # noqa: S101 - `advance` yields at least the initial machine
        images, held_out = _up_one(state.rbm, images), _up_one(state.rbm, held_out)
        below = (*below, state.rbm)


def up(stack: Stack, v: Visible) -> Float[Array, "batch top"]:
    """Return the probabilities of the top hidden units, each layer given the probabilities of the one below."""
    for rbm in stack:
        v = hidden_given_visible(rbm, v)
    return v


def down(stack: Stack, h: Float[Array, "batch top"]) -> Visible:
    """Return the probabilities of the pixels, each layer given the probabilities of the one above."""
    for rbm in reversed(stack):
        h = visible_given_hidden(rbm, h)
    return h


def generate(
    stack: Stack, key: PRNGKeyArray, images: Visible, rounds: Sequence[int]
) -> Float[Array, "moments batch visible"]:
    """Return what the network imagines: Gibbs sampling in the top RBM, and a pass down from its visible units.

    Args:
        stack: The machines; one alone is sampled itself.
        key: Of the draws.
        images: Where the chains start, (batch, visible) in [0, 1].
        rounds: Rising numbers of rounds after which to look.

    Returns:
        The probabilities of the pixels at each of these moments.
    """
    *below, top = stack
    h, moments, before = up(stack, images), [], 0
    for moment in rounds:
        key, now = jax.random.split(key)
        h = _rounds(top, h, now, moment - before)
        drawing, key = jax.random.split(key)
        v = visible_given_hidden(top, sample(h, jax.random.uniform(drawing, h.shape, h.dtype)))
        moments.append(down(below, v))
        before = moment
    return jnp.stack(moments)


def unroll(stack: Stack, params: Params) -> Params:
    """Return the parameters with the machines' weights and hidden biases in linear1 … linearN-1.

    The output layer stays what it was: it has no machine.

    Raises:
        ArgumentError: The sizes of the machines are not those of the network's hidden layers.
    """
    found = [stack[0].weight.shape[0], *(rbm.weight.shape[1] for rbm in stack)] if stack else []
    kernels = [params[f"linear{number}"]["kernel"] for number in range(1, len(params) + 1)]
    wanted = [kernel.shape[0] for kernel in kernels]
    if found != wanted:
        raise ArgumentError(
            f"a DBN of {_text(found)} units does not fit a network of {_text([*wanted, kernels[-1].shape[1]])}: "
            f"its hidden layers need --hidden {','.join(map(str, wanted[1:])) or 'of at least one layer'}"
        )
    dtype = kernels[-1].dtype
    return params | {
        f"linear{number}": {
            "kernel": np.asarray(rbm.weight, dtype),
            "bias": np.asarray(rbm.hidden_bias, dtype),
        }
        for number, rbm in enumerate(stack, start=1)
    }


def _text(sizes: Sequence[int]) -> str:
    return "-".join(map(str, sizes)) or "no"


@jax.jit
def _up_one(rbm: Rbm, v: Visible) -> Hidden:
    return hidden_given_visible(rbm, v)


@jax.jit
def _rounds(top: Rbm, h: Hidden, key: PRNGKeyArray, rounds: int | Int32[Array, ""]) -> Hidden:
    """Return the probabilities of the top's hidden units after so many rounds, whose draws are made one by one."""

    def step(number: Int32[Array, ""], h: Hidden) -> Hidden:
        return gibbs(top, h, uniforms(jax.random.fold_in(key, number), 1, len(h), top))[1]

    found: Hidden = jax.lax.fori_loop(0, rounds, step, h)
    return found
