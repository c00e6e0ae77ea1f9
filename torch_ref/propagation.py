"""What a signal and a gradient do on their way through a network, by forward hooks and autograd."""

from typing import NamedTuple

import torch

# The largest |derivative| of each activation, and the share of it below which a unit counts as saturated at an image.
STEEPEST = {
    "relu": 1.0,
    "tanh": 1.0,
    "sigmoid": 0.25,
    "softsign": 1.0,
    "linear": 1.0,
    "leaky_relu": 1.0,
    "gelu": 1.1289041,
    "selu": 1.7580993,
}
FLAT = 0.05


class Layer(NamedTuple):
    """What one `Linear` and the activation after it do to a batch; gradients are of each image's own loss."""

    pre_mean: float
    pre_variance: float
    mean: float
    variance: float
    gradient_mean: float
    gradient_variance: float
    saturated: float  # share of (unit, image) pairs with nearly no derivative
    dead: float  # share of units that are saturated at every image
    kernel_gradient_norm: float  # of the batch's mean loss
    rank: int  # of the (image, unit) matrix of activations
    jacobian: torch.Tensor  # singular values of ∂activations/∂inputs at the first image


def propagate(model: torch.nn.Sequential, images: torch.Tensor, labels: torch.Tensor, activation: str) -> list[Layer]:
    """Send a batch forward and its gradients back.

    Args:
        model: As `model.build` makes it.
        images: (batch, pixels) in [0, 1], in the model's dtype.
        labels: (batch,), int64.
        activation: The one that the model has between its layers.
    """
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    linears = [module for module in model if isinstance(module, torch.nn.Linear)]
    hooks = [
        linear.register_forward_hook(lambda _module, inputs, output: seen.append((inputs[0], output)))
        for linear in linears
    ]
    logits = model(images)
    for hook in hooks:
        hook.remove()
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    gradients = torch.autograd.grad(loss, [z for _, z in seen] + [linear.weight for linear in linears])
    functions = [*(module for module in model if not isinstance(module, torch.nn.Linear)), torch.nn.Identity()]
    steepest = [STEEPEST[activation]] * (len(linears) - 1) + [1.0]
    return [
        _measure(*layer)
        for layer in zip(
            linears, functions, steepest, seen, gradients[: len(seen)], gradients[len(seen) :], strict=True
        )
    ]


def _measure(
    linear: torch.nn.Linear,
    function: torch.nn.Module,
    steepest: float,
    seen: tuple[torch.Tensor, torch.Tensor],
    gradient: torch.Tensor,
    weight_gradient: torch.Tensor,
) -> Layer:
    inputs, z = (tensor.detach() for tensor in seen)
    z.requires_grad_()
    activations = function(z)
    (slopes,) = torch.autograd.grad(activations.sum(), z)
    flat = slopes.abs() / steepest < FLAT
    jacobian = torch.autograd.functional.jacobian(lambda x: function(linear(x)), inputs[0])
    activations, z = activations.detach(), z.detach()
    return Layer(
        pre_mean=z.mean().item(),
        pre_variance=z.var(correction=0).item(),
        mean=activations.mean().item(),
        variance=activations.var(correction=0).item(),
        gradient_mean=gradient.mean().item(),
        gradient_variance=gradient.var(correction=0).item(),
        saturated=flat.double().mean().item(),
        dead=flat.all(dim=0).double().mean().item(),
        kernel_gradient_norm=(weight_gradient.norm() / len(z)).item(),
        rank=int(torch.linalg.matrix_rank(activations)),
        jacobian=torch.linalg.svdvals(jacobian),
    )
