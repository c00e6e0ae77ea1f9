"""The options of `train` and `evaluate`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from jax_impl import recipes
from jax_impl.commands.options import shared
from jax_impl.commands.options.shared import DEVICES, FILES, NETWORK, TRAINING, WEIGHTS, choice, flag, option, setting
from jax_impl.errors import ArgumentError
from jax_impl.recipes import Recipe

_IN_CONFIG = "the run's, in config.json"
_FOLDER = "runs/jax_impl-RECIPE-SEED and the settings, except epochs, that are not the recipe's"


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a recipe in JAX, print the notebook's lines and write a run folder."""

    recipe: shared.RecipeName = recipes.DEFAULT
    activation: shared.Activation = None
    epochs: Annotated[
        int | None, setting("epochs", "N", "Passes over the images; 0 writes the initial parameters.")
    ] = None
    batch_size: Annotated[
        int | None, setting("batch_size", "N", "Images per step; an incomplete last batch is dropped.")
    ] = None
    learning_rate: Annotated[float | None, setting("learning_rate", "X", "Learning rate of the optimizer.")] = None
    optimizer: Annotated[str | None, setting("optimizer", "NAME", "Optimizer: adam, or sgd without momentum.")] = None
    dtype: Annotated[Literal["float32", "float64"], choice("Dtype of the whole computation.", group=TRAINING)] = (
        "float32"
    )
    init: Annotated[
        str | None,
        setting(
            "init", "NAME", "Initialiser of the kernels, as in torch.nn.init; a wrong name lists all.", group=WEIGHTS
        ),
    ] = None
    init_passes: Annotated[
        int | None,
        setting("init_passes", "N", "How often the init cell runs; twice in the notebook's session.", group=WEIGHTS),
    ] = None
    dbn: Annotated[
        Path | None,
        option(
            "FILE",
            "With --init dbn: start from the params.safetensors of rbm or dbn.",
            "train a DBN first",
            group=WEIGHTS,
        ),
    ] = None
    seed: Annotated[int | None, setting("seed", "N", "Seed of every random draw.", group=WEIGHTS)] = None
    stream: Annotated[
        Literal["torch", "jax"],
        choice("Random numbers: torch's, replayed without torch, or JAX's own.", group=WEIGHTS),
    ] = "torch"
    data_dir: shared.DataDir = None
    out: Annotated[Path | None, option("DIR", "The run folder.", _FOLDER, group=FILES)] = None
    overwrite: shared.Overwrite = False
    debug: shared.Debug = False
    resume: shared.Resume = False
    checkpoint_every: shared.CheckpointEvery = None
    max_seconds: shared.MaxSeconds = None
    data_parallel: Annotated[bool, flag("Divide each batch among all devices.", group=DEVICES)] = False
    distributed: shared.Distributed = False
    coordinator: shared.Coordinator = None
    processes: shared.Processes = None
    process_id: shared.ProcessId = None


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
    shared.check_out(command.out)
    shared.check_overwrite(overwrite=command.overwrite, resume=command.resume)
    return recipe


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Print the test accuracy of parameters that either implementation wrote, with the settings in their config.json.

    Without a config.json next to the file, name the RECIPE, and the --activation if it is not the recipe's.
    """

    recipe: Annotated[
        str | None, option("RECIPE", f"One of {', '.join(recipes.RECIPES)}.", _IN_CONFIG, group=NETWORK)
    ] = None
    activation: Annotated[
        str | None,
        option(
            "NAME",
            f"Activation between the layers: {', '.join(recipes.NAMES['activation'])}.",
            _IN_CONFIG,
            group=NETWORK,
        ),
    ] = None
    params: Annotated[Path, option("FILE|DIR", "The params.safetensors of a run, or its folder.", group=FILES)]
    data_dir: shared.DataDir = None
    debug: shared.Debug = False


def check_names(command: Evaluate) -> None:
    """Raise an ArgumentError if the recipe or the activation is unknown."""
    recipes.named(command.recipe or recipes.DEFAULT).with_changes(activation=command.activation)
