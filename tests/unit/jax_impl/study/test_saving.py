"""Cells that are interrupted and resumed give the records of cells that are not."""

from pathlib import Path
from typing import Any

import pytest

from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, Interrupted
from jax_impl.storage import records
from jax_impl.storage.checkpoints import FOLDER
from jax_impl.study import grid, saving
from jax_impl.study.grid import Grid

CLOCK = ("made", "seconds", "training_seconds")


def stop() -> None:
    """As the command does when it was asked to stop."""
    raise Interrupted


class Killed(Exception):  # noqa: N818 - ends the study without the chance to save
    pass


def timeless(out: Path) -> dict[str, dict[str, Any]]:
    """The records without their times."""
    return {
        key: {name: value for name, value in record.items() if name not in CLOCK}
        for key, record in records.load(out / grid.RECORDS).items()
    }


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_cells_interrupted_after_each_epoch_give_the_same_records(optimizer: str, small: Mnist, tmp_path: Path) -> None:
    """Two cells of two seeds for three epochs. Every start finishes one epoch."""
    axes = Grid(inits=("xavier_normal", "normal"), depths=(1,), optimizers=(optimizer,), width=8, seeds=2, epochs=3)
    cells = axes.cells()
    assert len(list(grid.run_remaining(cells, small, tmp_path / "whole"))) == 2
    out, lines = tmp_path / "parts", []
    for finished in (0, 0, 1, 1, 1):
        with pytest.raises(Interrupted):
            list(grid.run_remaining(cells, small, out, raise_if_stopped=stop, log=lines.append))
        assert len(timeless(out)) == finished
    assert len(list(grid.run_remaining(cells, small, out, raise_if_stopped=stop, log=lines.append))) == 2
    assert lines == ["continuing after epoch 1 of 3", "continuing after epoch 2 of 3"] * 2
    assert timeless(out) == timeless(tmp_path / "whole")
    assert not (out / FOLDER).exists()


def test_cells_interrupted_within_an_epoch_give_the_same_records(small: Mnist, tmp_path: Path) -> None:
    """An epoch has ten steps. Left after four, after the other six, and after four of the next epoch."""
    (cell,) = Grid(inits=("normal",), depths=(1,), optimizers=("adam",), width=8, seeds=2, epochs=2).cells()
    assert len(list(grid.run_remaining([cell], small, tmp_path / "whole"))) == 1
    out, lines = tmp_path / "parts", []
    for every in (4, 7, 4):
        with pytest.raises(Interrupted):
            list(grid.run_remaining([cell], small, out, raise_if_stopped=stop, log=lines.append, every=every))
    assert len(list(grid.run_remaining([cell], small, out, log=lines.append))) == 1
    assert lines == [f"continuing after epoch {place}" for place in ("0 of 2, step 4", "1 of 2", "1 of 2, step 4")]
    assert timeless(out) == timeless(tmp_path / "whole")
    assert not (out / FOLDER).exists()


@pytest.mark.parametrize(("every", "lines"), [(4, ["continuing after epoch 1 of 2, step 4"]), (None, [])])
def test_a_killed_study_continues_from_the_last_segment_if_all_are_saved(
    every: int | None, lines: list[str], small: Mnist, tmp_path: Path
) -> None:
    """Without `every`, nothing is saved in the first seconds."""
    cells = Grid(inits=("normal",), depths=(1,), width=8, seeds=1, epochs=2).cells()
    left = 4 if every else 1

    def kill() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Killed

    with pytest.raises(Killed):
        list(grid.run_remaining(cells, small, tmp_path, raise_if_stopped=kill, every=every))
    seen: list[str] = []
    assert len(list(grid.run_remaining(cells, small, tmp_path, log=seen.append))) == 1
    assert seen == lines


def test_a_study_can_stop_between_cells_of_two_shapes(small: Mnist, tmp_path: Path) -> None:
    """A finished cell's checkpoints are deleted, those of others are not."""
    cells = Grid(inits=("xavier_normal",), depths=(1, 2), width=8, seeds=1, epochs=1).cells()
    done = []
    with pytest.raises(Interrupted):
        for cell, _, _ in grid.run_remaining(cells, small, tmp_path, raise_if_stopped=stop):
            done.append(cell)
    assert done == cells[:1]
    assert len(timeless(tmp_path)) == 1
    other = tmp_path / FOLDER / "of another grid"
    other.mkdir(parents=True)
    assert len(list(grid.run_remaining(cells, small, tmp_path))) == 2
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [other.name]


@pytest.mark.parametrize("changed", ["version", "data"])
def test_a_checkpoint_of_another_version_or_other_data_is_refused(
    changed: str, small: Mnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = Grid(inits=("zeros",), depths=(1,), width=8, seeds=1, epochs=2).cells()
    with pytest.raises(Interrupted):
        list(grid.run_remaining(cells, small, tmp_path, raise_if_stopped=stop))
    if changed == "version":
        monkeypatch.setattr(saving, "VERSION", saving.VERSION + 1)
    else:
        small = small._replace(train_labels=small.train_labels[::-1].copy())
    with pytest.raises(ArgumentError, match=rf"checkpoints cannot be resumed: its {changed} is .*, not .*; use the"):
        list(grid.run_remaining(cells, small, tmp_path))
