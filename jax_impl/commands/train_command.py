"""The command `train`: trains a recipe, alone or on all devices and hosts, and writes the run folder.

Where several processes take part, all of them train, and the first alone writes and has something to say.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
from rich.progress import Progress as Bar

from jax_impl import draws, initializers, interop, recipes, train
from jax_impl.commands import cli, cli_saving, distributed, stopping
from jax_impl.commands.progress import epochs_bar
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError, DivergedError, keeping
from jax_impl.model import Params
from jax_impl.rbm import training
from jax_impl.rbm.settings import PRETRAINING
from jax_impl.recipes import Recipe
from jax_impl.replay import notebook
from jax_impl.storage import files, runs
from jax_impl.storage.checkpoint import FOLDER, Checkpoints
from jax_impl.trainer import devices, resuming
from jax_impl.trainer.trajectory import Progress

Say = Callable[[str], None]


def recipe_of(command: cli.Train) -> Recipe:
    """Return what is to be trained.

    Raises:
        ArgumentError: A value is out of range or a name unknown, or options contradict each other.
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
    if command.stream == "torch":
        notebook.check_init(recipe)
    initializers.named(recipe.init, recipe.bias_init)
    if command.distributed and not command.data_parallel:
        raise ArgumentError("train --distributed goes with --data-parallel: what else should the processes share?")
    if command.dbn and recipe.init != "dbn":
        raise ArgumentError(f"--dbn goes with --init dbn, got --init {recipe.init}")
    cli_saving.check_every(command.checkpoint_every)
    return recipe


def run(
    command: cli.Train, recipe: Recipe, load: Callable[[], Mnist], say: Say, complain: Say, stop: stopping.Stop
) -> None:
    """Run the command; what it has to say is said line by line.

    Raises:
        UserError: As the parts do.
        DivergedError: With the words that say what is kept; so does an `errors.Interrupted`.
    """
    out = command.out or Path("runs") / f"jax_impl-{recipe.name}-{recipe.seed}"
    stack = interop.load_stack(command.dbn) if command.dbn else None
    jax.config.update("jax_enable_x64", recipe.dtype == "float64")
    mnist = load()
    draw = notebook.replayed if command.stream == "torch" else draws.native
    drawn = draw(recipe, len(mnist.train_images))
    leads = distributed.leads()
    if leads:
        runs.check(out)
    settings = resuming.identity(recipe, mnist, stream=command.stream, dbn=resuming.file_digest(command.dbn))
    with files.taken(out) if leads else contextlib.nullcontext(), Checkpoints(out / FOLDER, settings) as kept:
        found = resuming.found(kept, recipe, drawn, resume=command.resume, log=complain) if leads else None
        since = resuming.shared(found, recipe, drawn)
        if since is None:
            with epochs_bar() as bar:
                watch = _pretraining(bar, recipe, say if leads else _nothing)
                drawn = draws.look_at(
                    mnist.train_images, recipe, drawn, stack=stack, held_out=mnist.test_images, watch=watch
                )
        mesh = devices.mesh_for(data=True) if command.data_parallel else None
        course = train.advance(recipe, mnist, drawn, mesh, since=since, every=command.checkpoint_every)
        with stop.softly():
            if leads:
                run = _Run(recipe, len(mnist.train_images), out, command.stream, kept, say, stop)
                _write(course, since or train.begin(recipe, drawn), run)
            else:
                for progress in course:
                    if len(progress.records) < recipe.epochs:
                        distributed.heed(stop)


class _Run(NamedTuple):
    """What is written of a training, and where."""

    recipe: Recipe
    n_images: int
    out: Path
    stream: str
    kept: Checkpoints
    say: Say
    stop: stopping.Stop


def _write(course: Iterator[Progress], origin: Progress, run: _Run) -> None:
    """Follow a training and write what it reaches, also when it ends early."""
    recipe, out = run.recipe, run.out
    reached, begun = origin, bool(origin.records) or len(origin.losses) > 0
    params = None if len(origin.losses) else origin.state.params  # after the last whole epoch
    try:
        with epochs_bar() as bar:
            task = bar.add_task(recipe.name, total=recipe.epochs, completed=len(origin.records))
            if begun:  # the number of epochs may be another one now
                runs.begin(out, recipe, stream=run.stream, anew=False)
            for progress in course:
                if not begun:
                    _begin(run, progress)
                    begun = True
                reached = progress
                if not len(progress.losses):
                    params = progress.state.params
                    runs.record(out, progress.records)
                    run.say(str(progress.records[-1]))
                    bar.advance(task)
                place = resuming.place(progress, run.n_images // recipe.batch_size)
                run.kept.save(place, *resuming.packed(progress, recipe.epochs))
                if len(progress.records) < recipe.epochs:
                    distributed.heed(run.stop, run.kept.wait)
    except (DivergedError, KeyboardInterrupt) as error:
        raise keeping(error, _kept(error, reached, params, run)) from error
    except BrokenPipeError as error:
        _kept(error, reached, params, run)
        raise
    if not begun:
        _begin(run, reached)
    runs.finish(out, recipe, reached.records, reached.state.params)
    run.say("Learning finished")
    run.say(f"written to {out}")


def _begin(run: _Run, progress: Progress) -> None:
    """Let an earlier run give way, now that there is something to put in its place, and room for it."""
    run.kept.check_room(progress.state)
    runs.begin(run.out, run.recipe, stream=run.stream)
    run.kept.remove()


def _kept(error: BaseException, reached: Progress, params: Params | None, run: _Run) -> str:
    """Write the results of a training that ended early, and say what there is."""
    epochs, steps = len(reached.records), len(reached.losses)
    if not epochs and not steps:
        return "no epoch was finished, and nothing was written"
    text = f"{run.out} holds {cli_saving.counted(epochs, 'epoch')}"
    if epochs and params is not None:
        runs.finish(run.out, run.recipe, reached.records, params)
        text += f" and the parameters after {'it' if epochs == 1 else 'them'}"
    if isinstance(error, DivergedError):
        run.kept.remove()  # it would diverge again
        return text
    run.kept.wait()
    return f"{text}{cli_saving.of_the_next(steps)}: the same command with --resume goes on from there"


def _nothing(text: str) -> None:
    """Say nothing."""


def _pretraining(bar: Bar, recipe: Recipe, say: Say) -> Callable[[training.RbmRecord], None]:
    """Return what says how a DBN's training comes along, and moves the bar."""
    steps = PRETRAINING.epochs * (len(recipe.layers) - 2)
    task = bar.add_task("pretraining", total=steps, visible=recipe.init == "dbn")

    def watch(record: training.RbmRecord) -> None:
        say(str(record))
        bar.update(task, advance=1)

    return watch
