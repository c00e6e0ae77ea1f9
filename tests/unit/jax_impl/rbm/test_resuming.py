"""Machines that are resumed, within an epoch or at its end, end in the same bits as those that are not."""

from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl.data import Mnist
from jax_impl.errors import DivergedError
from jax_impl.model import scale
from jax_impl.rbm import dbn, training
from jax_impl.rbm.settings import Settings
from jax_impl.rbm.training import RbmRecord
from jax_impl.storage.checkpoints import Checkpoints
from jax_impl.trainer.progress import Progress, pack, unpack
from tests.tiers import slow

SETTINGS = Settings(epochs=2, batch_size=100)  # an epoch has ten steps
SIZES = (6, 6)


@pytest.fixture(scope="module")
def images(small: Mnist) -> tuple[jax.Array, jax.Array]:
    train, test = (scale(jnp.asarray(part), "float32") for part in (small.train_images, small.test_images))
    return train, test


@pytest.fixture(scope="module")
def pixels(images: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Six pixels of each image: both machines of a stack then have the same shapes and share compiled programs."""
    train, test = (part[:, 400:406] for part in images)
    return train, test


def bits(progress: Progress) -> list[Any]:
    """All but the seconds."""
    records = [asdict(record) | {"seconds": 0.0} for record in progress.records]
    arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(progress.state)]
    return [progress.steps, records, *((array.dtype, array.shape, array.tobytes()) for array in arrays)]


@pytest.mark.slow
@pytest.mark.parametrize("every", [3, *(slow(n) for n in (1, 5, 7, 9, 10, 11))])
def test_segments_do_not_change_the_bits(every: int, images: tuple[jax.Array, jax.Array]) -> None:
    settings = replace(SETTINGS, hidden=6)
    (*_, whole) = training.advance(settings, *images)
    course = list(training.advance(settings, *images, every=every))
    within = {1: [2, 4, 6, 8], 3: [3, 6], 5: [5], 7: [7]}.get(every, [])
    assert [progress.steps for progress in course] == [0, *within, 0, *within, 0]
    assert bits(course[-1]) == bits(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "together", "every"),
    [
        ({"hidden": 6, "k": 5, "persistent": True, "momentum": 0.5}, 3, 4),
        ({"k": 3, "batch_size": 40, "sparsity_cost": 0.1, "weight_decay": 0.001}, 8, 11),
    ],
)
def test_segments_may_divide_steps_that_are_drawn_together(
    changes: dict[str, Any], together: int, every: int, images: tuple[jax.Array, jax.Array]
) -> None:
    """Random numbers are drawn for several steps at a time, here for fewer than an epoch has."""
    settings = replace(SETTINGS, epochs=1, **changes)
    numbers = settings.k * settings.batch_size * (784 + settings.hidden)
    assert training.DRAWN_TOGETHER // numbers == together
    (*_, whole), (*_, divided) = (training.advance(settings, *images, every=steps) for steps in (None, every))
    assert bits(divided) == bits(whole)


def through_a_file(progress: Progress, folder: Path) -> Progress:
    """The progress that another process reads from the checkpoint."""
    Checkpoints(folder, {}).save(1, *pack(progress, 4))
    saved = Checkpoints(folder, {}).newest(print)
    assert saved
    assert (saved.facts["done"], saved.facts["epochs"]) == (len(progress.records), 4)
    return unpack(*saved, like=dbn.structure(saved.tensors), record=RbmRecord)


@pytest.mark.slow
def test_a_resumed_stack_ends_in_the_same_bits(pixels: tuple[jax.Array, jax.Array], tmp_path: Path) -> None:
    """Left in the first machine's first and at its last epoch, and in the second machine's first and last ones."""
    settings = replace(SETTINGS, persistent=True, momentum=0.5)
    (*_, whole) = dbn.advance(SIZES, settings, *pixels)
    since, steps = None, []
    for number, (parts, every) in enumerate([(2, 3), (3, 7), (2, 7), (2, 3), (None, None)]):
        for progress in islice(dbn.advance(SIZES, settings, *pixels, since, every), parts):
            if not dbn.is_untrained(progress):
                steps.append(10 * len(progress.records) + progress.steps)
        since = through_a_file(progress, tmp_path / str(number))
        assert since.seconds == progress.seconds
        assert bits(since) == bits(progress)
    assert steps == [3, 10, 17, 20, 27, 30, 33, 40]
    assert bits(since) == bits(whole)


def test_a_stack_resumed_between_two_machines_ends_in_the_same_bits(
    pixels: tuple[jax.Array, jax.Array], tmp_path: Path
) -> None:
    """Before the second machine's first step, and after its last."""
    (*_, whole) = dbn.advance(SIZES, SETTINGS, *pixels)
    for number, parts in enumerate((4, 6)):
        *_, progress = islice(dbn.advance(SIZES, SETTINGS, *pixels), parts)
        assert len(progress.state.stack) == 2
        since = through_a_file(progress, tmp_path / str(number))
        *_, ended = (since, *dbn.advance(SIZES, SETTINGS, *pixels, since))
        assert bits(ended) == bits(whole)


def test_a_wrong_state_would_be_noticed(images: tuple[jax.Array, jax.Array]) -> None:
    """The comparisons above can fail."""
    settings = replace(SETTINGS, hidden=6, persistent=True, momentum=0.5)
    _, first, whole = training.advance(settings, *images)
    for name in ("velocity", "chains"):
        zeros = jax.tree.map(np.zeros_like, getattr(first.state, name))
        wrong = replace(first, state=first.state._replace(**{name: zeros}))
        (ended,) = training.advance(settings, *images, since=wrong)
        assert bits(ended) != bits(whole)


def test_seconds_within_an_epoch_add_up(images: tuple[jax.Array, jax.Array]) -> None:
    settings = replace(SETTINGS, hidden=6)
    _, within = islice(training.advance(settings, *images, every=5), 2)
    assert 0 < within.seconds < 100
    first, second = training.advance(settings, *images, since=replace(within, seconds=1000.0))
    assert 1000 < first.records[0].seconds < 1100
    assert 0 < second.records[1].seconds < 100


def test_a_machine_that_diverged_within_an_epoch_is_not_yielded(images: tuple[jax.Array, jax.Array]) -> None:
    """The error at the epoch's end has the same words with and without segments."""
    settings = replace(SETTINGS, hidden=6, learning_rate=1e20)
    messages = []
    for every in (None, 3):
        course = training.advance(settings, *images, every=every)
        next(course)
        with pytest.raises(DivergedError) as error:
            next(course)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
