"""The command `evaluate`: the accuracy of a parameter file on the 10,000 test images."""

import jax
import jax.numpy as jnp

from jax_impl import interop
from jax_impl.commands.data import load
from jax_impl.commands.options.train import Evaluate
from jax_impl.commands.terminal import say, waiting
from jax_impl.model import accuracy
from jax_impl.recipes import Recipe


def run(command: Evaluate, recipe: Recipe) -> None:
    """Print the accuracy.

    Raises:
        UserError: The file cannot be read, is damaged, or holds another network.
    """
    params = interop.load(command.params, recipe.layers)
    jax.config.update("jax_enable_x64", params["linear1"]["kernel"].dtype == "float64")
    mnist = load(command.data_dir)
    with waiting("evaluating"):
        share = accuracy(params, jnp.asarray(mnist.test_images), jnp.asarray(mnist.test_labels), recipe.activation)
    say(f"Accuracy: {share:.4f}")
