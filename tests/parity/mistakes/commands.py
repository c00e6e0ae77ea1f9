"""Mistakes in the commands `train` and `evaluate`: in what they print, save, read and resume."""

import dataclasses
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import jax
import numpy as np

from jax_impl import model, recipes
from jax_impl.commands import train as command
from jax_impl.commands.options import train as options
from jax_impl.data import Mnist
from jax_impl.train import EpochRecord, State
from jax_impl.trainer import one_run
from jax_impl.trainer.progress import Progress
from tests.parity.mistakes import Plant, wrapped

# --- printed


def printed(change: Callable[[EpochRecord], EpochRecord]) -> Plant:
    """Plant a line that shows another record."""
    return wrapped(EpochRecord, "__str__", lambda right: lambda record: right(change(record)))


def printed_late(*fields: str) -> Plant:
    """Plant lines that show these fields of the epoch before."""
    last: dict[str, Any] = {}

    def late(record: EpochRecord) -> EpochRecord:
        shown = dataclasses.replace(record, **(last if record.epoch > 1 else {}))
        last.update({field: getattr(record, field) for field in fields})
        return shown

    return printed(late)


# --- saved


def saved(change: Callable[[list[Progress]], Progress]) -> Plant:
    """Plant a run folder that keeps something else: a function of the progress before and after each epoch."""

    def follow(right: Callable[..., Progress]) -> Callable[..., Progress]:
        def followed(course: Iterator[Progress], initial: Progress, *others: Any) -> Progress:
            reached = [initial]

            def watched() -> Iterator[Progress]:
                for progress in course:
                    reached.append(progress)
                    yield progress

            right(watched(), initial, *others)
            return change(reached)

        return followed

    return wrapped(command, "follow", follow)


def other_state(choose: Callable[[list[Progress]], Progress]) -> Plant:
    """Plant a file with the parameters of another epoch."""
    return saved(lambda reached: dataclasses.replace(reached[-1], state=choose(reached).state))


def best(reached: list[Progress]) -> Progress:
    return max(reached[1:], key=lambda progress: progress.records[-1].test_accuracy)


def other_params(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """Plant a file with changed parameters."""

    def changed(reached: list[Progress]) -> Progress:
        state = reached[-1].state
        params = jax.tree.map(lambda leaf: change(leaf[0])[None], state.params)
        return dataclasses.replace(reached[-1], state=state._replace(params=params))

    return saved(changed)


def in_float16(leaf: np.ndarray) -> np.ndarray:
    return leaf.astype(np.float16).astype(leaf.dtype)


def square_transposed(leaf: np.ndarray) -> np.ndarray:
    return leaf.T if leaf.ndim == 2 and leaf.shape[0] == leaf.shape[1] else leaf


def recorded(change: Callable[[tuple[EpochRecord, ...]], tuple[EpochRecord, ...]]) -> Plant:
    """Plant a metrics.jsonl with other records."""

    def epoch(right: Callable[..., None]) -> Callable[..., None]:
        return lambda folder, progress: right(folder, dataclasses.replace(progress, records=change(progress.records)))

    return wrapped(command.RunFolder, "epoch", epoch)


def each_record(**change: Callable[[Any], Any]) -> Plant:
    def changed(records: tuple[EpochRecord, ...]) -> tuple[EpochRecord, ...]:
        return tuple(
            dataclasses.replace(one, **{name: function(getattr(one, name)) for name, function in change.items()})
            for one in records
        )

    return recorded(changed)


def default_config(right: Callable[..., None]) -> Callable[..., None]:
    """Write the settings of the named recipe, without the command's changes."""

    def begin(folder: command.RunFolder, *, replace: bool) -> None:
        chosen, folder.recipe = folder.recipe, recipes.named(folder.recipe.name)
        right(folder, replace=replace)
        folder.recipe = chosen

    return begin


# --- read


def ignored(option: str) -> Plant:
    """Plant a `train` that ignores an option."""
    return wrapped(
        options, "recipe_of", lambda right: lambda train: right(dataclasses.replace(train, **{option: None}))
    )


def relu_always(right: Callable[..., float]) -> Callable[..., float]:
    return lambda params, images, labels, *_: right(params, images, labels, "relu")


def training_set(right: Callable[..., Mnist]) -> Callable[..., Mnist]:
    """Evaluate on the training images."""

    def load(data_dir: Any) -> Mnist:
        mnist = right(data_dir)
        return mnist._replace(test_images=mnist.train_images, test_labels=mnist.train_labels)

    return load


def without_last_bias(right: Callable[..., float]) -> Callable[..., float]:
    def accuracy(params: model.Params, *others: Any) -> float:
        *_, (name, last) = params.items()
        return right(params | {name: last | {"bias": np.zeros_like(last["bias"])}}, *others)

    return accuracy


def float32_params(right: Callable[..., float]) -> Callable[..., float]:
    return lambda params, *others: right(jax.tree.map(lambda leaf: leaf.astype(np.float32), params), *others)


# --- resumed


def resumed(change: Callable[[State], State]) -> Plant:
    """Plant a checkpoint that gives back another state."""

    def unpack(right: Callable[..., Progress]) -> Callable[..., Progress]:
        def unpacked(*saved: Any, **how: Any) -> Progress:
            progress = right(*saved, **how)
            return dataclasses.replace(progress, state=change(progress.state))

        return unpacked

    return wrapped(one_run, "unpack", unpack)


def forgotten_moments(state: State) -> State:
    return state._replace(opt_state=jax.tree.map(np.zeros_like, state.opt_state))


def first_orders_again(right: Callable[..., Iterator[Progress]]) -> Callable[..., Iterator[Progress]]:
    """Give a resumed run the order of the first epoch."""

    def advance(recipe: Any, mnist: Any, drawn: Any, since: Progress | None = None, **how: Any) -> Iterator[Progress]:
        if since is not None:
            drawn = drawn._replace(orders=chain(repeat(None, len(since.records)), drawn.orders))
        return right(recipe, mnist, drawn, since, **how)

    return advance
