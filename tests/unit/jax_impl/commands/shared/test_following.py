"""How a training is followed: when results and checkpoints are written, and what an early end leaves."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from jax_impl.commands.shared import following
from jax_impl.commands.shared.following import counted, follow
from jax_impl.errors import DivergedError, Interrupted, UserError
from jax_impl.storage.checkpoints import FOLDER, Checkpoints
from jax_impl.train import EpochRecord
from jax_impl.trainer.progress import Progress
from jax_impl.trainer.saving import Saver

EPOCHS = 2  # of four steps, with a checkpoint after every second one


def progress(epochs: int, steps: int = 0) -> Progress:
    records = [EpochRecord(epoch=epoch, cost=1.0, test_accuracy=0.5, seconds=0.1) for epoch in range(1, epochs + 1)]
    return Progress(state={"w": np.full((1, 3), 4.0 * epochs + steps)}, records=tuple(records), steps=steps)


WHOLE = [progress(0, 2), progress(1), progress(1, 2), progress(2)]


class Noted:
    """Outputs that only note what they are asked to write."""

    name, kept = "training", "parameters"

    def __init__(self) -> None:
        self.noted: list[str] = []

    def begin(self, *, replace: bool) -> None:
        self.noted.append(f"begin, {replace=}")

    def epoch(self, progress: Progress) -> None:
        self.noted.append(f"epoch {len(progress.records)}")

    def keep(self, progress: Progress) -> None:
        self.noted.append(f"keep {len(progress.records)}")


@pytest.fixture
def saver(tmp_path: Path) -> Saver:
    return Saver(Checkpoints(tmp_path / FOLDER, {}), epochs=EPOCHS, steps=4, every=2)


def saved(out: Path) -> list[int]:
    return [int(path.stem) for path in Checkpoints(out / FOLDER, {}).paths()]


def never(save: Callable[[], None]) -> None:
    """A command that is not asked to stop."""


def course(found: Sequence[Progress], error: BaseException | None = None) -> Iterator[Progress]:
    yield from found
    if error:
        raise error


def test_an_epoch_is_written_and_an_earlier_run_replaced_at_the_first_progress(saver: Saver, tmp_path: Path) -> None:
    saver.checkpoints.save(99, {"old": np.zeros(1)}, {})
    outputs = Noted()
    last = follow(course(WHOLE), progress(0), outputs, saver, never)
    assert last is WHOLE[-1]
    assert outputs.noted == ["begin, replace=True", "epoch 1", "epoch 2"]
    assert saved(tmp_path) == [6, 8]


def test_a_resumed_run_replaces_nothing(saver: Saver) -> None:
    outputs = Noted()
    follow(course(WHOLE[2:]), WHOLE[1], outputs, saver, never)
    assert outputs.noted == ["begin, replace=False", "epoch 2"]


def test_without_room_an_earlier_run_stays(saver: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise UserError("no room")

    monkeypatch.setattr(Checkpoints, "check_room", no_room)
    outputs = Noted()
    with pytest.raises(UserError, match="no room"):
        follow(course(WHOLE), progress(0), outputs, saver, never)
    assert outputs.noted == []
    assert saved(tmp_path) == []


def test_without_epochs_an_earlier_run_and_its_checkpoints_are_replaced(saver: Saver, tmp_path: Path) -> None:
    saver.checkpoints.save(99, {"old": np.zeros(1)}, {})
    outputs = Noted()
    follow(course([]), progress(0), outputs, saver, never)
    assert outputs.noted == ["begin, replace=True"]
    assert saved(tmp_path) == []


RESUME = ": repeat the command with --resume to continue"
EARLY = [
    (0, "no epoch was finished, nothing was written", []),
    (1, "{out} holds no epochs, and a checkpoint of 2 steps of the next" + RESUME, [2]),
    (2, "{out} holds 1 epoch and the parameters after it" + RESUME, [2, 4]),
    (3, "{out} holds 1 epoch and the parameters after it, and a checkpoint of 2 steps of the next" + RESUME, [4, 6]),
]


@pytest.mark.parametrize(("reached", "note", "checkpoints"), EARLY)
def test_an_interrupted_run_keeps_what_it_reached(
    reached: int, note: str, checkpoints: list[int], saver: Saver, tmp_path: Path
) -> None:
    outputs = Noted()
    error = Interrupted("SIGTERM", exit_code=143)
    with pytest.raises(Interrupted) as caught:
        follow(course(WHOLE[:reached], error), progress(0), outputs, saver, never)
    assert caught.value.exit_code == 143
    assert str(caught.value) == f"SIGTERM; {note.format(out=tmp_path)}"
    assert saved(tmp_path) == checkpoints
    assert ("keep 1" in outputs.noted) == (reached > 1)


def test_a_diverged_run_keeps_its_epochs_but_no_checkpoint(saver: Saver, tmp_path: Path) -> None:
    """A resumed run would diverge again."""
    outputs = Noted()
    with pytest.raises(DivergedError) as caught:
        follow(course(WHOLE[:3], DivergedError("nan")), progress(0), outputs, saver, never)
    assert str(caught.value) == f"nan; {tmp_path} holds 1 epoch and the parameters after it"
    assert outputs.noted[-1] == "keep 1"
    assert saved(tmp_path) == []


def test_a_reader_that_leaves_ends_the_run_and_what_was_reached_is_kept(
    saver: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(following, "say", closed)
    outputs = Noted()
    with pytest.raises(BrokenPipeError):
        follow(course(WHOLE), progress(0), outputs, saver, never)
    assert outputs.noted == ["begin, replace=True", "epoch 1", "keep 1"]
    assert saved(tmp_path) == [2, 4]


def test_a_run_resumed_within_an_epoch_does_not_keep_unfinished_parameters(saver: Saver, tmp_path: Path) -> None:
    outputs = Noted()
    with pytest.raises(Interrupted) as caught:
        follow(course([], KeyboardInterrupt()), WHOLE[2], outputs, saver, never)
    assert str(caught.value) == f"{tmp_path} holds 1 epoch, and a checkpoint of 2 steps of the next{RESUME}"
    assert outputs.noted == ["begin, replace=False"]


def test_a_run_is_asked_whether_to_stop_after_every_progress_but_the_last(saver: Saver, tmp_path: Path) -> None:
    """After the last epoch there is nothing to continue."""
    asked: list[list[int]] = []
    follow(course(WHOLE), progress(0), Noted(), saver, lambda save: asked.append(saved(tmp_path)))
    assert asked == [[2], [2, 4], [4, 6]]


def test_the_latest_progress_is_saved_before_the_command_stops(saver: Saver, tmp_path: Path) -> None:
    """Also where only some of it is saved by itself."""

    def stop(save: Callable[[], None]) -> None:
        save()
        raise Interrupted(exit_code=124)

    saver.every = None
    with pytest.raises(Interrupted):
        follow(course(WHOLE[1:]), progress(0), Noted(), saver, stop)
    assert saved(tmp_path) == [4]


@pytest.mark.parametrize(("number", "text"), [(0, "no steps"), (1, "1 step"), (2, "2 steps")])
def test_numbers_are_told_in_words(number: int, text: str) -> None:
    assert counted(number, "step") == text
