"""The door: runs the command that `cli` parsed, prints the notebook's lines, and turns errors into exit codes."""

import io
import os
import sys
from functools import partial
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

from torch_ref import cli, recipes
from torch_ref.errors import ArgumentError, DivergedError, UserError


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
    except ModuleNotFoundError as error:
        if debug or error.name not in {"torch", "torchvision"}:
            raise
        complain(f"error: {error.name} is not installed: run make train-torch, or pip install -e '.[torch]'")
        return 1
    return 0


def run() -> None:
    """Run the command that the arguments name."""
    match cli.parse(sys.argv[1:]):
        case cli.Train() as command:
            run_train(command)
        case cli.Evaluate() as command:
            run_evaluate(command)


def run_train(command: cli.Train) -> None:
    """Train epoch by epoch; what was reached is saved also when the run ends early."""
    import torch

    from torch_ref import data, model, runs, train

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
    out = command.out or Path("runs") / f"torch_ref-{recipe.name}-{recipe.seed}"
    if command.threads < 1:
        raise ArgumentError(f"threads must be an integer >= 1, got {command.threads}")
    torch.set_num_threads(command.threads)
    model.initialisers(recipe)  # a wrong name is told before anything is fetched
    mnist_train, mnist_test = data.load(command.data_dir, dtype=recipe.dtype, log=complain)
    train.check_batch_size(recipe, mnist_train)
    runs.check(out)
    begin = partial(runs.begin, out, recipe, loader=command.loader, device=train.device_of_choice())
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
                if len(records) == 1:
                    begin()
                runs.record(out, records)
                print(record, flush=True)
                bar.advance(task)
    except BaseException as error:
        saved = "no epoch was finished, and nothing was written"
        if records:
            runs.finish(out, recipe, records, tensors)
            saved = f"{out} holds {len(records)} epochs and the parameters after them"
        if isinstance(error, DivergedError | KeyboardInterrupt):
            raise type(error)(f"{error}; {saved}" if error.args else saved) from error
        raise
    if not records:
        begin()
    runs.finish(out, recipe, records, tensors)
    print("Learning finished")
    print(f"written to {out}")


def run_evaluate(command: cli.Evaluate) -> None:
    """Print the accuracy of a parameter file on the 10,000 test images."""
    import torch

    from torch_ref import data, model, runs, train

    recipe = recipes.named(command.recipe).but(activation=command.activation)
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
