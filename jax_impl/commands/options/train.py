"""The options of `train` and `evaluate`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from jax_impl import recipes
from jax_impl.commands.options import shared
from jax_impl.commands.options.shared import option, setting
from jax_impl.errors import ArgumentError
from jax_impl.recipes import Recipe

_IN_CONFIG = "the run's, in config.json"
_FOLDER = "runs/jax_impl-RECIPE-SEED and the settings, except epochs, that are not the recipe's"


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a recipe in JAX, print the notebook's lines and write a run folder."""

    recipe: shared.RecipeName = recipes.DEFAULT
    epochs: Annotated[int | None, setting("N", "Passes over the images; 0 writes the initial parameters.")] = None
    seed: Annotated[int | None, setting("N", "Seed of every random draw.")] = None
    init: Annotated[
        str | None, setting("NAME", "Initialiser of the kernels, as in torch.nn.init; a wrong name lists all.")
    ] = None
    activation: shared.Activation = None
    optimizer: Annotated[str | None, setting("NAME", "adam or sgd, without momentum.")] = None
    init_passes: Annotated[int | None, setting("N", "How often the init cell runs; the notebook's session: 2.")] = None
    batch_size: Annotated[int | None, setting("N", "Images per step; an incomplete last batch is dropped.")] = None
    learning_rate: Annotated[float | None, setting("X", "Learning rate of the optimizer.")] = None
    stream: Annotated[
        Literal["torch", "jax"], arg(help="Random numbers: torch's, replayed without torch, or JAX's own.")
    ] = "torch"
    dtype: Annotated[Literal["float32", "float64"], arg(help="Dtype of the whole computation.")] = "float32"
    dbn: Annotated[
        Path | None,
        option("FILE", "With --init dbn: start from the params.safetensors of rbm or dbn.", "train a DBN first"),
    ] = None
    data_dir: shared.DataDir = None
    out: Annotated[Path | None, option("DIR", "The run folder.", _FOLDER)] = None
    resume: shared.Resume = False
    overwrite: shared.Overwrite = False
    checkpoint_every: shared.CheckpointEvery = None
    max_seconds: shared.MaxSeconds = None
    data_parallel: Annotated[bool, arg(help="Divide each batch among all devices.")] = False
    distributed: shared.Distributed = False
    coordinator: shared.Coordinator = None
    processes: shared.Processes = None
    process_id: shared.ProcessId = None
    debug: shared.Debug = False


def recipe_of(command: Train) -> Recipe:
    """Return the recipe with the command's changes.

    Raises:
        ArgumentError: A value is out of range, a name is unknown, or options contradict each other.
    """
    changes = {field.name: getattr(command, field.name) for field in fields(Recipe) if hasattr(command, field.name)}
    recipe = recipes.named(command.recipe).with_changes(**changes)
    if command.stream == "torch":
        recipes.check_replayable(recipe)
    if command.distributed and not command.data_parallel:
        raise ArgumentError("train --distributed needs work to share: add --data-parallel, or drop --distributed")
    if command.dbn and recipe.init != "dbn":
        raise ArgumentError(f"--dbn needs --init dbn, got --init {recipe.init}")
    shared.check_checkpoint_every(command.checkpoint_every)
    shared.check_overwrite(overwrite=command.overwrite, resume=command.resume)
    return recipe


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Print the test accuracy of parameters that either implementation wrote, with the settings in their config.json.

    Without a config.json next to the file, name the RECIPE, and the --activation if it is not the recipe's.
    """

    recipe: Annotated[
        Positional[str | None],
        arg(
            metavar="[RECIPE]",
            help=f"One of {', '.join(recipes.RECIPES)}.",
            help_behavior_hint=f"(default: {_IN_CONFIG})",
        ),
    ] = None
    params: Annotated[Path, option("FILE|DIR", "The params.safetensors of a run, or its folder.")]
    activation: Annotated[
        str | None,
        option("NAME", f"Between the layers: {', '.join(recipes.NAMES['activation'])}.", _IN_CONFIG),
    ] = None
    data_dir: shared.DataDir = None
    debug: shared.Debug = False


def check_names(command: Evaluate) -> None:
    """Raise an ArgumentError if the recipe or the activation is unknown."""
    recipes.named(command.recipe or recipes.DEFAULT).with_changes(activation=command.activation)
