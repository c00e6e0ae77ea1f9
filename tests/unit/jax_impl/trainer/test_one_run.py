"""A training that is resumed ends in the same bits as one that was never interrupted."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import jax
import numpy as np
import pytest

from jax_impl import draws, train
from jax_impl.data import Mnist
from jax_impl.errors import DivergedError
from jax_impl.recipes import Recipe
from jax_impl.starts.replayed import replayed
from jax_impl.storage.checkpoints import Checkpoints
from jax_impl.trainer import one_run
from jax_impl.trainer.progress import Progress, pack
from tests.tiers import slow

RECIPE = Recipe(name="small", layers=(784, 16, 12, 10), epochs=3)
STREAMS = {"torch": replayed, "jax": draws.native}


def through_a_file(progress: Progress, recipe: Recipe, folder: Path) -> Progress:
    """The progress that another process reads from the checkpoint."""
    Checkpoints(folder, {}).save(1, *pack(progress, recipe.epochs))
    return one_run.begin(recipe, draws.native(recipe, 1000), Checkpoints(folder, {}).newest(print))


def leaves(progress: Progress) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(progress.state)]


def same(one: Progress, other: Progress) -> bool:
    """Whether all but the seconds are equal, to the last bit."""
    numbers = [[(r.epoch, r.cost, r.test_accuracy) for r in side.records] for side in (one, other)]
    return (
        numbers[0] == numbers[1]
        and np.array_equal(one.losses, other.losses)
        and all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(leaves(one), leaves(other), strict=True))
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stream", "changes"),
    [
        ("torch", {}),
        slow("jax", {}),
        slow("torch", {"optimizer": "sgd", "activation": "tanh"}),
        slow("jax", {"dtype": "float64", "init": "kaiming_normal"}),
    ],
)
def test_a_resumed_run_ends_in_the_same_bits(
    stream: str, changes: dict[str, str], small: Mnist, tmp_path: Path
) -> None:
    """An epoch has ten steps. Interrupted after the first epoch, and in the second one after three and seven steps."""
    recipe = RECIPE.with_changes(**changes)
    with jax.enable_x64(recipe.dtype == "float64"):
        (*_, whole) = one_run.advance(recipe, small, STREAMS[stream](recipe, 1000))
        since, reached = None, []
        for parts, every in ((1, None), (1, 3), (1, 4), (None, None)):
            course = one_run.advance(recipe, small, STREAMS[stream](recipe, 1000), since, every=every)
            (*_, progress) = islice(course, parts)
            reached.append((len(progress.records), progress.steps))
            since = through_a_file(progress, recipe, tmp_path / str(len(reached)))
            assert same(since, progress)
        assert reached == [(1, 0), (1, 3), (1, 7), (3, 0)]
        assert same(since, whole)


@pytest.mark.parametrize(
    ("every", "parts"),
    [(3, 3), (11, 1), *(slow(*case) for case in ((1, 5), (4, 3), (10, 1)))],
)
def test_segments_do_not_change_the_bits(every: int, parts: int, small: Mnist) -> None:
    """An epoch has ten steps. Without `every` the plain `train.fit` runs, with it the engine."""
    recipe = RECIPE.with_changes(epochs=2)
    (*_, whole) = one_run.advance(recipe, small, draws.native(recipe, 1000))
    course = list(one_run.advance(recipe, small, draws.native(recipe, 1000), every=every))
    assert len(course) == 2 * parts
    assert same(course[-1], whole)


def test_a_wrong_optimizer_state_or_epoch_would_be_noticed(small: Mnist) -> None:
    """The comparisons above can fail."""
    recipe = RECIPE.with_changes(epochs=2)
    (first, whole) = one_run.advance(recipe, small, draws.native(recipe, 1000))
    fresh = one_run.begin(recipe, draws.native(recipe, 1000))
    reset = replace(first, state=first.state._replace(opt_state=fresh.state.opt_state))
    (ended,) = one_run.advance(recipe, small, draws.native(recipe, 1000), reset)
    assert not same(ended, whole)
    longer = recipe.with_changes(epochs=3)
    skipped = replace(first, records=first.records * 2)  # as if two epochs were finished
    (ended,) = one_run.advance(longer, small, draws.native(longer, 1000), skipped)
    assert not np.array_equal(leaves(ended)[0], leaves(whole)[0])  # another epoch's order


@pytest.mark.parametrize("every", [None, 99])
def test_one_run_computes_what_fit_computes(every: int | None, small: Mnist) -> None:
    """To the last bit; with `every`, the engine trains."""
    fitted = list(train.fit(RECIPE, small, draws.native(RECIPE, 1000)))
    begun = one_run.begin(RECIPE, draws.native(RECIPE, 1000))
    assert (begun.records, begun.steps) == ((), 0)
    course = list(one_run.advance(RECIPE, small, draws.native(RECIPE, 1000), begun, every=every))
    for number, (progress, (record, state)) in enumerate(zip(course, fitted, strict=True), start=1):
        ours = progress.records[-1]
        assert len(progress.records) == ours.epoch == number
        assert (ours.cost, ours.test_accuracy) == (record.cost, record.test_accuracy)
        assert progress.losses is not None
        assert progress.losses.shape == (1, 0)
        for a, b in zip(leaves(progress), jax.tree.leaves(state), strict=True):
            np.testing.assert_array_equal(a[0], b, strict=True)


def test_seconds_within_an_epoch_add_up(small: Mnist) -> None:
    within = next(one_run.advance(RECIPE, small, draws.native(RECIPE, 1000), every=5))
    assert 0 < within.seconds < 100
    slower = replace(within, seconds=1000.0)
    first, second, _ = one_run.advance(RECIPE, small, draws.native(RECIPE, 1000), slower)
    assert 1000 < first.records[0].seconds < 1100
    assert 0 < second.records[1].seconds < 100


@pytest.mark.parametrize("every", [None, 3])
def test_a_run_that_diverges_is_an_error(every: int | None, small: Mnist) -> None:
    recipe = RECIPE.with_changes(learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"cost became nan in epoch 1, step \d+: the learning rate 1e\+30"):
        list(one_run.advance(recipe, small, draws.native(recipe, 1000), every=every))
