"""The notebook's deep belief network (DBN): RBMs trained one by one, each on the hidden probabilities of the one below.

Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets". The weights of a DBN were the first
initial weights from which deep networks could be trained.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PRNGKeyArray

from jax_impl.errors import ArgumentError
from jax_impl.model import Layer, Params, from_linears, layer_sizes, linears
from jax_impl.rbm import training
from jax_impl.rbm.machine import Rbm, Visible, gibbs, hidden_given_visible, sample, uniforms, visible_given_hidden
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import HeldOut, Images, RbmRecord, State
from jax_impl.trainer.progress import Progress

Stack = Sequence[Rbm]  # from the pixels up
Top = Float[Array, "batch top"]  # the hidden units of the top machine
_hidden = jax.jit(hidden_given_visible)


class StackState(NamedTuple):
    """The machines of a stack that is being trained."""

    below: tuple[Rbm, ...]  # the finished machines
    current: State  # of the machine above them

    @property
    def stack(self) -> list[Rbm]:
        """The machines, from the pixels up."""
        return [*self.below, self.current.rbm]


def fit_stack(
    sizes: Sequence[int], settings: Settings, images: Images, held_out: HeldOut
) -> Iterator[tuple[RbmRecord | None, list[Rbm]]]:
    """Train RBMs of these hidden sizes from the pixels up; yield each epoch's record and the machines so far.

    The hidden probabilities of one machine are the images of the next. Each machine is yielded once without a record,
    before its first epoch.

    Raises:
        ArgumentError: There is no size, a setting is out of range, or a pixel is outside [0, 1].
        DivergedError: As `training.fit`.
    """
    for progress in advance(sizes, settings, images, held_out):
        yield (None if is_untrained(progress) else progress.records[-1]), progress.state.stack


def advance(
    sizes: Sequence[int],
    settings: Settings,
    images: Images,
    held_out: HeldOut,
    since: Progress | None = None,
    every: int | None = None,
) -> Iterator[Progress]:
    """Train as `fit_stack` does, from `since`; yield also within an epoch, after each segment of `every` steps.

    The state of the progress is a `StackState`.
    """
    if not sizes:
        raise ArgumentError("a DBN needs at least one hidden layer, got none")
    machines = [replace(settings, hidden=size) for size in sizes]  # reports a wrong size before training
    below: tuple[Rbm, ...] = since.state.below if since else ()
    earlier = tuple(record for record in since.records if record.layer <= len(below)) if since else ()
    progress = since and replace(since, state=since.state.current, records=since.records[len(earlier) :])
    for rbm in below:
        images, held_out = _hidden(rbm, images), _hidden(rbm, held_out)
    for layer, of_layer in enumerate(machines[len(below) :], start=len(below) + 1):
        course = training.advance(of_layer, images, held_out, layer, progress, every)
        for progress in course:
            yield replace(progress, state=StackState(below, progress.state), records=(*earlier, *progress.records))
        assert progress is not None  # noqa: S101 - `training.advance` yields at least the initial machine
        rbm = progress.state.rbm
        if layer < len(machines):  # the images of the next machine
            images, held_out = _hidden(rbm, images), _hidden(rbm, held_out)
        below, earlier, progress = (*below, rbm), (*earlier, *progress.records), None


def is_untrained(progress: Progress) -> bool:
    """Return whether the last machine of the stack has not taken a step yet."""
    return not progress.steps and (not progress.records or progress.records[-1].layer < len(progress.state.stack))


def structure(tensors: Collection[str]) -> StackState:
    """Return a `StackState` of placeholders with as many machines as a checkpoint's tensors have."""
    count = sum(name.startswith("state.below.") and name.endswith(".weight") for name in tensors)
    leaf: Any = 0
    rbm = Rbm(leaf, leaf, leaf)
    return StackState((rbm,) * count, State(rbm, rbm, leaf, leaf))


def up(stack: Stack, v: Visible) -> Top:
    """Return the probabilities of the top hidden units. Each layer gets the probabilities of the one below."""
    for rbm in stack:
        v = hidden_given_visible(rbm, v)
    return v


def down(stack: Stack, h: Top) -> Visible:
    """Return the probabilities of the pixels. Each layer gets the probabilities of the one above."""
    for rbm in reversed(stack):
        h = visible_given_hidden(rbm, h)
    return h


def generate(
    stack: Stack, key: PRNGKeyArray, images: Visible, rounds: Sequence[int]
) -> Float[Array, "moments batch visible"]:
    """Draw samples from the DBN: Gibbs sampling in the top RBM, then one pass down to the pixels.

    The chains start at the images, in [0, 1]. Returns the probabilities of the pixels after each of these numbers of
    Gibbs rounds, which are in rising order.
    """
    *below, top = stack
    h, samples = up(stack, images), []
    for last_count, count in pairwise((0, *rounds)):
        key, rounds_key = jax.random.split(key)
        h = _rounds(top, h, rounds_key, count - last_count)
        sample_key, key = jax.random.split(key)
        v = visible_given_hidden(top, sample(h, jax.random.uniform(sample_key, h.shape, h.dtype)))
        samples.append(down(below, v))
    return jnp.stack(samples)


def unroll(stack: Stack, params: Params) -> Params:
    """Return the parameters with the machines' weights and hidden biases in the hidden layers.

    The output layer keeps its own: no machine belongs to it.

    Raises:
        ArgumentError: The machines' sizes are not those of the network's hidden layers.
    """
    of_stack = [stack[0].weight.shape[0], *(rbm.weight.shape[1] for rbm in stack)] if stack else []
    *of_network, classes = layer_sizes(params)
    if of_stack != of_network:
        raise ArgumentError(
            f"a DBN of {_text(of_stack)} units does not fit a network of {_text([*of_network, classes])}: "
            f"its hidden layers need --hidden {','.join(map(str, of_network[1:])) or 'of at least one layer'}"
        )
    output = linears(params)[-1]
    pretrained: list[Layer] = [{"kernel": rbm.weight, "bias": rbm.hidden_bias} for rbm in stack]
    dtype = output["kernel"].dtype
    return from_linears([*jax.tree.map(lambda array: np.asarray(array, dtype), pretrained), output])


def _text(sizes: Sequence[int]) -> str:
    return "-".join(map(str, sizes)) or "no"


@jax.jit
def _rounds(top: Rbm, h: Top, key: PRNGKeyArray, rounds: int | Int32[Array, ""]) -> Top:
    """Return the hidden probabilities after this number of Gibbs rounds. Each round draws its own random numbers."""

    def step(number: Int32[Array, ""], h: Top) -> Top:
        return gibbs(top, h, uniforms(jax.random.fold_in(key, number), 1, len(h), top))[1]

    h = jax.lax.fori_loop(0, rounds, step, h)
    return h  # noqa: RET504
