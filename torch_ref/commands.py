"""The commands `train` and `evaluate`. They compute and write files; the caller prints."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from torch_ref import configs, data, loaders, model, recipes, runs
from torch_ref import train as training
from torch_ref.errors import ArgumentError, UserError, require_integer

BY_HAND = "restore it, or put the parameters into a folder without it and name RECIPE"
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
    out = command.out or recipes.run_folder(recipe)
    if not command.overwrite:
        configs.check_replaceable(out, recipe, runs.FILES)
    torch.set_num_threads(command.threads)
    mnist_train, mnist_test = data.load(command.data_dir, dtype=recipe.dtype)
    loaders.check_batch_size(recipe, mnist_train)
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


def evaluate(
    command: Namespace, print_line: Callable[[str], None], complain: Callable[[str], None] = lambda _: None
) -> None:
    """Print the accuracy of a parameter file on the 10,000 test images.

    Raises:
        UserError: An argument is wrong or contradicts config.json, or a file cannot be read or holds something else.
    """
    named = recipes.named(command.recipe or recipes.DEFAULT).with_changes(activation=command.activation)
    path = command.params
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises an error if the name is too long
        path /= "params.safetensors"
        if not path.exists():
            raise UserError(
                f"{path.parent} holds no {path.name}: name the folder of a run that has finished an epoch, or a file"
            )
    tensors, sealed = runs.read(path)  # what the file is comes first: advice about a recipe would not help
    config = configs.read(path.parent, BY_HAND)
    if config is not None and not configs.is_of_a_run(config):
        complain(f"note: {path.parent / 'config.json'} is not that of a run and is ignored")
        config = None
    if config is None:
        if command.recipe is None:
            raise ArgumentError(
                f"{path} has no config.json of a run beside it: name the RECIPE that it was trained with, and "
                "--activation if it is not the recipe's"
            )
        recipe, tensors = named, runs.load(path, named.layers)
        complain(f"note: evaluating {recipe.name} with {recipe.activation}: no config.json says how it was trained")
    else:
        recipe = _trained(command, path, config)
        tensors = runs.load(path, recipe.layers, f"config.json beside it is of another run: {BY_HAND}")
        if (dtype := str(tensors["linear1.weight"].dtype)) != f"torch.{recipe.dtype}":
            raise UserError(f"{path} holds {dtype}, and config.json beside it says {recipe.dtype}: {BY_HAND}")
        complain(f"evaluating {recipes.title(recipe)}, trained by {config['package']}")
    if not sealed:
        complain(f"note: {path} has no checksum, so damage to it cannot be noticed")
    # The initial weights are overwritten, and torch has no initialiser of JAX's own names.
    network = model.build(replace(recipe, init="linear_default", bias_init="linear_default", init_passes=1)).to(
        tensors["linear1.weight"].dtype
    )
    network.load_state_dict(tensors)
    _, mnist_test = data.load(command.data_dir)
    print_line(f"Accuracy: {training.accuracy(network, mnist_test, torch.device('cpu')):.4f}")


def _trained(command: Namespace, path: Path, config: configs.Config) -> recipes.Recipe:
    """Return the recipe in a run's config.json, with which the options must agree."""
    recipe = configs.recipe_of(config)
    if recipe is None:
        raise UserError(f"the recipe in {path.parent / 'config.json'} is missing or damaged: {BY_HAND}")
    pairs = (("RECIPE", recipe.name, command.recipe), ("--activation", recipe.activation, command.activation))
    for option, was, asked in pairs:
        if asked not in (None, was):
            raise ArgumentError(f"{path} was trained with {was}, not {asked}: leave {option} out")
    return recipe


def _epochs_bar() -> Progress:
    """Return a progress bar that shows only if standard error is a terminal, and disappears at the end."""
    return Progress(
        *("{task.description}", BarColumn(), MofNCompleteColumn(), "epochs, remaining", TimeRemainingColumn()),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # print lines above the bar on a terminal, unchanged elsewhere
        disable=not sys.stderr.isatty(),
    )
