"""Mistakes in the training loop `fit`: in what it is given, how it runs an epoch, and what it records and yields.

None of them changes a compiled program, except those that replace `run_epoch` or `count_correct`.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl import draws, recipes, train
from jax_impl.data import Mnist
from jax_impl.train import EpochRecord, State
from tests.parity.mistakes import Plant, replace, wrapped

Order = np.ndarray  # (steps, batch)
Yielded = Iterator[tuple[EpochRecord, State]]
RunEpoch = Callable[..., tuple[State, Any]]

# --- what `fit` is given


def fit_with(change: Callable[..., tuple[recipes.Recipe, Mnist, draws.Draws]]) -> Plant:
    """Plant a `fit` that changes its arguments first."""
    return wrapped(train, "fit", lambda right: lambda *arguments: right(*change(*arguments)))


def settings(**change: Callable[[Any], Any]) -> Plant:
    """Plant a `fit` that changes fields of the recipe."""

    def changed(recipe: recipes.Recipe, mnist: Mnist, drawn: draws.Draws) -> tuple[Any, Any, Any]:
        fields = {name: function(getattr(recipe, name)) for name, function in change.items()}
        return dataclasses.replace(recipe, **fields), mnist, drawn

    return fit_with(changed)


def orders(change: Callable[[Iterator[Order]], Iterator[Order]]) -> Plant:
    """Plant a `fit` that trains on other batches."""
    return fit_with(lambda recipe, mnist, drawn: (recipe, mnist, drawn._replace(orders=change(drawn.orders))))


def each_order(change: Callable[[Order], Order]) -> Plant:
    return orders(lambda given: map(change, given))


def images(change: Callable[[Mnist], Mnist]) -> Plant:
    """Plant a `fit` that sees other images."""
    return fit_with(lambda recipe, mnist, drawn: (recipe, change(mnist), drawn))


def test_for_training(mnist: Mnist) -> Mnist:
    return mnist._replace(train_images=mnist.test_images, train_labels=mnist.test_labels)


def training_for_test(mnist: Mnist) -> Mnist:
    return mnist._replace(test_images=mnist.train_images, test_labels=mnist.train_labels)


def float32_always(recipe: recipes.Recipe, mnist: Mnist, drawn: draws.Draws) -> tuple[Any, Any, Any]:
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), drawn.params)
    return dataclasses.replace(recipe, dtype="float32"), mnist, drawn._replace(params=params)


# --- how `fit` runs an epoch


def epochs(change: Callable[..., tuple[State, Any]]) -> Plant:
    """Plant an epoch: a function of the right one, the state, and the other arguments."""

    def compiled_epoch(right: Callable[..., RunEpoch]) -> Callable[..., RunEpoch]:
        return lambda *shapes: lambda state, *data: change(right(*shapes), state, *data)

    return wrapped(train, "compiled_epoch", compiled_epoch)


def between_epochs(change: Callable[[State], State]) -> Plant:
    """Plant a change of Adam's state at the start of each epoch, except the first."""

    def epoch(run: RunEpoch, state: State, *data: Any) -> tuple[State, Any]:
        return run(change(state) if counted(state) else state, *data)

    return epochs(epoch)


def counted(state: State) -> int:
    """Return how many steps Adam has counted; 0 for another optimizer."""
    return int(getattr(state.opt_state[0], "count", 0))


def of_adam(change: Callable[[Any], Any]) -> Callable[[State], State]:
    return lambda state: state._replace(opt_state=(change(state.opt_state[0]), *state.opt_state[1:]))


def rounded_to(dtype: Any) -> Callable[[Any], Any]:
    return lambda tree: jax.tree.map(lambda leaf: leaf.astype(dtype).astype(leaf.dtype), tree)


def reset(adam: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, adam)


def recounted(adam: Any) -> Any:
    return adam._replace(count=jnp.zeros_like(adam.count))


def rounded_moments(adam: Any) -> Any:
    return adam._replace(mu=rounded_to(jnp.float32)(adam.mu), nu=rounded_to(jnp.float32)(adam.nu))


def rounded_params(state: State) -> State:
    return state._replace(params=rounded_to(jnp.float16)(state.params))


def halved_rate(state: State) -> State:
    return state._replace(learning_rate=state.learning_rate / 2)


def no_rate_after(steps: int) -> Callable[[State], State]:
    return lambda state: state._replace(learning_rate=state.learning_rate * (counted(state) < steps))


def frozen_later(run: RunEpoch, state: State, *data: Any) -> tuple[State, Any]:
    """Train layer 2 in the first epoch only."""
    frozen = jax.tree.map(np.array, state.params["linear2"]) if counted(state) else None
    state, losses = run(state, *data)
    return state._replace(params=state.params | ({"linear2": frozen} if frozen else {})), losses


def begin_again() -> Plant:
    """Build the network inside the loop over epochs: each epoch starts from the initial weights."""
    initial: list[Any] = []

    def epoch(run: RunEpoch, state: State, *data: Any) -> tuple[State, Any]:
        if not counted(state):
            initial[:] = [jax.tree.map(np.array, state.params)]
        return run(state._replace(params=jax.tree.map(jnp.array, initial[0])), *data)

    return epochs(epoch)


def losses(change: Callable[[Any], Any]) -> Plant:
    """Plant other losses, whose mean is the recorded cost."""

    def epoch(run: RunEpoch, state: State, *data: Any) -> tuple[State, Any]:
        state, right = run(state, *data)
        return state, change(np.asarray(right))

    return epochs(epoch)


def running_mean(values: np.ndarray) -> np.ndarray:
    mean = values[0]
    for value in values[1:]:
        mean = 0.9 * mean + 0.1 * value
    return np.array([mean])


def labels_in_file_order(right: RunEpoch) -> RunEpoch:
    def run_epoch(state: State, images: Any, labels: Any, order: Any, **how: str) -> tuple[State, Any]:
        rows = jnp.arange(order.size, dtype=order.dtype).reshape(order.shape)
        return right(state, images[order.reshape(-1)], labels[: order.size], rows, **how)

    return run_epoch


def step_by(step: Callable[..., tuple[State, Any, Any]]) -> Plant:
    """Plant a `run_epoch` with another step, which also carries a tree like the parameters."""

    def run_epoch(
        state: State, images: Any, labels: Any, order: Any, *, activation: str = "relu", optimizer: str = "adam"
    ) -> tuple[State, Any]:
        dtype = jax.tree.leaves(state.params)[0].dtype

        def body(carry: Any, batch: Any) -> tuple[Any, Any]:
            data = train.scale(images[batch], dtype), labels[batch], activation
            new, kept, loss = step(*carry, data, optimizer)
            return (new, kept), loss

        (state, _), found = jax.lax.scan(body, (state, jax.tree.map(jnp.zeros_like, state.params)), order)
        return state, found

    return replace(train, "run_epoch", run_epoch)


def accumulated_gradients(state: State, sums: Any, data: Any, optimizer: str) -> tuple[State, Any, Any]:
    """Forget torch's `zero_grad`."""
    loss, gradients = jax.value_and_grad(train.mean_loss)(state.params, *data)
    sums = jax.tree.map(jnp.add, sums, gradients)
    return train.update(state, sums, optimizer), sums, loss


def loss_after_update(state: State, kept: Any, data: Any, optimizer: str) -> tuple[State, Any, Any]:
    state = train.update(state, jax.grad(train.mean_loss)(state.params, *data), optimizer)
    return state, kept, train.mean_loss(state.params, *data)


# --- what `fit` records and yields


def yields(change: Callable[[Yielded], Yielded]) -> Plant:
    """Plant a `fit` that yields something else."""
    return wrapped(train, "fit", lambda right: lambda *arguments: change(right(*arguments)))


def records(**change: Callable[[Any], Any]) -> Plant:
    """Plant a `fit` that changes fields of its records."""

    def changed(yielded: Yielded) -> Yielded:
        for record, state in yielded:
            fields = {name: function(getattr(record, name)) for name, function in change.items()}
            yield dataclasses.replace(record, **fields), state

    return yields(changed)


def previous_params(yielded: Yielded) -> Yielded:
    last = None
    for record, state in yielded:
        yield record, state._replace(params=(last or state).params)
        last = state


def previous_accuracy(yielded: Yielded) -> Yielded:
    last = 0.1  # of an untrained network
    for record, state in yielded:
        yield dataclasses.replace(record, test_accuracy=last), state
        last = record.test_accuracy


def one_state_for_all(yielded: Yielded) -> Yielded:
    """Yield views of arrays that the next epoch overwrites."""
    kept = None
    for record, state in yielded:
        kept = kept or state
        jax.tree.map(np.copyto, kept, state)
        yield record, kept


def averaged_params(yielded: Yielded) -> Yielded:
    """Yield the mean of the parameters after all epochs so far (Polyak)."""
    reached: list[Any] = []
    for record, state in yielded:
        reached.append(state.params)
        yield record, state._replace(params=jax.tree.map(lambda *all: np.mean(all, axis=0), *reached))


def stops_after(steps: int) -> Callable[[Yielded], Yielded]:
    """Keep a limit of steps that was made for debugging."""

    def stopping(yielded: Yielded) -> Yielded:
        for record, state in yielded:
            yield record, state
            if counted(state) >= steps:
                return

    return stopping
