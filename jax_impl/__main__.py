"""The door: runs the command that `cli` parsed, prints what it returns, and turns errors into exit codes."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jax_impl import cli, cli_rbm, data, recipes, sources
from jax_impl.errors import ArgumentError, DivergedError, UserError
from jax_impl.progress import epochs_bar, steps_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from jax_impl import evidence, rbm_train, study


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
        case cli.Study() as command:
            run_study(command)
        case cli_rbm.TrainRbm() | cli_rbm.TrainDbn() as command:
            run_machines(command)
        case cli.Data() as command:
            run_data(command)


def run_train(command: cli.Train) -> None:
    """Train epoch by epoch; what was reached is saved also when the run ends early."""
    import jax

    from jax_impl import draws, initializers, interop, replay, runs, train

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
    if command.dbn and recipe.init != "dbn":
        raise ArgumentError(f"--dbn goes with --init dbn, got --init {recipe.init}")
    stack = interop.load_stack(command.dbn) if command.dbn else None
    jax.config.update("jax_enable_x64", recipe.dtype == "float64")
    mnist = load(command.data_dir)
    draw = replay.replayed if command.stream == "torch" else draws.native
    drawn = draw(recipe, len(mnist.train_images))
    runs.check(out)
    with epochs_bar() as bar:
        watch = pretraining(bar, recipe)
        drawn = draws.look_at(mnist.train_images, recipe, drawn, stack=stack, held_out=mnist.test_images, watch=watch)
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


def pretraining(bar: "Progress", recipe: recipes.Recipe) -> "Callable[[rbm_train.RbmRecord], None]":
    """Return what prints how a DBN's training comes along, and moves the bar."""
    from jax_impl.rbm_settings import PRETRAINING

    task = bar.add_task(
        "pretraining", total=PRETRAINING.epochs * (len(recipe.layers) - 2), visible=recipe.init == "dbn"
    )

    def watch(record: "rbm_train.RbmRecord") -> None:
        print(record, flush=True)
        bar.update(task, advance=1)

    return watch


def run_machines(command: cli_rbm.TrainRbm | cli_rbm.TrainDbn) -> None:
    """Train an RBM, or a stack of them."""
    from jax_impl import rbm_command

    command.settings(), command.sizes()  # what is wrong is told before anything is fetched
    for line in rbm_command.train(command, load(command.data_dir)):
        print(line, flush=True)


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


def run_study(command: cli.Study) -> None:
    """Run what of a grid or of presets is not there yet, and write the report."""
    from jax_impl import files, findings, presets, runs, study, study_figures, study_report

    chosen = presets.named(command.presets())
    cells = [] if chosen else study.Grid(**command.axes(), seeds=command.seeds, first_seed=command.first_seed).cells()
    runs.check(command.out)
    mnist = load(command.data_dir)
    with files.taken(command.out):
        try:
            if chosen:
                run_presets(command, chosen, mnist)
            else:
                run_cells(command, cells, mnist)
        except KeyboardInterrupt as error:
            kept = f"what is finished is kept in {command.out}: the same command goes on from there"
            raise KeyboardInterrupt(kept) from error
        result = study_report.write(command.out)
    for advice in [] if chosen else result.advice:
        print(f"{study_figures.title(advice.best)}: {findings.words(advice)}")
    print(f"written to {command.out / 'index.html'}")
    checks = [check for preset in chosen for check in result.presets[preset.name]]
    failed = [check for check in checks if not check.passed]
    for check in failed:
        complain(f"failed: {check.name}: measured {check.measured}, expected {check.band}")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(checks)} published results did not come out; see {command.out / 'study.md'}"
        )


def run_cells(command: cli.Study, cells: "list[study.Cell]", mnist: data.Mnist) -> None:
    """Run a grid, its cost told beforehand; print a line a cell."""
    from jax_impl import budget, findings, records, study, study_report

    kept = records.load(command.out / study.RECORDS)
    left = [cell for cell in cells if cell.key not in kept]
    costs = {}
    if left:
        images = len(mnist.train_images)
        found = budget.plan(left, images, max_hours=command.max_hours, max_gib=command.max_gib)
        costs = {cell.key: cost.seconds for cell, cost in zip(left, found, strict=True)}
        print(f"{len(left)} of {len(cells)} cells to run, about {sum(costs.values()) / 60:.1f} minutes", flush=True)
    study_report.remember(command.out, cells=cells)
    with steps_bar("cells", len(cells)) as bar:
        task = bar.add_task("study", total=sum(costs.values()) or 1, done=0)
        for done, (cell, record, known) in enumerate(study.go_on(cells, mnist, command.out), start=1):
            row = findings.row(record)
            print(
                f"{cell}: {row.verdict}, {study_report.percent(row.accuracy)} "
                f"({'kept' if known else f'{row.seconds:.1f} s'})",
                flush=True,
            )
            bar.update(task, advance=costs.get(cell.key, 0.0), done=done)


def run_presets(command: cli.Study, chosen: "list[evidence.Preset]", mnist: data.Mnist) -> None:
    """Measure presets part by part; print a line a check."""
    from jax_impl import evidence, study_report

    seeds = range(command.first_seed, command.first_seed + command.seeds)
    parts = sum(len(preset.parts) for preset in chosen)
    with steps_bar("parts", parts) as bar:
        task = bar.add_task("presets", total=parts, done=0)
        for preset in chosen:
            for label, _, _ in evidence.go_on(preset, seeds, mnist, command.out):
                done = int(bar.tasks[0].completed) + 1
                bar.update(task, advance=1, done=done, description=f"{preset.name}: {label}")
            study_report.remember(command.out, measured={preset.name: seeds})
            print(f"{preset.name}: {preset.claim}")
            for check in preset.checks(evidence.data_of(preset, seeds, command.out) or {}):
                verdict = "pass" if check.passed else "FAIL"
                print(f"  {verdict}  {check.name}: {check.measured} (expected {check.band})", flush=True)


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


if __name__ == "__main__":
    sys.exit(main())
