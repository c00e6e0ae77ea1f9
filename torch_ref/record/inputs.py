"""What the user gives: checked, and the batches drawn."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from torch_ref.errors import ArgumentError, require, require_integer
from torch_ref.record import structures
from torch_ref.record.program.optimizing import Recipe

PRECISIONS = ("float64", "as it is")


def draw(batches: Iterable[Any], steps: int) -> tuple[list[Any], list[bool]]:
    """Return copies of the first batches, and for each whether the batches start anew with it.

    A DataLoader's own generator gets the state back that it had.

    Raises:
        ArgumentError: There are none, or too few of an iterator that ends.
    """
    owners = (batches, getattr(batches, "sampler", None))
    generators = [getattr(owner, "generator", None) for owner in owners]
    states = [(own, own.get_state()) for own in generators if isinstance(own, torch.Generator)]
    drawn: list[Any] = []
    starts: list[bool] = []
    try:
        while len(drawn) < steps:
            before = len(drawn)
            for batch in batches:
                starts.append(len(drawn) == before)
                drawn.append(structures.mapped(_copied, batch))
                if len(drawn) == steps:
                    break
            if not drawn:
                raise ArgumentError("batches must yield at least one batch, got none")
            if len(drawn) == before:
                raise ArgumentError(f"batches end after {before} and cannot start anew: pass a list, or steps={before}")
    finally:
        for generator, state in states:
            generator.set_state(state)
    return drawn, starts


def _copied(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value.copy()
    return value.detach().clone().requires_grad_(value.requires_grad)


def constants(loss: Callable[..., Any], model: nn.Module) -> list[nn.Module | torch.Tensor]:
    """Return the tensors and other modules that a loss function uses.

    They are looked for in its closure, its globals, its bound object and arguments, and in functions of its own file.
    """
    found: list[Any] = []
    waiting: list[Any] = [loss]
    seen = set[int]()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        found.append(value)
        if isinstance(value, functools.partial):
            waiting += [value.func, *value.args, *value.keywords.values()]
        elif inspect.ismethod(value):
            waiting += [value.__self__, value.__func__]
        elif inspect.isfunction(value) and value.__module__ == getattr(loss, "__module__", value.__module__):
            used = inspect.getclosurevars(value)
            waiting += [*used.nonlocals.values(), *used.globals.values()]
    own = set(model.modules())
    modules = [value for value in found if isinstance(value, nn.Module) and value not in own]
    plain = [module for module in modules if not isinstance(module, torch.jit.ScriptModule)]
    return [*plain, *(value for value in found if isinstance(value, torch.Tensor) and value.is_leaf)]


def check(model: nn.Module, recipe: Recipe, *, precision: str, steps: int, seeds: int) -> None:
    """Check what can be checked before anything is computed.

    Raises:
        TypeError: An argument is of a kind that cannot be recorded.
        ArgumentError: An argument is out of its range, or does not belong to the others.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {type(model).__name__}")
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            place = path or "model"
            raise TypeError(f"{place} is a ScriptModule, which cannot be watched: build it without torch.jit.script")
    if any(nn.parameter.is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise ArgumentError("model has lazy modules without weights: call it once on a batch first")
    require(precision in PRECISIONS, "precision", " or ".join(map(repr, PRECISIONS)), precision)
    require(recipe.schedule_every in ("step", "epoch"), "schedule_every", "'step' or 'epoch'", recipe.schedule_every)
    require_integer(steps, "steps", 1)
    require_integer(seeds, "seeds", 1)
    optimizer = recipe.optimizer
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise TypeError(f"{type(optimizer).__name__} needs a closure, which cannot be recorded: use another optimizer")
    own = {id(parameter) for parameter in model.parameters()}
    bound = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not all(id(parameter) in own for parameter in bound):
        raise ArgumentError("optimizer has parameters that are not this model's: build it from model.parameters()")
    if recipe.scheduler is not None and getattr(recipe.scheduler, "optimizer", optimizer) is not optimizer:
        raise ArgumentError("scheduler is bound to another optimizer: build it from this one")
