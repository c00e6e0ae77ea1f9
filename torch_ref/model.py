"""Cells 8, 10 and 11 of the notebook: the layers, their initial weights, the model."""

from collections.abc import Callable
from itertools import pairwise

import torch

from torch_ref.errors import UserError, unknown_name
from torch_ref.recipes import Recipe

INITS: dict[str, Callable[[torch.Tensor], object]] = {
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
    "linear_default": lambda weight: weight,  # leave what nn.Linear drew
    "lsuv": torch.nn.init.orthogonal_,  # from which `lsuv_` goes on
    "dbn": torch.nn.init.xavier_uniform_,  # from which `dbn.pretrain_` goes on
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
BIAS_INITS: dict[str, Callable[[torch.Tensor], object]] = {
    "linear_default": lambda bias: bias,
    "zeros": torch.nn.init.zeros_,
}


def initialisers(recipe: Recipe) -> tuple[Callable[[torch.Tensor], object], Callable[[torch.Tensor], object]]:
    """Return the functions that initialise a weight and a bias in place.

    Raises:
        ArgumentError: The recipe names one that is not in `INITS` or `BIAS_INITS`.
    """
    if recipe.init not in INITS:
        raise unknown_name("init", recipe.init, INITS)
    if recipe.bias_init not in BIAS_INITS:
        raise unknown_name("bias init", recipe.bias_init, BIAS_INITS)
    return INITS[recipe.init], BIAS_INITS[recipe.bias_init]


def build(recipe: Recipe) -> torch.nn.Sequential:
    """Make the model on the CPU, drawing from torch's global generator in the notebook's order.

    Weights are drawn in float32 whatever the recipe's dtype, so that a float64 run starts from the same numbers.
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


@torch.no_grad()
def lsuv_(model: torch.nn.Sequential, images: torch.Tensor, tolerance: float = 0.01, rounds: int = 10) -> None:
    """Divide each weight by the standard deviation of its layer's outputs: Mishkin & Matas 2015, algorithm 1.

    Raises:
        UserError: A layer's variance stays away from 1.
    """
    outputs, number = images, 0
    for module in model:  # named_children would pass over the activation from its second place on
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
