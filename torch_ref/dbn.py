"""The notebook's deep belief network: RBMs trained greedily, each on the hidden probabilities of the one below.

Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets".
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from torch_ref.errors import ArgumentError
from torch_ref.model import linear_layers
from torch_ref.rbm import Rbm, Settings, fit
from torch_ref.recipes import Recipe

PRETRAINING = Settings(epochs=5)  # of each machine
MONITORED = 10_000  # the first training images, monitored instead of held-out ones


def fit_stack(
    sizes: Sequence[int], settings: Settings, images: torch.Tensor, held_out: torch.Tensor, generator: torch.Generator
) -> list[Rbm]:
    """Train RBMs of these hidden sizes, from the pixels upwards. `rbm.fit` describes the other arguments.

    Raises:
        ArgumentError: There is no size, a setting is out of range, or a pixel is outside [0, 1].
        DivergedError: The training of a machine diverged.
    """
    if not sizes:
        raise ArgumentError("a DBN needs at least one hidden layer, got none")
    settings_per_layer = [replace(settings, hidden=size) for size in sizes]  # checks all sizes before any training
    stack: list[Rbm] = []
    for layer_settings in settings_per_layer:
        *_, (_, rbm) = fit(layer_settings, images, held_out, generator)
        stack.append(rbm)
        images, held_out = rbm.hidden_given_visible(images), rbm.hidden_given_visible(held_out)
    return stack


def up(stack: Sequence[Rbm], v: torch.Tensor) -> torch.Tensor:
    """Return the probabilities of the top hidden units, (batch, top), each layer given those of the one below."""
    for rbm in stack:
        v = rbm.hidden_given_visible(v)
    return v


@torch.no_grad()
def unroll_(stack: Sequence[Rbm], model: torch.nn.Sequential) -> None:
    """Copy the machines' weights and hidden biases into linear1 … linearN-1. The output layer is unchanged.

    Raises:
        ArgumentError: The machines do not have the sizes of the network's hidden layers. The network is unchanged.
    """
    linears = linear_layers(model)
    sizes = [stack[0].weight.shape[1], *(len(rbm.hidden_bias) for rbm in stack)] if stack else []
    expected = [linear.in_features for linear in linears]
    if sizes != expected:
        raise ArgumentError(
            f"a DBN of {_joined(sizes)} units does not fit a network of "
            f"{_joined([*expected, linears[-1].out_features])}: its hidden layers need {_joined(expected[1:])}"
        )
    for rbm, linear in zip(stack, linears[:-1], strict=True):
        linear.weight.copy_(rbm.weight)
        linear.bias.copy_(rbm.hidden_bias)


def pretrain_(model: torch.nn.Sequential, images: torch.Tensor, recipe: Recipe) -> None:
    """Train a DBN without labels for the recipe's hidden layers, and unroll it into the model.

    It draws from a generator of its own with the recipe's seed, so torch's global generator is unchanged.

    Args:
        model: What `model.build` makes from the recipe. Its output layer is unchanged.
        images: (n, pixels) in [0, 1], in the recipe's dtype and on the model's device.
        recipe: Gives the hidden layers, the seed and the dtype.

    Raises:
        ArgumentError: The recipe has no hidden layer, or a pixel is outside [0, 1].
        DivergedError: The training of a machine diverged.
    """
    settings = replace(PRETRAINING, seed=recipe.seed, dtype=recipe.dtype)
    generator = torch.Generator(images.device).manual_seed(settings.seed)
    unroll_(fit_stack(recipe.layers[1:-1], settings, images, images[:MONITORED], generator), model)


def _joined(sizes: Sequence[int]) -> str:
    return "-".join(map(str, sizes)) or "no"
