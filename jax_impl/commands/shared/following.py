"""Follows a training: writes its results and checkpoints, prints its lines, and keeps both if it ends early."""

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from jax_impl.commands.shared.terminal import complain, epochs_bar, say, waiting
from jax_impl.errors import DivergedError, with_note
from jax_impl.trainer import estimate
from jax_impl.trainer.progress import Progress, pack
from jax_impl.trainer.saving import Saver

# Raises if the command must stop, after it has called the function that it is given.
RaiseIfStopped = Callable[[Callable[[], None]], None]


@runtime_checkable
class Outputs(Protocol):
    """The files of a run, and their words."""

    name: str  # of the progress bar
    kept: str  # what `keep` writes, in words

    def begin(self, *, replace: bool) -> None:
        """Write config.json; with `replace`, delete the results of an earlier run."""

    def epoch(self, progress: Progress) -> None:
        """Write what a finished epoch measured."""

    def keep(self, progress: Progress) -> None:
        """Write the results after the last whole epoch."""


def announce(work: estimate.Work) -> None:
    """Print how long a run will take, if that is long. It may be what the user wants, so it is not refused."""

    def timed() -> estimate.Speed:
        with waiting("timing this machine"):
            return estimate.measure()

    if (hours := estimate.hours_if_long(work, timed)) is not None:
        complain(f"the whole run takes about {hours:.3g} hours here: Ctrl-C saves it, and --resume continues it")


def follow(
    course: Iterator[Progress], initial: Progress, outputs: Outputs, saver: Saver, raise_if_stopped: RaiseIfStopped
) -> Progress:
    """Follow a training to its end and return its last progress.

    `course` yields the progress after each segment and epoch, `initial` is that before the first of these. An earlier
    run in the folder is replaced only when there is something to put in its place.

    Raises:
        DivergedError: As the training does; the text says what is kept. So does the text of an `Interrupted`.
    """
    progress = initial
    whole = None if initial.steps else initial  # after the last whole epoch
    begun = resumed = bool(initial.records or initial.steps)
    try:
        with epochs_bar() as bar:
            task = bar.add_task(outputs.name, total=saver.epochs, completed=len(initial.records))
            if resumed:
                outputs.begin(replace=False)  # the number of epochs may differ
            for progress in course:
                if not begun:
                    saver.checkpoints.check_room(pack(progress, saver.epochs)[0])
                    _replace_earlier_run(outputs, saver)
                    begun = True
                saver.reached(progress)
                if not progress.steps:
                    whole = progress
                    outputs.epoch(progress)
                    say(str(progress.records[-1]))
                    bar.update(task, advance=1)
                if len(progress.records) < saver.epochs:
                    raise_if_stopped(saver.save)
    except (DivergedError, KeyboardInterrupt, BrokenPipeError) as error:
        note = _keep(error, progress, whole, outputs, saver)
        if isinstance(error, BrokenPipeError):
            raise
        raise with_note(error, note) from error
    if not begun:
        _replace_earlier_run(outputs, saver)
    saver.save()
    return progress


def _replace_earlier_run(outputs: Outputs, saver: Saver) -> None:
    """Write config.json, and delete the results and checkpoints of an earlier run."""
    outputs.begin(replace=True)
    saver.checkpoints.remove()


def _keep(error: BaseException, progress: Progress, whole: Progress | None, outputs: Outputs, saver: Saver) -> str:
    """Write the results of a training that ended early, and return a note about them."""
    epochs, steps = len(progress.records), progress.steps
    if not epochs and not steps:
        return "no epoch was finished, nothing was written"
    text = f"{saver.checkpoints.folder.parent} holds {counted(epochs, 'epoch')}"
    if epochs and whole is not None and whole.records:
        outputs.keep(whole)
        text += f" and the {outputs.kept} after {'it' if epochs == 1 else 'them'}"
    if isinstance(error, DivergedError):
        saver.checkpoints.remove()  # a resumed run would diverge again
        return text
    saver.save()
    if steps:
        text += f", and a checkpoint of {counted(steps, 'step')} of the next"
    return f"{text}: repeat the command with --resume to continue"


def counted(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
