"""The user's optimizer and scheduler, from a fresh state, and put back afterwards."""

import collections
import contextlib
import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from torch_ref.record.arrays import STEP, Array
from torch_ref.record.noise import Noise, Sink
from torch_ref.record.settings import Leaf, plain_values

HOW = frozenset({"params", "param_names", "foreach", "capturable", "differentiable", "fused"})  # not what is computed


@dataclass(frozen=True)
class Recipe:
    """What happens between the gradients and the next step."""

    optimizer: torch.optim.Optimizer
    scheduler: Any = None
    schedule_every: str = "step"
    clip_norm: float | None = None
    clip_value: float | None = None
    before_step: Callable[[nn.Module], object] | None = None


class Optimizing:
    """Makes steps with the user's optimizer. `reset` gives it a fresh state, `close` the user's own again."""

    def __init__(self, recipe: Recipe, model: nn.Module) -> None:
        self._recipe, self._model = recipe, model
        self._attributes = dict(vars(recipe.optimizer))
        self._groups = [{key: _kept(value) for key, value in group.items()} for group in recipe.optimizer.param_groups]
        self._schedulers = [(one, {k: _kept(v) for k, v in vars(one).items()}) for one in _nested(recipe.scheduler)]
        needed = inspect.signature(recipe.scheduler.step).parameters if recipe.scheduler is not None else {}
        self.follows_loss = "metrics" in needed  # as ReduceLROnPlateau does

    def reset(self) -> None:
        """Set learning rates and schedule back, and forget all moments."""
        self._restore()
        self._recipe.optimizer.state = collections.defaultdict(dict, _initial_state(self._recipe.optimizer))

    def close(self) -> None:
        """Give the optimizer and the scheduler the state that they came with."""
        self._restore()
        vars(self._recipe.optimizer).clear()
        vars(self._recipe.optimizer).update(self._attributes)

    def learning_rates(self) -> list[float]:
        """Return each group's learning rate."""
        return [float(group["lr"]) for group in self._recipe.optimizer.param_groups if "lr" in group]

    def step(self) -> None:
        """Clip the gradients, call `before_step`, and make a step."""
        parameters = [p for p in self._model.parameters() if p.grad is not None]
        if self._recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, self._recipe.clip_norm)
        if self._recipe.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, self._recipe.clip_value)
        if self._recipe.before_step is not None:
            self._recipe.before_step(self._model)
        self._recipe.optimizer.step()

    def schedule(self, *, starts_epoch: bool, loss: float | None) -> None:
        """Call the scheduler after a step if it is due. One that follows the loss needs a loss."""
        if self._recipe.scheduler is None or not (self._recipe.schedule_every == "step" or starts_epoch):
            return
        if not self.follows_loss:
            self._recipe.scheduler.step()
        elif loss is not None:
            self._recipe.scheduler.step(loss)

    def perturb(self, leaves: Sequence[Leaf], before: Sequence[torch.Tensor], noise: Noise) -> None:
        """Perturb a step, and then the parameters and moments, which are rounded at each step; counters stay.

        Adam divides by the root of 1 - beta ** step. If beta is rounded, which moves it by half a unit at most, all
        elements of the step are off by up to a quarter of a unit over 1 - beta.
        """
        sizes = {id(one): _rounding(group) for group in self._recipe.optimizer.param_groups for one in group["params"]}
        for leaf, old in zip(leaves, before, strict=True):
            value = leaf.tensor.detach()
            value.add_(value - old, alpha=noise.sign() * sizes[id(leaf.tensor)])
            kept = [value, *self._recipe.optimizer.state.get(leaf.tensor, {}).values()]
            for value in kept:
                if isinstance(value, torch.Tensor) and value.ndim:
                    value.copy_(noise.perturbed(value))

    def state(self, leaves: Sequence[Leaf], sink: Sink, place: str) -> dict[str, dict[str, Array | None]]:
        """Record the optimizer's state of each leaf."""
        found: dict[str, dict[str, Array | None]] = {}
        for leaf in leaves:
            entries = self._recipe.optimizer.state.get(leaf.tensor, {})
            found[leaf.name] = {}
            for key, value in entries.items():
                if isinstance(value, int | float):
                    value = torch.tensor(value, dtype=torch.float64)
                if value is None or isinstance(value, torch.Tensor):
                    array = None if value is None else sink.array(f"{place}/{leaf.name}/{key}", value, "steps", STEP)
                    found[leaf.name][key] = array
        return found

    def _restore(self) -> None:
        for group, values in zip(self._recipe.optimizer.param_groups, self._groups, strict=True):
            group.clear()
            group.update({key: _given(value) for key, value in values.items()})
        for scheduler, values in self._schedulers:
            vars(scheduler).clear()
            vars(scheduler).update({key: _given(value) for key, value in values.items()})


def described(recipe: Recipe, leaves: Sequence[Leaf], steps_per_epoch: int | None) -> dict[str, Any]:
    """Return the optimizer's settings for record.json."""
    names = {id(leaf.tensor): leaf.name for leaf in reversed(leaves)}  # a tied parameter's first name
    groups = []
    for group in recipe.optimizer.param_groups:
        options = {key: value.item() if isinstance(value, torch.Tensor) else value for key, value in group.items()}
        listed = {"names": [names[id(parameter)] for parameter in group["params"]]}
        groups.append(listed | plain_values({key: value for key, value in options.items() if key not in HOW}))
    schedule = None
    if recipe.scheduler is not None:
        schedule = {
            "type": type(recipe.scheduler).__name__, "every": recipe.schedule_every, "steps_per_epoch": steps_per_epoch,
            "settings": plain_values(vars(recipe.scheduler)),
        }  # fmt: skip
    step = recipe.before_step
    return {
        "type": type(recipe.optimizer).__name__, "groups": groups, "clip_norm": recipe.clip_norm,
        "clip_value": recipe.clip_value, "before_step": None if step is None else getattr(step, "__name__", str(step)),
        "schedule": schedule,
    }  # fmt: skip


def _rounding(group: dict[str, Any]) -> float:
    """Return how far a group's steps may be apart between correct optimizers, relative to their size."""
    betas = group.get("betas", ())
    unit = torch.finfo(torch.float64 if group["params"][0].dtype == torch.float64 else torch.float32).eps / 2
    return max((unit / (4 * (1 - beta)) for beta in betas if beta < 1), default=0.0)


def _initial_state(optimizer: torch.optim.Optimizer) -> dict[Any, Any]:
    """Return the state that a new optimizer of this kind starts with: for most it is empty, for Adagrad it is not."""
    accepted = inspect.signature(type(optimizer)).parameters
    options = {key: value for key, value in optimizer.defaults.items() if key in accepted}
    groups = [{key: value for key, value in group.items() if key != "param_names"} for group in optimizer.param_groups]
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # an optimizer with other options keeps no state
        warnings.simplefilter("ignore")
        return dict(type(optimizer)(groups, **options).state)
    return {}


def _nested(scheduler: Any) -> list[Any]:
    """Return a scheduler and those inside it."""
    if scheduler is None:
        return []
    return [scheduler, *(one for inner in vars(scheduler).get("_schedulers", ()) for one in _nested(inner))]


def _kept(value: Any) -> Any:
    """Return a value's copy, as deep as optimizers and schedulers change it in place."""
    if isinstance(value, torch.Tensor):
        return (value, value.detach().clone())
    return copy.copy(value) if isinstance(value, list | dict) else value


def _given(kept: Any) -> Any:
    """Return the value of which `_kept` made a copy."""
    if isinstance(kept, tuple) and len(kept) == 2 and isinstance(kept[0], torch.Tensor):
        kept[0].detach().copy_(kept[1])
        return kept[0]
    return copy.copy(kept) if isinstance(kept, list | dict) else kept
