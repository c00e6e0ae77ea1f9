"""A training that is resumed ends in the same bits as one that was never interrupted."""

from itertools import islice
from pathlib import Path

import jax
import numpy as np
import pytest

from jax_impl import draws, train
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, UserError
from jax_impl.recipes import Recipe
from jax_impl.replay import notebook
from jax_impl.storage.checkpoint import Checkpoints
from jax_impl.trainer import resuming
from jax_impl.trainer.trajectory import Progress

RECIPE = Recipe(name="small", layers=(784, 16, 12, 10), epochs=3)
STREAMS = {"torch": notebook.replayed, "jax": draws.native}


def through_a_file(progress: Progress, recipe: Recipe, stream: str, folder: Path) -> Progress:
    """What another process finds in the checkpoint; its draws were made anew, and its training not begun."""
    with Checkpoints(folder, {}) as kept:
        kept.save(resuming.place(progress, 10), *resuming.packed(progress, recipe.epochs))
    saved = Checkpoints(folder, {}).newest(print)
    assert saved
    return resuming.unpacked(saved, recipe, STREAMS[stream](recipe, 1000))


def leaves(progress: Progress) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(progress.state)]


def same(one: Progress, other: Progress) -> bool:
    """Seconds aside."""
    numbers = [[(r.epoch, r.cost, r.test_accuracy) for r in side.records] for side in (one, other)]
    return (
        numbers[0] == numbers[1]
        and np.array_equal(one.losses, other.losses)
        and all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(leaves(one), leaves(other), strict=True))
        and all(np.array_equal(one.stream[name], other.stream[name]) for name in one.stream)
    )


@pytest.mark.parametrize(
    ("stream", "changes"),
    [
        ("torch", {}),
        ("jax", {}),
        ("torch", {"optimizer": "sgd", "activation": "tanh"}),
        ("jax", {"dtype": "float64", "init": "kaiming_normal"}),
    ],
)
def test_a_training_goes_on_to_the_same_bits(
    stream: str, changes: dict[str, str], small: Mnist, tmp_path: Path
) -> None:
    """Interrupted after an epoch, after three steps of one, and once more after seven; ten steps are an epoch."""
    recipe = RECIPE.but(**changes)
    with jax.enable_x64(recipe.dtype == "float64"):
        (*_, whole) = train.advance(recipe, small, STREAMS[stream](recipe, 1000))
        at, left = None, [(1, None), (3, 1), (2, 2), (None, None)]
        for number, (units, every) in enumerate(left):
            course = train.advance(recipe, small, STREAMS[stream](recipe, 1000), since=at, every=every)
            (*_, at) = islice(course, units)
            if units:
                at = through_a_file(at, recipe, stream, tmp_path / str(number))
        assert [len(at.records), len(at.losses)] == [3, 0]
        assert same(at, whole)


@pytest.mark.parametrize(("every", "parts"), [(1, 5), (3, 3), (4, 3), (10, 1), (11, 1)])
def test_the_steps_between_two_checkpoints_change_nothing(every: int, parts: int, small: Mnist) -> None:
    recipe = RECIPE.but(epochs=2)
    (*_, whole) = train.advance(recipe, small, draws.native(recipe, 1000))
    course = list(train.advance(recipe, small, draws.native(recipe, 1000), every=every))
    assert len(course) == 2 * parts  # of ten steps
    assert same(course[-1], whole)


def test_a_place_is_a_number_of_steps(small: Mnist) -> None:
    course = train.advance(RECIPE, small, draws.native(RECIPE, 1000), every=4)
    assert [resuming.place(progress, 10) for progress in islice(course, 4)] == [4, 8, 10, 14]


def test_a_stream_that_is_left_out_would_be_seen(small: Mnist) -> None:
    """The comparison above can fail: by the orders, and by the optimizer's moments."""
    recipe = RECIPE.but(epochs=2)
    (first, whole) = train.advance(recipe, small, draws.native(recipe, 1000))
    fresh = train.begin(recipe, draws.native(recipe, 1000))
    for wrong in (
        Progress(**{**vars(first), "stream": fresh.stream}),
        Progress(**{**vars(first), "state": first.state._replace(opt_state=fresh.state.opt_state)}),
    ):
        (ended,) = train.advance(recipe, small, draws.native(recipe, 1000), since=wrong)
        assert not same(ended, whole)


def test_the_identity_is_all_but_the_number_of_epochs(small: Mnist) -> None:
    ours = resuming.identity(RECIPE, small, stream="jax")
    assert ours == resuming.identity(RECIPE.but(epochs=9), small, stream="jax")
    others = small._replace(train_labels=small.train_labels[::-1].copy())
    for other in (
        resuming.identity(RECIPE.but(seed=1), small, stream="jax"),
        resuming.identity(RECIPE.but(dtype="float64"), small, stream="jax"),
        resuming.identity(RECIPE, small, stream="torch"),
        resuming.identity(RECIPE, others, stream="jax"),
    ):
        assert other != ours


def test_what_is_there_decides_what_is_done(small: Mnist, tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "run" / "checkpoints", {})
    heard: list[str] = []

    def found(recipe: Recipe, *, resume: bool) -> Progress | None:
        drawn = draws.native(recipe, 1000)
        return resuming.found(kept, recipe, drawn, resume=resume, log=heard.append)

    assert found(RECIPE, resume=False) is None
    assert heard == []
    assert found(RECIPE, resume=True) is None
    assert heard == [f"nothing to resume in {tmp_path / 'run'}: beginning"]
    course = train.advance(RECIPE, small, draws.native(RECIPE, 1000), every=5)
    with kept:
        for progress in islice(course, 3):
            kept.save(resuming.place(progress, 10), *resuming.packed(progress, RECIPE.epochs))
    with pytest.raises(UserError, match=r"run holds an unfinished run, 1 of 3 epochs: add --resume to go on with it"):
        found(RECIPE, resume=False)
    since = found(RECIPE, resume=True)
    assert since
    assert same(since, progress)
    assert found(RECIPE.but(epochs=2), resume=True)
    with pytest.raises(ArgumentError, match=r"run has come to epoch 2: --epochs must not be less, got 1"):
        found(RECIPE.but(epochs=1), resume=True)
    with kept:
        for progress in course:
            kept.save(resuming.place(progress, 10), *resuming.packed(progress, RECIPE.epochs))
    assert found(RECIPE, resume=False) is None  # a finished one may be replaced
