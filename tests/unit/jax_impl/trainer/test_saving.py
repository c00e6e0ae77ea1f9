from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from jax_impl import draws
from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.recipes import Recipe
from jax_impl.storage.checkpoints import Checkpoints
from jax_impl.train import EpochRecord
from jax_impl.trainer import one_run, saving
from jax_impl.trainer.progress import Progress, unpack

RECIPE = Recipe(name="small", layers=(784, 8, 10), epochs=3)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(saving, "time", made)
    return made


def course(mnist: Mnist, every: int | None) -> Iterator[Progress]:
    return one_run.advance(RECIPE, mnist, draws.native(RECIPE, 1000), every=every)


def saver(folder: Path, every: int | None) -> saving.Saver:
    return saving.Saver(Checkpoints(folder, {}), epochs=3, steps=10, every=every)


def saved(folder: Path) -> list[int]:
    """The steps of the checkpoints."""
    return [int(path.stem) for path in Checkpoints(folder, {}).paths()]


def test_epochs_are_saved_at_most_once_per_interval(small: Mnist, tmp_path: Path, clock: Clock) -> None:
    assert saving.INTERVAL <= 30  # seconds of training that a kill may cost
    writer = saver(tmp_path, None)
    first, second, third = course(small, None)
    clock.now += saving.INTERVAL - 0.1
    writer.reached(first)
    assert saved(tmp_path) == []
    clock.now += 0.2
    writer.reached(second)
    assert saved(tmp_path) == [20]
    clock.now += saving.INTERVAL - 0.1  # since the last checkpoint
    writer.reached(third)
    assert saved(tmp_path) == [20]
    writer.save()
    assert saved(tmp_path) == [20, 30]


@pytest.mark.usefixtures("clock")
def test_every_segment_is_saved_if_steps_between_checkpoints_are_given(small: Mnist, tmp_path: Path) -> None:
    writer = saver(tmp_path, 4)
    seen = []
    for progress in islice(course(small, 4), 5):
        writer.reached(progress)
        seen.append(saved(tmp_path)[-1])
    assert seen == [4, 8, 10, 14, 18]


def test_save_writes_the_latest_progress_once(small: Mnist, tmp_path: Path, clock: Clock) -> None:
    writer = saver(tmp_path, None)
    writer.save()
    assert saved(tmp_path) == []  # nothing was reached
    first, second, _ = course(small, None)
    writer.reached(first)
    writer.reached(second)
    writer.save()
    assert saved(tmp_path) == [20]
    Checkpoints(tmp_path, {}).remove()
    writer.save()
    assert saved(tmp_path) == []  # it is saved already
    clock.now += saving.INTERVAL - 0.1
    writer.reached(second)
    assert saved(tmp_path) == []  # the interval begins at the last checkpoint


def test_the_checkpoint_holds_the_progress(small: Mnist, tmp_path: Path) -> None:
    writer = saver(tmp_path, 7)
    *_, within = islice(course(small, 7), 3)
    writer.reached(within)
    found = Checkpoints(tmp_path, {}).newest(print)
    assert found
    assert (found.facts["done"], found.facts["steps"], found.facts["epochs"]) == (1, 7, 3)
    assert unpack(*found, like=within.state, record=EpochRecord).records == within.records


def test_the_identity_covers_all_but_the_number_of_epochs(small: Mnist) -> None:
    ours = saving.identity(RECIPE, small, stream="jax")
    assert ours == saving.identity(RECIPE.with_changes(epochs=9), small, stream="jax")
    others = small._replace(train_labels=small.train_labels[::-1].copy())
    changes = {
        "name": "other", "layers": (784, 9, 10), "init": "zeros", "bias_init": "zeros", "init_passes": 2,
        "activation": "tanh", "optimizer": "sgd", "learning_rate": 0.1, "batch_size": 10, "seed": 1, "dtype": "float64",
    }  # fmt: skip
    assert {*changes, "epochs"} == set(vars(RECIPE))
    for other in (
        *(
            saving.identity(RECIPE.with_changes(**{name: value}), small, stream="jax")
            for name, value in changes.items()
        ),
        saving.identity(RECIPE, small, stream="torch"),
        saving.identity(RECIPE, small, stream="jax", dbn="0"),
        saving.identity(RECIPE, others, stream="jax"),
    ):
        assert other != ours


def test_the_identity_has_a_version(small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = saving.identity(RECIPE, small)
    monkeypatch.setattr(saving, "VERSION", saving.VERSION + 1)
    assert saving.identity(RECIPE, small) == ours | {"version": saving.VERSION}


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert saving.file_digest(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert saving.file_digest(None) is None
    with pytest.raises(
        UserError, match=r"cannot read .*none: No such file or directory; name the file that rbm or dbn"
    ):
        saving.file_digest(tmp_path / "none")
