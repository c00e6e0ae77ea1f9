"""The signal and its gradient in every layer of a network, measured with forward hooks and autograd."""

from typing import NamedTuple

import torch

from torch_ref.model import linear_layers

STEEPEST = {"sigmoid": 0.25, "gelu": 1.1289041, "selu": 1.7580993}  # largest |derivative|; the others have 1
SATURATED = 0.05  # a unit whose |derivative| is below this fraction of the largest one is saturated


class Layer(NamedTuple):
    """Measurements of one `Linear` and the activation after it. Gradients are those of each image's own loss."""

    pre_mean: float
    pre_variance: float
    mean: float
    variance: float
    gradient_mean: float
    gradient_variance: float
    saturated: float  # fraction of the (unit, image) pairs
    dead: float  # fraction of the units that are saturated for every image
    kernel_gradient_norm: float  # of the batch's mean loss
    rank: int  # of the (image, unit) matrix of activations
    jacobian: torch.Tensor  # singular values of ∂activations/∂inputs for the first image


def propagate(model: torch.nn.Sequential, images: torch.Tensor, labels: torch.Tensor, activation: str) -> list[Layer]:
    """Run a batch forward and backward, and measure every layer.

    Args:
        model: What `model.build` makes.
        images: (batch, pixels) in [0, 1], in the model's dtype.
        labels: (batch,), int64.
        activation: The name of the model's activation.
    """
    signals: list[tuple[torch.Tensor, torch.Tensor]] = []  # the inputs and outputs of each linear layer
    linears = linear_layers(model)
    hooks = [
        linear.register_forward_hook(lambda _module, inputs, output: signals.append((inputs[0], output)))
        for linear in linears
    ]
    logits = model(images)
    for hook in hooks:
        hook.remove()
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    n = len(linears)
    gradients = torch.autograd.grad(loss, [z for _, z in signals] + [linear.weight for linear in linears])
    functions = [*(module for module in model if not isinstance(module, torch.nn.Linear)), torch.nn.Identity()]
    steepest = [STEEPEST.get(activation, 1.0)] * (n - 1) + [1.0]
    return list(map(_measure, linears, functions, steepest, signals, gradients[:n], gradients[n:]))


def _measure(
    linear: torch.nn.Linear,
    function: torch.nn.Module,
    steepest: float,
    signal: tuple[torch.Tensor, torch.Tensor],
    gradient: torch.Tensor,
    weight_gradient: torch.Tensor,
) -> Layer:
    inputs, z = (tensor.detach() for tensor in signal)
    z.requires_grad_()
    activations = function(z)
    (slopes,) = torch.autograd.grad(activations.sum(), z)
    saturated = slopes.abs() / steepest < SATURATED
    jacobian = torch.autograd.functional.jacobian(lambda x: function(linear(x)), inputs[0])
    activations, z = activations.detach(), z.detach()
    return Layer(
        pre_mean=z.mean().item(),
        pre_variance=z.var(correction=0).item(),
        mean=activations.mean().item(),
        variance=activations.var(correction=0).item(),
        gradient_mean=gradient.mean().item(),
        gradient_variance=gradient.var(correction=0).item(),
        saturated=saturated.double().mean().item(),
        dead=saturated.all(dim=0).double().mean().item(),
        kernel_gradient_norm=(weight_gradient.norm() / len(z)).item(),
        rank=int(torch.linalg.matrix_rank(activations)),
        jacobian=torch.linalg.svdvals(jacobian),
    )
