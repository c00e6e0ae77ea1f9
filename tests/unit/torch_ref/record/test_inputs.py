"""Batches as the user's loop would draw them, what a loss uses, and wrong arguments in one line."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from torch_ref.errors import ArgumentError
from torch_ref.record import inputs
from torch_ref.record.program.optimizing import Recipe

WEIGHT = torch.ones(3)
CRITERION = nn.CrossEntropyLoss(weight=torch.ones(2))


def test_batches_start_anew_when_they_end() -> None:
    drawn, starts = inputs.draw([torch.tensor(1), torch.tensor(2)], 5)
    assert [batch.item() for batch in drawn] == [1, 2, 1, 2, 1]
    assert starts == [True, False, True, False, True]


def test_a_loader_is_drawn_as_in_the_users_loop() -> None:
    loader = DataLoader(TensorDataset(torch.arange(9)), batch_size=4, shuffle=True)
    torch.manual_seed(5)
    expected = [batch[0].tolist() for _ in range(2) for batch in loader][:5]
    torch.manual_seed(5)
    assert [batch[0].tolist() for batch in inputs.draw(loader, 5)[0]] == expected


def test_a_loaders_own_generator_gets_its_state_back() -> None:
    generator = torch.Generator().manual_seed(1)
    loader = DataLoader(TensorDataset(torch.arange(9)), batch_size=4, shuffle=True, generator=generator)
    before = generator.get_state()
    inputs.draw(loader, 4)
    assert before.equal(generator.get_state())


def test_batches_are_copies() -> None:
    """A loader may hand out the same tensor again and again."""
    kept = torch.zeros(2)

    def batches() -> Any:
        for _ in range(2):
            yield kept.add_(1)

    assert [batch[0].item() for batch in inputs.draw(batches(), 2)[0]] == [1, 2]


def test_batches_that_end_are_named() -> None:
    with pytest.raises(ArgumentError, match="at least one batch, got none"):
        inputs.draw([], 2)
    with pytest.raises(ArgumentError, match="batches end after 3 and cannot start anew: pass a list, or steps=3"):
        inputs.draw((torch.ones(1) for _ in range(3)), 5)


def helper(model: nn.Module, batch: Any) -> Any:
    return CRITERION(model(batch) * WEIGHT, batch)


def loss_with_helper(model: nn.Module, batch: Any) -> Any:
    return helper(model, batch)


class Trainer:
    criterion = CRITERION

    def loss(self, model: nn.Module, batch: Any) -> Any:
        return self.criterion(model(batch), batch) + WEIGHT


def test_what_a_loss_uses_is_found() -> None:
    model = nn.Linear(2, 2)
    local = torch.ones(1)
    assert inputs.constants(lambda model, batch: model(batch) * local, model) == [local]
    assert {id(found) for found in inputs.constants(loss_with_helper, model)} == {id(CRITERION), id(WEIGHT)}
    assert [id(found) for found in inputs.constants(Trainer().loss, model)] == [id(WEIGHT)]
    bound = functools.partial(lambda factor, model, batch: factor * model(batch), local)
    assert inputs.constants(bound, model) == [local]
    assert inputs.constants(CRITERION, model) == [CRITERION]
    assert inputs.constants(lambda _, batch: model(batch), model) == []


def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1)


def checked(model: Any, recipe: Recipe, **options: Any) -> None:
    inputs.check(model, recipe, **{"precision": "float64", "steps": 3, "seeds": 8} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float16"}, "precision must be 'float64' or 'as it is', got 'float16'"),
        ({"steps": 0}, "steps must be an integer from 1 to"),
        ({"seeds": 0}, "seeds must be an integer from 1 to"),
    ],
)
def test_an_argument_out_of_range_is_named(options: dict[str, Any], message: str) -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(ArgumentError, match=message):
        checked(model, Recipe(optimizer(model)), **options)


@pytest.mark.parametrize(
    ("recipe", "error", "message"),
    [
        (lambda model: Recipe(optimizer(nn.Linear(2, 2))), ArgumentError, "not this model's: build it from model.par"),
        (lambda model: Recipe(torch.optim.LBFGS(model.parameters())), TypeError, "LBFGS needs a closure"),
        (lambda model: Recipe(0.1), TypeError, "must be a torch.optim.Optimizer, got float"),
        (lambda model: Recipe(optimizer(model), schedule_every="batch"), ArgumentError, "must be 'step' or 'epoch'"),
        (
            lambda model: Recipe(optimizer(model), torch.optim.lr_scheduler.StepLR(optimizer(model), 2)),
            ArgumentError,
            "scheduler is bound to another optimizer",
        ),
    ],
)
def test_a_recipe_that_cannot_be_recorded_is_named(
    recipe: Callable[[nn.Module], Recipe], error: type[Exception], message: str
) -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(error, match=message):
        checked(model, recipe(model))


def test_a_model_that_cannot_be_recorded_is_named() -> None:
    recipe = Recipe(optimizer(nn.Linear(2, 2)))
    with pytest.raises(TypeError, match=r"model must be an nn.Module, got str"):
        checked("model", recipe)
    with pytest.raises(ArgumentError, match="call it once on a batch first"):
        checked(nn.LazyLinear(3), recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        scripted = torch.jit.script(nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"1 is a ScriptModule, which cannot be watched: build it without torch.jit"):
        checked(nn.Sequential(nn.ReLU(), scripted), recipe)
