"""The deep belief network of the notebook: RBMs trained greedily, each on what the one below makes of the images.

Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets".
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from torch_ref.errors import ArgumentError
from torch_ref.rbm import Rbm, Settings, draw, fit, sample
from torch_ref.recipes import Recipe

PRETRAINING = Settings(epochs=5)  # of each machine
MONITORED = 10_000  # images, the first, in place of held-out ones

Stack = Sequence[Rbm]  # from the pixels up


def fit_stack(
    sizes: Sequence[int],
    settings: Settings,
    images: torch.Tensor,
    held_out: torch.Tensor,
    generator: torch.Generator,
) -> list[Rbm]:
    """Train RBMs of these hidden sizes from the pixels up.

    What a machine makes of an image, the probabilities of its hidden units, is the image of the next one. The other
    arguments are those of `rbm.fit`.

    Raises:
        ArgumentError: There is no size, or a setting is out of range, or a pixel outside [0, 1].
        DivergedError: As `rbm.fit`.
    """
    if not sizes:
        raise ArgumentError("a DBN needs at least one hidden layer, got none")
    every = [replace(settings, hidden=size) for size in sizes]  # a wrong size is told before anything is trained
    stack: list[Rbm] = []
    for of_layer in every:
        *_, (_, rbm) = fit(of_layer, images, held_out, generator)
        stack.append(rbm)
        images, held_out = rbm.hidden_given_visible(images), rbm.hidden_given_visible(held_out)
    return stack


def up(stack: Stack, v: torch.Tensor) -> torch.Tensor:
    """Return the probabilities of the top hidden units, (batch, top), each layer given those of the one below."""
    for rbm in stack:
        v = rbm.hidden_given_visible(v)
    return v


def down(stack: Stack, h: torch.Tensor) -> torch.Tensor:
    """Return the probabilities of the pixels, (batch, visible), each layer given those of the one above."""
    for rbm in reversed(stack):
        h = rbm.visible_given_hidden(h)
    return h


def generate(stack: Stack, generator: torch.Generator, images: torch.Tensor, rounds: Sequence[int]) -> torch.Tensor:
    """Return what the network imagines: Gibbs sampling in the top RBM, and a pass down from its visible units.

    Args:
        stack: The machines; one alone is sampled itself.
        generator: Of the draws, on the device of the images.
        images: Where the chains start, (batch, visible) in [0, 1].
        rounds: Rising numbers of rounds after which to look.

    Returns:
        The probabilities of the pixels at each of these moments, (moments, batch, visible).
    """
    *below, top = stack
    h, moments, before = up(stack, images), [], 0
    for moment in rounds:
        for _ in range(moment - before):
            _, h = top.gibbs(h, draw(generator, 1, len(h), top))
        uniforms = torch.empty_like(h).uniform_(generator=generator)
        moments.append(down(below, top.visible_given_hidden(sample(h, uniforms))))
        before = moment
    return torch.stack(moments)


@torch.no_grad()
def unroll_(stack: Stack, model: torch.nn.Sequential) -> None:
    """Copy the machines' weights and hidden biases into linear1 … linearN-1; the output layer has no machine.

    Raises:
        ArgumentError: The sizes of the machines are not those of the network's hidden layers; nothing is changed.
    """
    linears = [module for module in model if isinstance(module, torch.nn.Linear)]
    found = [stack[0].weight.shape[1], *(len(rbm.hidden_bias) for rbm in stack)] if stack else []
    wanted = [linear.in_features for linear in linears]
    if found != wanted:
        raise ArgumentError(
            f"a DBN of {_text(found)} units does not fit a network of {_text([*wanted, linears[-1].out_features])}: "
            f"its hidden layers need {_text(wanted[1:])}"
        )
    for rbm, linear in zip(stack, linears[:-1], strict=True):
        linear.weight.copy_(rbm.weight)
        linear.bias.copy_(rbm.hidden_bias)


def pretrain_(model: torch.nn.Sequential, images: torch.Tensor, recipe: Recipe) -> None:
    """Train a DBN for the recipe's hidden layers and unroll it into the model, without labels.

    Its draws come from a generator of its own: those of the training that follows are what they would be without it.

    Args:
        model: As `model.build` makes it from the recipe; its output layer stays as it is.
        images: (n, pixels) in [0, 1], in the recipe's dtype and on the model's device.
        recipe: Its seed is that of the generator.

    Raises:
        UserError: The recipe has no hidden layer, or the images are no pixels, or the training diverges.
    """
    settings = replace(PRETRAINING, seed=recipe.seed, dtype=recipe.dtype)
    generator = torch.Generator(images.device).manual_seed(settings.seed)
    unroll_(fit_stack(recipe.layers[1:-1], settings, images, images[:MONITORED], generator), model)


def _text(sizes: Sequence[int]) -> str:
    return "-".join(map(str, sizes)) or "no"
