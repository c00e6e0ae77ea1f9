"""The command `evaluate`: the accuracy of a parameter file on the 10,000 test images.

The network's layers and activation are those of the config.json next to the file. A contradiction is refused: it would
print the accuracy of a network that nobody trained.
"""

import os
from pathlib import Path

import jax
import jax.numpy as jnp

from jax_impl import interop, recipes
from jax_impl.commands.data import load
from jax_impl.commands.options import naming
from jax_impl.commands.options.train import Evaluate
from jax_impl.commands.shared.terminal import complain, say, waiting
from jax_impl.errors import ArgumentError, UserError, require
from jax_impl.model import Params, accuracy
from jax_impl.recipes import Recipe
from jax_impl.storage import configs, tensors
from jax_impl.storage.tensors import Facts, Tensors

PARAMS = "params.safetensors"
BY_HAND = "restore it, or put the parameters into a folder without it and name RECIPE"


def run(command: Evaluate) -> None:
    """Print the accuracy; print what was evaluated to standard error.

    Raises:
        ArgumentError: The options contradict the run's config.json, or RECIPE is missing and there is no config.json.
        UserError: A file cannot be read, is damaged, or holds another network.
    """
    path = _file(command.params)
    saved = interop.read(path)  # what the file is comes first: advice about a recipe would not help
    config = configs.read(path.parent, BY_HAND)
    if config is not None and configs.command(config) is None:
        complain(f"note: {path.parent / configs.NAME} is not that of a run and is ignored")
        config = None
    if config is None:
        recipe = _assumed(command, path)
        params = interop.load(path, recipe.layers)
        complain(f"note: evaluating {recipe.name} with {recipe.activation}: no config.json says how it was trained")
    else:
        recipe = _trained(command, path, config)
        params = _network(path, saved, recipe)
        complain(f"evaluating {naming.title(recipe)}, trained by {config['package']}")
    if not tensors.has_checksum(path):
        complain(f"note: {path} has no checksum, so damage to it cannot be noticed")
    jax.config.update("jax_enable_x64", params["linear1"]["kernel"].dtype == "float64")
    mnist = load(command.data_dir)
    with waiting("evaluating"):
        share = accuracy(params, jnp.asarray(mnist.test_images), jnp.asarray(mnist.test_labels), recipe.activation)
    say(f"Accuracy: {share:.4f}")


def _file(path: Path) -> Path:
    """Return the parameter file that --params names, itself or by its run folder."""
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises an error if the name is too long
        return path
    if not (path / PARAMS).exists():
        raise UserError(f"{path} holds no {PARAMS}: name the folder of a run that has finished an epoch, or a file")
    return path / PARAMS


def _assumed(command: Evaluate, path: Path) -> Recipe:
    """Return the recipe that the command names, for a file without a config.json."""
    if command.recipe is None:
        raise ArgumentError(
            f"{path} has no config.json of a run beside it: name the RECIPE that it was trained with, and --activation "
            "if it is not the recipe's"
        )
    return recipes.named(command.recipe).with_changes(activation=command.activation)


def _trained(command: Evaluate, path: Path, config: Facts) -> Recipe:
    """Return the recipe in a run's config.json, with which the file and the options must agree."""
    where = path.parent / configs.NAME
    if (kind := configs.command(config)) != "train":
        raise UserError(f"{where} is that of a run of {kind}, but {path} holds a network: {BY_HAND}")
    if (recipe := configs.recipe(config)) is None:
        raise UserError(f"the recipe in {where} is missing or damaged: {BY_HAND}")
    for option, was, asked in (
        ("RECIPE", recipe.name, command.recipe),
        ("--activation", recipe.activation, command.activation),
    ):
        if asked not in (None, was):
            raise ArgumentError(f"{path} was trained with {was}, not {asked}: leave {option} out")
    return recipe


def _network(path: Path, saved: Tensors, recipe: Recipe) -> Params:
    """Return the parameters of the network that config.json describes."""
    found = saved[min(saved)].dtype
    try:
        params = interop.from_torch(saved, recipe.layers)
        require(found == recipe.dtype, "parameters", f"{recipe.dtype}", str(found))
    except ValueError as error:
        raise UserError(
            f"{path} is not of the run that {configs.NAME} beside it describes: {error}; {BY_HAND}"
        ) from error
    return params
