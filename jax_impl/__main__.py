"""The door: runs the command that `cli` parsed, prints what it returns, and turns errors into exit codes."""

import io
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jax_impl import cli, data, recipes, sources
from jax_impl.errors import DivergedError, UserError


def main() -> int:
    """Run the command line and return its exit code."""
    debug = "--debug" in sys.argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for paths that the locale cannot spell
    try:
        run()
    except UserError as error:
        if debug:
            raise
        complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt as error:
        complain(f"interrupted{f': {error}' if error.args else ''}")
        return 130
    except BrokenPipeError:  # whoever read the lines has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def run() -> None:
    """Run the command that the arguments name."""
    match cli.parse(sys.argv[1:]):
        case cli.Train() as command:
            run_train(command)
        case cli.Evaluate() as command:
            run_evaluate(command)
        case cli.Data() as command:
            run_data(command)


def run_train(command: cli.Train) -> None:
    """Train epoch by epoch; what was reached is saved also when the run ends early."""
    import jax

    from jax_impl import draws, initializers, replay, runs, train

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
    out = command.out or Path("runs") / f"jax_impl-{recipe.name}-{recipe.seed}"
    # A wrong name is told before anything is fetched.
    if command.stream == "torch":
        replay.check_init(recipe)
    initializers.named(recipe.init, recipe.bias_init)
    jax.config.update("jax_enable_x64", recipe.dtype == "float64")
    mnist = load(command.data_dir)
    draw = replay.replayed if command.stream == "torch" else draws.native
    drawn = draws.look_at(mnist.train_images, recipe, draw(recipe, len(mnist.train_images)))
    runs.check(out)
    records: list[train.EpochRecord] = []
    params = drawn.params
    try:
        with epochs_bar() as bar:
            task = bar.add_task(recipe.name, total=recipe.epochs)
            for record, params_after in train.fit(recipe, mnist, drawn):
                params = params_after
                records.append(record)
                if len(records) == 1:
                    runs.begin(out, recipe, stream=command.stream)
                runs.record(out, records)
                print(record, flush=True)
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
        runs.begin(out, recipe, stream=command.stream)
    runs.finish(out, recipe, records, params)
    print("Learning finished")
    print(f"written to {out}")


def run_evaluate(command: cli.Evaluate) -> None:
    """Print the accuracy of a parameter file on the 10,000 test images."""
    import jax
    import jax.numpy as jnp

    from jax_impl import interop, train

    recipe = recipes.named(command.recipe).but(activation=command.activation)
    params = interop.load(command.params, recipe.layers)
    jax.config.update("jax_enable_x64", params["linear1"]["kernel"].dtype == "float64")
    mnist = load(command.data_dir)
    share = train.accuracy(params, jnp.asarray(mnist.test_images), jnp.asarray(mnist.test_labels), recipe.activation)
    print(f"Accuracy: {share:.4f}")


def run_data(command: cli.Data) -> None:
    """Say where MNIST stands and which source gave it."""
    source = ensure(command.data_dir, command.mirror)
    print(f"MNIST is in {data.raw_folder(command.data_dir)}, four files verified; taken from {source}")


def load(data_dir: Path | None) -> data.Mnist:
    """Return MNIST, fetched first if need be."""
    ensure(data_dir)
    return data.load(data_dir)


def ensure(data_dir: Path | None, mirror: str | None = None) -> str:
    """Make MNIST stand in its folder; what went wrong on the way goes to standard error."""
    wanted = sources.default(mirror, progress=sys.stderr.isatty())
    return data.ensure(data_dir, sources=wanted, log=complain)


def complain(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr)


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


if __name__ == "__main__":
    sys.exit(main())
