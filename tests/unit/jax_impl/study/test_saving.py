"""Cells that are interrupted after every epoch give the records of cells that were not."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError
from jax_impl.recipes import Recipe
from jax_impl.storage import checkpoint, records
from jax_impl.study import grid as study
from jax_impl.study import saving
from jax_impl.trainer import ensemble
from jax_impl.trainer.trajectories import Reached

CLOCK = ("made", "seconds", "training_seconds")


class Asked(Exception):  # noqa: N818 - it is no error
    pass


def stop() -> None:
    raise Asked


def timeless(out: Path) -> dict[str, dict[str, Any]]:
    """The records without what tells when and how fast they were made."""
    return {
        key: {name: value for name, value in record.items() if name not in CLOCK}
        for key, record in records.load(out / study.RECORDS).items()
    }


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_interrupted_cells_give_the_same_records(optimizer: str, small: Mnist, tmp_path: Path) -> None:
    """Two cells of two seeds for three epochs; each epoch in a start of its own."""
    grid = study.Grid(
        inits=("xavier_normal", "normal"), depths=(1,), optimizers=(optimizer,), width=8, seeds=2, epochs=3
    )
    cells = grid.cells()
    assert len(list(study.go_on(cells, small, tmp_path / "whole"))) == 2
    out, said = tmp_path / "parts", []
    for finished in (0, 0, 1, 1, 1):
        with pytest.raises(Asked):
            list(study.go_on(cells, small, out, heed=stop, log=said.append))
        assert len(timeless(out)) == finished
    assert len(list(study.go_on(cells, small, out, heed=stop, log=said.append))) == 2
    assert said == ["going on after epoch 1 of 3", "going on after epoch 2 of 3"] * 2
    assert timeless(out) == timeless(tmp_path / "whole")
    assert not (out / checkpoint.FOLDER).exists()


def test_cells_of_several_shapes_are_left_between_them(small: Mnist, tmp_path: Path) -> None:
    """The request to end is heeded between the groups, too, and one group's end does not lose another's checkpoint."""
    cells = study.Grid(inits=("xavier_normal",), depths=(1, 2), width=8, seeds=1, epochs=1).cells()
    done = []
    with pytest.raises(Asked):
        for cell, _, _ in study.go_on(cells, small, tmp_path, heed=stop):
            done.append(cell)
    assert done == cells[:1]
    assert len(timeless(tmp_path)) == 1
    other = tmp_path / checkpoint.FOLDER / "of another grid"
    other.mkdir(parents=True)
    assert len(list(study.go_on(cells, small, tmp_path))) == 2
    assert other.exists()


def test_a_checkpoint_fits_another_number_of_runs_at_a_time(small: Mnist) -> None:
    recipe = Recipe(name="small", layers=(784, 8, 10), epochs=3)
    runs = ensemble.drawn(recipe, range(5), small)
    reached = next(ensemble.advance(recipe, runs, small, ensemble.begin(recipe, runs, at_once=2)))
    assert [len(state.learning_rate) for state in reached.states] == [2, 2, 1]
    arrays, facts = saving.packed(reached, 3)
    again = ensemble.drawn(recipe, range(5), small)
    begun = ensemble.begin(recipe, again, at_once=3)
    found = saving.unpacked(checkpoint.Saved(arrays, facts), begun)
    assert [len(state.learning_rate) for state in found.states] == [3, 2]
    (*_, ours), (*_, theirs) = (
        ensemble.advance(recipe, side, small, since) for side, since in ((runs, reached), (again, found))
    )
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (ours.params, theirs.params)), strict=True))
    assert [epoch.epoch for epoch in theirs.epochs] == [1, 2, 3]
    for one, other in zip(ours.epochs, theirs.epochs, strict=True):
        np.testing.assert_array_equal(one.losses, other.losses)


def test_a_checkpoint_within_an_epoch_fits_another_number_of_runs_at_a_time(small: Mnist, tmp_path: Path) -> None:
    """Left in the first epoch, and again in the second; seconds go on, and places grow."""
    recipe = Recipe(name="small", layers=(784, 8, 10), epochs=2)

    def course(at_once: int, saved: checkpoint.Saved | None, every: int | None) -> Iterator[Reached]:
        runs = ensemble.drawn(recipe, range(5), small)
        begun = ensemble.begin(recipe, runs, at_once=at_once)
        since = saving.unpacked(saved, begun) if saved else begun
        return ensemble.advance(recipe, runs, small, since, every=every)

    *_, whole = course(2, None, None)
    saved, places = None, []
    for number, (at_once, units, every) in enumerate([(2, 1, 3), (3, 3, 4), (5, None, None)]):
        for reached in islice(course(at_once, saved, every), units):
            places.append(saving.place(reached))
        if units:
            with checkpoint.Checkpoints(tmp_path / str(number), {}) as kept:
                slower = reached._replace(seconds=reached.seconds + 1000)
                kept.save(places[-1], *saving.packed(slower, recipe.epochs))
            saved = checkpoint.Checkpoints(tmp_path / str(number), {}).newest(print)
    assert places == [3, 7, 10, 14, 20]
    assert [int(epoch.seconds) // 1000 for epoch in reached.epochs] == [1, 1]
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (reached.params, whole.params)), strict=True))
    for ours, theirs in zip(reached.epochs, whole.epochs, strict=True):
        for name in saving.MEASURED:
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), strict=True)


def test_cells_interrupted_within_an_epoch_give_the_same_records(small: Mnist, tmp_path: Path) -> None:
    """Ten steps an epoch, left after four, after the rest, and after four of the next."""
    grid = study.Grid(inits=("xavier_normal", "normal"), depths=(1,), optimizers=("adam",), width=8, seeds=2, epochs=2)
    (cell, _) = grid.cells()
    assert len(list(study.go_on([cell], small, tmp_path / "whole"))) == 1
    out, said = tmp_path / "parts", []
    for every in (4, 7, 4):
        with pytest.raises(Asked):
            list(study.go_on([cell], small, out, heed=stop, log=said.append, every=every))
    assert len(list(study.go_on([cell], small, out, log=said.append))) == 1
    assert said == [f"going on after epoch {where}" for where in ("0 of 2, step 4", "1 of 2", "1 of 2, step 4")]
    assert timeless(out) == timeless(tmp_path / "whole")
    assert not (out / checkpoint.FOLDER).exists()


def test_a_checkpoint_of_another_version_is_refused(
    small: Mnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = study.Grid(inits=("zeros",), depths=(1,), width=8, seeds=1, epochs=2).cells()
    with pytest.raises(Asked):
        list(study.go_on(cells, small, tmp_path, heed=stop))
    monkeypatch.setattr(saving, "VERSION", saving.VERSION + 1)
    with pytest.raises(ArgumentError, match=r"checkpoints cannot be resumed: its version is 1, not 2; "):
        list(study.go_on(cells, small, tmp_path))
