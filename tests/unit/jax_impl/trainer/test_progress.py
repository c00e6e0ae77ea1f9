"""Progress comes back from the content of a checkpoint to the last bit."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jax_impl import draws
from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from jax_impl.starts.from_images import draw_seeds
from jax_impl.train import EpochRecord
from jax_impl.trainer import engine, one_run, progress
from jax_impl.trainer.progress import EpochOfRuns, Progress

RECIPE = Recipe(name="small", layers=(784, 8, 10), epochs=3)
STATE_NAMES = {
    "state.learning_rate",
    "state.opt_state.0.count",
    *(
        f"state.{tree}.linear{number}.{part}"
        for tree in ("params", "opt_state.0.mu", "opt_state.0.nu")
        for number in (1, 2)
        for part in ("kernel", "bias")
    ),
}


def bits(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    return value


def assert_same(one: Progress, other: Progress) -> None:
    """To the last bit, dtypes and seconds included."""
    assert (one.steps, one.seconds, len(one.records)) == (other.steps, other.seconds, len(other.records))
    np.testing.assert_array_equal(one.losses, other.losses, strict=True)
    for ours, theirs in zip(one.records, other.records, strict=True):
        assert {name: bits(value) for name, value in vars(ours).items()} == {
            name: bits(value) for name, value in vars(theirs).items()
        }
    assert jax.tree.structure(one.state) == jax.tree.structure(other.state)
    for a, b in zip(*(jax.tree.leaves(side.state) for side in (one, other)), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_the_progress_of_one_run_is_unpacked_as_it_was_packed(small: Mnist) -> None:
    reached = list(one_run.advance(RECIPE, small, draws.native(RECIPE, 1000), every=4))
    for before in reached[:-1]:
        tensors, facts = progress.pack(before, 3)
        assert tensors.keys() == STATE_NAMES | {"losses"}
        assert (facts["done"], facts["epochs"], facts["steps"]) == (len(before.records), 3, before.steps)
        assert_same(progress.unpack(tensors, facts, like=reached[-1].state, record=EpochRecord), before)


def test_the_progress_of_several_runs_is_unpacked_as_it_was_packed(small: Mnist) -> None:
    """Each epoch's arrays are tensors, too, as in record1.losses."""
    runs = draw_seeds(RECIPE, (1, 2), small)
    begun = engine.begin(RECIPE, runs)
    before = [begun, *engine.advance(RECIPE, runs, small, begun, every=4)][5]
    tensors, facts = progress.pack(before, 3)
    record_names = {f"record1.{name}" for name in ("costs", "losses", "test_accuracies", "finite")}
    assert tensors.keys() == STATE_NAMES | {"losses"} | record_names
    assert (facts["done"], facts["steps"]) == (1, 8)
    assert_same(progress.unpack(tensors, facts, like=begun.state, record=EpochOfRuns), before)


def test_the_record_of_one_of_several_runs(small: Mnist) -> None:
    runs = draw_seeds(RECIPE, (1, 2), small)
    ((together, _), *_) = engine.fit_many(RECIPE, runs, small)
    record = together.of_run(1)
    assert record == EpochRecord(
        epoch=1, cost=together.costs[1], test_accuracy=together.test_accuracies[1], seconds=together.seconds
    )


def test_one_process_keeps_its_own_progress(small: Mnist) -> None:
    reached = next(one_run.advance(RECIPE, small, draws.native(RECIPE, 1000)))
    like = jax.tree.map(np.zeros_like, reached.state)
    assert progress.from_first_process(None, like, EpochRecord) is None
    within = replace(reached, steps=2, losses=np.ones((1, 2), np.float32), seconds=3.0)
    for before in (reached, within, replace(within, losses=None)):
        found = progress.from_first_process(before, like, EpochRecord)
        assert found is not None
        assert_same(found, before)
