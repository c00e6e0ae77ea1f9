"""The command `train`: trains a recipe and writes the run folder."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torchvision.datasets import MNIST

from torch_ref import checkpoint, cli, data, loaders, model, recipes, runs, stopping, train
from torch_ref.errors import ArgumentError, DivergedError, UserError, keeping
from torch_ref.recipes import Recipe
from torch_ref.train import Training

Say = Callable[[str], None]
ROOM = 10  # times the parameters: they, and three checkpoints with Adam's moments, of which the oldest goes last


def recipe_of(command: cli.Train) -> Recipe:
    """Return what is to be trained.

    Raises:
        ArgumentError: A value is out of range or a name unknown.
    """
    recipe = recipes.named(command.recipe).but(
        epochs=command.epochs,
        seed=command.seed,
        init=command.init,
        activation=command.activation,
        optimizer=command.optimizer,
        init_passes=command.init_passes,
        batch_size=command.batch_size,
        learning_rate=command.learning_rate,
        dtype=command.dtype,
    )
    if command.threads < 1:
        raise ArgumentError(f"threads must be an integer >= 1, got {command.threads}")
    if command.checkpoint_every is not None and command.checkpoint_every < 1:
        raise ArgumentError(f"--checkpoint-every must be an integer >= 1, got {command.checkpoint_every}")
    model.initialisers(recipe)
    return recipe


def run(command: cli.Train, recipe: Recipe, say: Say, complain: Say, stop: stopping.Stop) -> None:
    """Run the command; what it has to say is said line by line.

    Raises:
        UserError: As the parts do.
        DivergedError: With the words that say what is kept; so does an `errors.Interrupted`.
    """
    out = command.out or Path("runs") / f"torch_ref-{recipe.name}-{recipe.seed}"
    torch.set_num_threads(command.threads)
    mnist_train, mnist_test = data.load(command.data_dir, dtype=recipe.dtype, log=complain)
    loaders.check_batch_size(recipe, mnist_train)
    runs.check(out)
    # The number of threads decides in which order sums are taken, and with it the last digits.
    settings = checkpoint.identity(recipe, loader=command.loader, threads=command.threads, data=data.SHA256)
    with runs.taken(out):
        saved = _saved(out, settings, recipe, resume=command.resume, log=complain)
        training = train.begin(recipe, mnist_train, loader=command.loader)
        if saved is None:
            train.initialise_(training, recipe, mnist_train)
        else:
            checkpoint.restore_(training, saved)
        with stop.softly():
            _write(command, training, mnist_test, _Run(recipe, out, settings, say, stop))


class _Run(NamedTuple):
    """What is written of a training, and where."""

    recipe: Recipe
    out: Path
    settings: dict[str, object]
    say: Say
    stop: stopping.Stop


def _saved(
    out: Path, settings: dict[str, object], recipe: Recipe, *, resume: bool, log: Say
) -> dict[str, object] | None:
    """Return the checkpoint to go on from, if the run is to be resumed and there is one.

    Raises:
        ArgumentError: Another training was begun there, or one of more epochs.
        UserError: An unfinished one would be lost, or no checkpoint is whole.
    """
    if not resume:
        there = checkpoint.glance(out)
        if there and len(there["records"]) < there["epochs"]:
            raise UserError(
                f"{out} holds an unfinished run, {len(there['records'])} of {there['epochs']} epochs: add --resume to "
                "go on with it, or name another --out, or delete the folder"
            )
        return None
    saved = checkpoint.newest(out, log)
    if saved is None:
        log(f"nothing to resume in {out}: beginning")
    else:
        checkpoint.check(saved, settings, recipe, out)
    return saved


def _write(command: cli.Train, training: Training, mnist_test: MNIST, run: _Run) -> None:
    """Train, and write what is reached, also when the training ends early."""
    recipe, out, stop = run.recipe, run.out, run.stop
    begun = bool(training.records) or training.steps > 0
    tensors = {} if training.steps else runs.snapshot(training.model)  # after the last whole epoch
    try:
        with epochs_bar() as bar:
            task = bar.add_task(recipe.name, total=recipe.epochs, completed=len(training.records))
            course = train.advance(training, recipe, mnist_test, every=command.checkpoint_every, pause=stop.wanted)
            if begun:  # the number of epochs may be another one now
                runs.begin(out, recipe, loader=command.loader, device=training.device, anew=False)
            for _ in course:
                if not begun:
                    _begin(command, training, run)
                    begun = True
                if not training.steps:
                    tensors = runs.snapshot(training.model)
                    runs.record(out, training.records)
                    run.say(str(training.records[-1]))
                    bar.advance(task)
                checkpoint.save(out, run.settings, recipe, training)
                if stop.wanted() and len(training.records) < recipe.epochs:
                    raise stop.interrupted()
    except (DivergedError, KeyboardInterrupt) as error:
        raise keeping(error, _kept(error, training, tensors, run)) from error
    except BrokenPipeError as error:
        _kept(error, training, tensors, run)
        raise
    if not begun:
        _begin(command, training, run)
    runs.finish(out, recipe, training.records, tensors)
    run.say("Learning finished")
    run.say(f"written to {out}")


def _begin(command: cli.Train, training: Training, run: _Run) -> None:
    """Let an earlier run give way, now that there is something to put in its place, and room for it."""
    parameters = sum(tensor.numel() * tensor.element_size() for tensor in training.model.state_dict().values())
    runs.check_room(run.out, ROOM * parameters)
    runs.begin(run.out, run.recipe, loader=command.loader, device=training.device)
    checkpoint.remove(run.out)


def _kept(error: BaseException, training: Training, tensors: dict[str, torch.Tensor], run: _Run) -> str:
    """Write the results of a training that ended early, and say what there is."""
    epochs = len(training.records)
    steps = training.steps if isinstance(error, KeyboardInterrupt) and run.stop.wanted() else 0
    if not epochs and not steps:
        return "no epoch was finished, and nothing was written"
    text = f"{run.out} holds {_counted(epochs, 'epoch')}"
    if epochs and tensors:
        runs.finish(run.out, run.recipe, training.records, tensors)
        text += f" and the parameters after {'it' if epochs == 1 else 'them'}"
    if steps:
        text += f", and a checkpoint of {_counted(steps, 'step')} of the next"
    if isinstance(error, DivergedError):
        checkpoint.remove(run.out)  # it would diverge again
        return text
    return f"{text}: the same command with --resume goes on from there"


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def epochs_bar() -> Progress:
    """Return a progress bar that shows only where standard error is a terminal, and leaves nothing behind."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # lines for a terminal go above the bar, others where they belong
        disable=not sys.stderr.isatty(),
    )
