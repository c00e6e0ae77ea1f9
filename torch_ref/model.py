"""Cells 8, 10 and 11 of the notebook: the layers, their initial weights, and the model."""

from collections.abc import Callable
from itertools import pairwise

import torch

from torch_ref.errors import UserError, require_known
from torch_ref.recipes import Recipe

Init = Callable[[torch.Tensor], object]  # changes a tensor in place

INITS: dict[str, Init] = {
    "uniform": torch.nn.init.uniform_,
    "normal": torch.nn.init.normal_,
    "small_normal": lambda weight: torch.nn.init.normal_(weight, std=0.01),
    "trunc_normal": torch.nn.init.trunc_normal_,
    "constant": lambda weight: torch.nn.init.constant_(weight, 0.1),
    "ones": torch.nn.init.ones_,
    "zeros": torch.nn.init.zeros_,
    "eye": torch.nn.init.eye_,
    "xavier_uniform": torch.nn.init.xavier_uniform_,
    "xavier_normal": torch.nn.init.xavier_normal_,
    "kaiming_uniform": torch.nn.init.kaiming_uniform_,
    "kaiming_normal": torch.nn.init.kaiming_normal_,
    "orthogonal": torch.nn.init.orthogonal_,
    "sparse": lambda weight: torch.nn.init.sparse_(weight, sparsity=0.9),
    "linear_default": lambda weight: weight,  # keep nn.Linear's own draw
    "lsuv": torch.nn.init.orthogonal_,  # `lsuv_` then scales it
    "dbn": torch.nn.init.xavier_uniform_,  # `dbn.pretrain_` then replaces it in the hidden layers
}
ACTIVATIONS: dict[str, Callable[[], torch.nn.Module]] = {
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "softsign": torch.nn.Softsign,
    "linear": torch.nn.Identity,
    "leaky_relu": torch.nn.LeakyReLU,
    "gelu": torch.nn.GELU,
    "selu": torch.nn.SELU,
}
BIAS_INITS: dict[str, Init] = {
    "linear_default": lambda bias: bias,
    "zeros": torch.nn.init.zeros_,
}


def initialisers(recipe: Recipe) -> tuple[Init, Init]:
    """Return the initialisers of the weights and of the biases.

    Raises:
        ArgumentError: `INITS` or `BIAS_INITS` has no such name.
    """
    require_known("init", recipe.init, INITS)
    require_known("bias init", recipe.bias_init, BIAS_INITS)
    return INITS[recipe.init], BIAS_INITS[recipe.bias_init]


def build(recipe: Recipe) -> torch.nn.Sequential:
    """Return the model on the CPU: linear1, activation1, linear2, … Its output is the logits.

    It draws from torch's global generator in the notebook's order. All draws are float32, so that a float64 run starts
    from the same numbers.

    Raises:
        ArgumentError: The recipe names an unknown initialiser.
    """
    init, bias_init = initialisers(recipe)

    # nn layers
    linears = [torch.nn.Linear(fan_in, fan_out, bias=True) for fan_in, fan_out in pairwise(recipe.layers)]
    activation = ACTIVATIONS[recipe.activation]()

    # xavier initialization
    for _ in range(recipe.init_passes):
        for linear in linears:
            init(linear.weight)
    for linear in linears:
        bias_init(linear.bias)

    # model; named layers, so that its parameters are linear1.weight, linear1.bias, …
    model = torch.nn.Sequential()
    for number, linear in enumerate(linears, start=1):
        if number > 1:
            model.add_module(f"activation{number - 1}", activation)
        model.add_module(f"linear{number}", linear)
    return model.to(getattr(torch, recipe.dtype))


def linear_layers(model: torch.nn.Sequential) -> list[torch.nn.Linear]:
    """Return the linear layers of a model, from the inputs to the outputs."""
    return [module for module in model if isinstance(module, torch.nn.Linear)]


@torch.no_grad()
def lsuv_(model: torch.nn.Sequential, images: torch.Tensor, tolerance: float = 0.01, rounds: int = 10) -> None:
    """Divide each weight by the standard deviation of its layer's outputs: Mishkin & Matas 2015, algorithm 1.

    `images` are (n, pixels) in [0, 1], in the model's dtype and on its device.

    Raises:
        UserError: After `rounds` divisions the variance of a layer's outputs is still not within `tolerance` of 1.
    """
    outputs, number = images, 0
    for module in model:  # not named_children, which yields the shared activation only once
        inputs, outputs = outputs, module(outputs)
        if not isinstance(module, torch.nn.Linear):
            continue
        number += 1
        for _ in range(rounds):
            variance = outputs.var(correction=0)
            if abs(variance - 1) <= tolerance:
                break
            module.weight /= variance.sqrt()
            outputs = module(inputs)
        variance = outputs.var(correction=0)
        if not abs(variance - 1) <= tolerance:
            raise UserError(
                f"lsuv cannot bring the variance of linear{number} to 1: it is {variance:.3g} after {rounds} rounds; "
                "start from weights that are not 0 and biases below 1"
            )
