"""The commands `train` and `evaluate`. They compute and write files; the caller prints."""

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from torch_ref import data, loaders, model, recipes, runs
from torch_ref import train as training
from torch_ref.errors import UserError, require_integer

# Fields of the recipe that an option can replace.
OPTIONS = ("epochs", "seed", "init", "activation", "optimizer", "init_passes", "batch_size", "learning_rate", "dtype")

THREADS = 1024  # more than any machine gains from; the system refuses to start many thousands


def train(command: Namespace, print_line: Callable[[str], None]) -> None:
    """Train a recipe and write its run folder.

    The files are written when the training ends. If it ends early, by an error or a signal, the epochs so far are
    written; before the first epoch is finished, nothing is. A note on the exception says which.

    Raises:
        UserError: An argument is wrong, or the training diverged, or a file cannot be read or written.
    """
    recipe = recipes.named(command.recipe).with_changes(**{field: getattr(command, field) for field in OPTIONS})
    model.initialisers(recipe)
    require_integer(command.threads, "threads", 1, THREADS)
    torch.set_num_threads(command.threads)
    mnist_train, mnist_test = data.load(command.data_dir, dtype=recipe.dtype)
    loaders.check_batch_size(recipe, mnist_train)
    out = command.out or Path("runs") / f"torch_ref-{recipe.name}-{recipe.seed}"
    runs.check(out)
    records: list[training.EpochRecord] = []
    try:
        with _epochs_bar() as bar:
            task = bar.add_task(recipe.name, total=recipe.epochs)
            for record, network in training.fit(recipe, mnist_train, mnist_test, loader=command.loader):
                records, tensors = [*records, record] if record else [], runs.snapshot(network)
                if record:
                    print_line(str(record))
                    bar.advance(task)
    except (UserError, KeyboardInterrupt, BrokenPipeError) as error:
        kept = "no epoch was finished, and nothing was written"
        if records:
            runs.write(out, recipe, records, tensors, loader=command.loader)
            kept = f"{out} holds the results of {len(records)} of {recipe.epochs} epochs"
        error.add_note(kept)
        raise
    runs.write(out, recipe, records, tensors, loader=command.loader)
    print_line("Learning finished")
    print_line(f"written to {out}")


def evaluate(command: Namespace, print_line: Callable[[str], None]) -> None:
    """Print the accuracy of a parameter file on the 10,000 test images.

    Raises:
        UserError: An argument is wrong, or a file cannot be read.
    """
    recipe = recipes.named(command.recipe).with_changes(activation=command.activation)
    tensors = runs.load(command.params, recipe.layers)
    network = model.build(recipe).to(tensors["linear1.weight"].dtype)
    network.load_state_dict(tensors)
    _, mnist_test = data.load(command.data_dir)
    print_line(f"Accuracy: {training.accuracy(network, mnist_test, torch.device('cpu')):.4f}")


def _epochs_bar() -> Progress:
    """Return a progress bar that shows only if standard error is a terminal, and disappears at the end."""
    return Progress(
        *("{task.description}", BarColumn(), MofNCompleteColumn(), "epochs, remaining", TimeRemainingColumn()),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # print lines above the bar on a terminal, unchanged elsewhere
        disable=not sys.stderr.isatty(),
    )
