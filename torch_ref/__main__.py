"""The door: runs the command that `cli` parsed, prints the notebook's lines, and turns errors into exit codes."""

import sys
from pathlib import Path

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

from torch_ref import cli, data, model, recipes, runs, train
from torch_ref.errors import ArgumentError, DivergedError, UserError


def main() -> int:
    """Run the command line and return its exit code."""
    debug = "--debug" in sys.argv
    try:
        match cli.parse(sys.argv[1:]):
            case cli.Train() as command:
                run_train(command)
            case cli.Evaluate() as command:
                run_evaluate(command)
    except UserError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        print(f"interrupted{f': {error}' if error.args else ''}", file=sys.stderr)
        return 130
    return 0


def run_train(command: cli.Train) -> None:
    """Train epoch by epoch; what was reached is saved also when the run ends early."""
    recipe = recipes.named(command.recipe).but(
        epochs=command.epochs,
        seed=command.seed,
        init=command.init,
        init_passes=command.init_passes,
        batch_size=command.batch_size,
        learning_rate=command.learning_rate,
        dtype=command.dtype,
    )
    out = command.out or Path("runs") / f"torch_ref-{recipe.name}-{recipe.seed}"
    if command.threads < 1:
        raise ArgumentError(f"threads must be an integer >= 1, got {command.threads}")
    torch.set_num_threads(command.threads)
    model.initialisers(recipe)  # a wrong name is told before anything is fetched
    mnist_train, mnist_test = data.load(command.data_dir, dtype=recipe.dtype, log=complain)
    train.check_batch_size(recipe, mnist_train)
    runs.begin(out, recipe, loader=command.loader, device=train.device_of_choice())
    records: list[train.EpochRecord] = []
    tensors: dict[str, torch.Tensor] = {}
    try:
        with epochs_bar() as bar:
            task = bar.add_task(recipe.name, total=recipe.epochs)
            for record, network in train.fit(recipe, mnist_train, mnist_test, loader=command.loader):
                tensors = runs.snapshot(network)
                if record is None:  # the initial parameters
                    continue
                records.append(record)
                runs.record(out, records)
                print(record, flush=True)
                bar.advance(task)
    except (DivergedError, KeyboardInterrupt) as error:
        runs.finish(out, recipe, records, tensors)
        saved = f"{out} holds {len(records)} epochs and the parameters after them"
        raise type(error)(f"{error}; {saved}" if error.args else saved) from error
    runs.finish(out, recipe, records, tensors)
    print("Learning finished")
    print(f"written to {out}")


def run_evaluate(command: cli.Evaluate) -> None:
    """Print the accuracy of a parameter file on the 10,000 test images."""
    recipe = recipes.named(command.recipe)
    tensors = runs.load(command.params, recipe.layers)
    network = model.build(recipe).to(tensors["linear1.weight"].dtype)
    network.load_state_dict(tensors)
    _, mnist_test = data.load(command.data_dir, log=complain)
    print(f"Accuracy: {train.accuracy(network, mnist_test, torch.device('cpu')):.4f}")


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
