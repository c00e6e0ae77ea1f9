"""Machines whose epochs are cut, and resumed within one, end in the same bits as those of whole epochs."""

from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, DivergedError
from jax_impl.pixels import scale
from jax_impl.rbm import dbn, resuming, training
from jax_impl.rbm.dbn import StackReached
from jax_impl.rbm.settings import Settings
from jax_impl.storage.checkpoint import Checkpoints

SETTINGS = Settings(epochs=2, batch_size=100)  # of ten steps
SIZES = (6, 5)


@pytest.fixture(scope="module")
def images(small: Mnist) -> tuple[jax.Array, jax.Array]:
    train, test = (scale(jnp.asarray(part), "float32") for part in (small.train_images, small.test_images))
    return train, test


def bits(reached: training.Reached | StackReached) -> list[Any]:
    """All that was reached but the seconds."""
    records = [asdict(record) | {"seconds": 0.0} for record in reached.records]
    arrays = jax.tree.leaves((getattr(reached, "below", ()), reached.state))
    return [reached.steps, records, *((array.dtype, array.shape, array.tobytes()) for array in map(np.array, arrays))]


@pytest.mark.parametrize("every", [1, 3, 5, 7, 9, 10, 11])
def test_the_steps_between_two_checkpoints_change_nothing(every: int, images: tuple[jax.Array, jax.Array]) -> None:
    settings = replace(SETTINGS, hidden=6)
    (*_, whole) = training.advance(settings, *images)
    course = list(training.advance(settings, *images, every=every))
    within = {1: [2, 4, 6, 8], 3: [3, 6], 5: [5], 7: [7]}.get(every, [])
    assert [reached.steps for reached in course] == [0, *within, 0, *within, 0]
    assert bits(course[-1]) == bits(whole)


@pytest.mark.parametrize(
    ("changes", "together", "every"),
    [
        ({"hidden": 6, "k": 5, "persistent": True, "momentum": 0.5}, 3, 4),
        ({"k": 3, "batch_size": 40, "sparsity_cost": 0.1, "weight_decay": 0.001}, 8, 11),
    ],
)
def test_cuts_may_lie_anywhere_in_what_is_drawn_together(
    changes: dict[str, Any], together: int, every: int, images: tuple[jax.Array, jax.Array]
) -> None:
    """Random numbers come for several steps at a time, here for fewer than an epoch has; the default size is there."""
    settings = replace(SETTINGS, epochs=1, **changes)
    numbers = settings.k * settings.batch_size * (784 + settings.hidden)
    assert training.DRAWN_TOGETHER // numbers == together
    (*_, whole), (*_, cut) = (training.advance(settings, *images, every=steps) for steps in (None, every))
    assert bits(cut) == bits(whole)


def through_a_file(reached: StackReached, folder: Path) -> StackReached:
    """What another process finds in the checkpoint."""
    with Checkpoints(folder, {}) as kept:
        kept.save(resuming.place(reached, 10), *resuming.packed(reached, 4))
    saved = Checkpoints(folder, {}).newest(print)
    assert saved
    assert (saved.facts["done"], saved.facts["epochs"]) == (len(reached.records), 4)
    return resuming.unpacked(saved)


def test_a_stack_goes_on_to_the_same_bits_from_within_an_epoch(
    images: tuple[jax.Array, jax.Array], tmp_path: Path
) -> None:
    """Left in the first machine's first epoch, after its last, in the second one's first, and in the last of all."""
    settings = replace(SETTINGS, persistent=True, momentum=0.5)
    (*_, whole) = dbn.advance_stack(SIZES, settings, *images)
    at, seen = None, []
    for number, (units, every) in enumerate([(2, 3), (3, 7), (2, 7), (2, 3), (None, None)]):
        for reached in islice(dbn.advance_stack(SIZES, settings, *images, at, every), units):
            seen += [] if reached.fresh else [resuming.place(reached, 10)]
            last = reached
        if units:
            at = through_a_file(last, tmp_path / str(number))
            assert at.seconds == last.seconds
            assert bits(at) == bits(last)
    assert seen == [3, 10, 17, 20, 27, 30, 33, 40]
    assert bits(last) == bits(whole)


def test_seconds_go_on_within_an_epoch(images: tuple[jax.Array, jax.Array]) -> None:
    settings = replace(SETTINGS, hidden=6)
    _, cut = islice(training.advance(settings, *images, every=5), 2)
    assert 0 < cut.seconds < 100
    first, second = training.advance(settings, *images, since=cut._replace(seconds=1000.0))
    assert 1000 < first.records[0].seconds < 1100
    assert 0 < second.records[1].seconds < 100


def test_what_would_count_as_diverged_is_no_place_to_go_on_from(images: tuple[jax.Array, jax.Array]) -> None:
    """It is said at the epoch's end, in the same words as without cuts."""
    settings = replace(SETTINGS, hidden=6, learning_rate=1e20)
    said = []
    for every in (None, 3):
        course = training.advance(settings, *images, every=every)
        next(course)
        with pytest.raises(DivergedError) as error:
            next(course)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_a_checkpoint_of_another_version_is_refused(
    small: Mnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run" / "checkpoints"
    with Checkpoints(folder, resuming.identity(SIZES, SETTINGS, small)) as kept:
        kept.save(1, {"array": np.ones(3)}, {})
    monkeypatch.setattr(resuming, "VERSION", resuming.VERSION + 1)
    with pytest.raises(ArgumentError, match=r"run cannot be resumed: its version is 2, not 3; "):
        Checkpoints(folder, resuming.identity(SIZES, SETTINGS, small)).newest(print)
