"""The matrix products of an epoch in PyTorch, into results that are allocated once."""

from collections.abc import Iterator

import torch

from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from tests.bench.contenders import Epoch, timed
from tests.bench.floor import NO_COST, operands
from torch_ref.train import device_of_choice

Call = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # two factors, and where their product goes


def products(inputs: torch.Tensor, weights: list[torch.Tensor]) -> list[Call]:
    """Return a step's products in their order, each on the result of one before; weights are (fan_out, fan_in).

    The outputs stand for their own gradients. The weights' gradients are (fan_out, fan_in), the last layer's first.
    """
    calls: list[Call] = []
    outputs = [inputs]
    for weight in weights:
        outputs.append(inputs.new_empty(len(inputs), len(weight)))
        calls.append((outputs[-2], weight.t(), outputs[-1]))
    delta = outputs.pop()
    for weight in reversed(weights):
        layer_inputs = outputs.pop()
        calls.append((delta.t(), layer_inputs, torch.empty_like(weight)))
        if outputs:
            calls.append((delta, weight, torch.empty_like(layer_inputs)))
            delta = calls[-1][-1]
    return calls


def epochs(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Multiply in a loop of `torch.mm`."""
    device = device_of_choice()
    inputs, kernels = operands(recipe.layers, recipe.batch_size)
    weights = [torch.from_numpy(kernel.T.copy()).to(device) for kernel in kernels]
    calls = products(torch.from_numpy(inputs).to(device), weights)
    steps = len(mnist.train_images) // recipe.batch_size

    def epoch() -> float:
        for _ in range(steps):
            for left, right, result in calls:
                torch.mm(left, right, out=result)
        calls[-1][-1][0, 0].item()  # waits for the device
        return NO_COST

    return timed(epoch)
