"""The command `train`: trains a recipe, alone or on all devices and hosts, and writes the run folder.

Where several processes take part, all of them train, and the first alone writes and has something to say.
"""

from collections.abc import Callable
from pathlib import Path

import jax
from jax.sharding import Mesh
from rich.progress import Progress

from jax_impl import cli, devices, distributed, draws, initializers, interop, rbm_train, recipes, replay, runs, train
from jax_impl.data import Mnist
from jax_impl.draws import Draws
from jax_impl.errors import ArgumentError, DivergedError
from jax_impl.progress import epochs_bar
from jax_impl.rbm_settings import PRETRAINING
from jax_impl.recipes import Recipe

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
        replay.check_init(recipe)
    initializers.named(recipe.init, recipe.bias_init)
    if command.distributed and not command.data_parallel:
        raise ArgumentError("train --distributed goes with --data-parallel: what else should the processes share?")
    if command.dbn and recipe.init != "dbn":
        raise ArgumentError(f"--dbn goes with --init dbn, got --init {recipe.init}")
    return recipe


def run(command: cli.Train, recipe: Recipe, load: Callable[[], Mnist], say: Say) -> None:
    """Run the command; what it has to say is said line by line.

    Raises:
        UserError: As the parts do.
        DivergedError: With the words that say what is kept; so does a KeyboardInterrupt.
    """
    out = command.out or Path("runs") / f"jax_impl-{recipe.name}-{recipe.seed}"
    stack = interop.load_stack(command.dbn) if command.dbn else None
    jax.config.update("jax_enable_x64", recipe.dtype == "float64")
    mnist = load()
    draw = replay.replayed if command.stream == "torch" else draws.native
    drawn = draw(recipe, len(mnist.train_images))
    if distributed.leads():
        runs.check(out)
    with epochs_bar() as bar:
        watch = _pretraining(bar, recipe, say if distributed.leads() else _nothing)
        drawn = draws.look_at(mnist.train_images, recipe, drawn, stack=stack, held_out=mnist.test_images, watch=watch)
    mesh = devices.mesh_for(data=True) if command.data_parallel else None
    if distributed.leads():
        _train(recipe, mnist, drawn, mesh, out, command.stream, say)
    else:
        for _ in train.fit(recipe, mnist, drawn, mesh):
            pass


def _train(recipe: Recipe, mnist: Mnist, drawn: Draws, mesh: Mesh | None, out: Path, stream: str, say: Say) -> None:
    """Train epoch by epoch; what was reached is saved also when the run ends early."""
    records: list[train.EpochRecord] = []
    params = drawn.params
    try:
        with epochs_bar() as bar:
            task = bar.add_task(recipe.name, total=recipe.epochs)
            for record, params_after in train.fit(recipe, mnist, drawn, mesh):
                params = params_after
                records.append(record)
                if len(records) == 1:
                    runs.begin(out, recipe, stream=stream)
                runs.record(out, records)
                say(str(record))
                bar.advance(task)
    except BaseException as error:
        saved = "no epoch was finished, and nothing was written"
        if records:
            runs.finish(out, recipe, records, params)
            saved = f"{out} holds {len(records)} epochs and the parameters after them"
        if isinstance(error, DivergedError | KeyboardInterrupt):
            raise type(error)(f"{error}; {saved}" if error.args else saved) from error
        raise
    if not records:
        runs.begin(out, recipe, stream=stream)
    runs.finish(out, recipe, records, params)
    say("Learning finished")
    say(f"written to {out}")


def _nothing(text: str) -> None:
    """Say nothing."""


def _pretraining(bar: Progress, recipe: Recipe, say: Say) -> Callable[[rbm_train.RbmRecord], None]:
    """Return what says how a DBN's training comes along, and moves the bar."""
    steps = PRETRAINING.epochs * (len(recipe.layers) - 2)
    task = bar.add_task("pretraining", total=steps, visible=recipe.init == "dbn")

    def watch(record: rbm_train.RbmRecord) -> None:
        say(str(record))
        bar.update(task, advance=1)

    return watch
