"""The user's optimizer and scheduler: a fresh state while recording, their own state afterwards."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.unit.torch_ref.record.programs import mlp, read, square
from torch_ref import record
from torch_ref.record.arrays import Recording
from torch_ref.record.noise import Noise
from torch_ref.record.program.optimizing import Optimizing, Recipe, described
from torch_ref.record.settings import leaves

SGD, ADAM = torch.optim.SGD, torch.optim.AdamW
SCHEDULES = torch.optim.lr_scheduler


def stepped(optimizer: torch.optim.Optimizer, model: nn.Module, count: int = 2) -> None:
    for _ in range(count):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()


def test_moments_are_fresh_and_come_back() -> None:
    model = nn.Linear(2, 2)
    optimizer = ADAM(model.parameters())
    stepped(optimizer, model)
    state = optimizer.state
    kept = optimizer.state[model.weight]["exp_avg"].clone()
    optimizing = Optimizing(Recipe(optimizer), model)
    optimizing.reset()
    assert not optimizer.state
    stepped(optimizer, model, 1)
    optimizing.close()
    assert optimizer.state is state
    assert optimizer.state[model.weight]["exp_avg"].equal(kept)
    assert optimizer.state[model.weight]["step"] == 2


def test_an_optimizer_that_starts_with_a_state_starts_with_it() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adagrad(model.parameters(), initial_accumulator_value=0.5)
    stepped(optimizer, model)
    optimizing = Optimizing(Recipe(optimizer), model)
    optimizing.reset()
    assert optimizer.state[model.weight]["sum"].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert optimizer.state[model.weight]["step"] == 0
    optimizing.close()
    assert optimizer.state[model.weight]["sum"].tolist() == [[2.5, 2.5], [2.5, 2.5]]


def warm_up(optimizer: torch.optim.Optimizer) -> Any:
    first = SCHEDULES.ConstantLR(optimizer, 0.1, 2)
    return SCHEDULES.SequentialLR(optimizer, [first, SCHEDULES.ExponentialLR(optimizer, 0.5)], [2])


@pytest.mark.parametrize(
    ("scheduler", "rates"),
    [
        (lambda optimizer: SCHEDULES.StepLR(optimizer, 1, 0.5), [1, 0.5, 0.25, 0.125]),
        (lambda optimizer: SCHEDULES.LambdaLR(optimizer, lambda step: 1 / (1 + step)), [1, 1 / 2, 1 / 3, 1 / 4]),
        (lambda optimizer: SCHEDULES.MultiStepLR(optimizer, [1, 3], 0.1), [1, 0.1, 0.1, 0.01]),
        (warm_up, [0.1, 0.1, 1, 0.5]),
        (lambda optimizer: SCHEDULES.ReduceLROnPlateau(optimizer, "max", 0.1, patience=0), [1, 1, 0.1, 0.01]),
    ],
)
def test_each_run_has_the_schedule_from_its_start(scheduler: Any, rates: list[float]) -> None:
    program = mlp()
    optimizer = SGD(program.model.parameters(), lr=1.0)
    schedule = scheduler(optimizer)
    optimizing = Optimizing(Recipe(optimizer, schedule), program.model)
    before = schedule.state_dict() | {"_schedulers": None}
    for _ in range(2):
        optimizing.reset()
        found = []
        for _ in range(4):
            found += optimizing.learning_rates()
            optimizer.step()
            optimizing.schedule(starts_epoch=False, loss=1.0)
        assert found == pytest.approx(rates)
    optimizing.close()
    assert schedule.state_dict() | {"_schedulers": None} == before
    assert optimizer.param_groups[0]["lr"] == rates[0]


def test_a_schedule_of_epochs_moves_where_the_batches_start_anew(tmp_path: Path) -> None:
    program = mlp()
    optimizer = SGD(program.model.parameters(), lr=1e-3)
    scheduler = SCHEDULES.StepLR(optimizer, 1, 0.5)
    arguments = {"optimizer": optimizer, "scheduler": scheduler, "schedule_every": "epoch", "steps": 5}
    folder = record.save(tmp_path / "new", model=program.model, loss=square, batches=program.batches[:2], **arguments)
    found = read(folder)
    assert [step["learning_rates"] for step in found["trajectory"]] == [[1e-3], [1e-3], [5e-4], [5e-4], [2.5e-4]]
    assert [step["learning_rates"] for step in found["injected"]] == [[1e-3], [1e-3], [5e-4], [5e-4], [2.5e-4]]
    assert found["optimizer"]["schedule"] == {
        "type": "StepLR", "every": "epoch", "steps_per_epoch": 2,
        "settings": {"step_size": 1, "gamma": 0.5, "last_epoch": 0},
    }  # fmt: skip


def test_a_schedule_that_follows_the_loss_needs_one() -> None:
    model = nn.Linear(2, 2)
    optimizer = SGD(model.parameters(), lr=1.0)
    optimizing = Optimizing(Recipe(optimizer, SCHEDULES.ReduceLROnPlateau(optimizer, patience=0)), model)
    assert optimizing.follows_loss
    optimizing.reset()
    for _ in range(3):
        optimizing.schedule(starts_epoch=False, loss=None)
    assert optimizing.learning_rates() == [1.0]
    optimizing.close()


def test_a_learning_rate_in_a_tensor_comes_back() -> None:
    model = nn.Linear(2, 2)
    rate = torch.tensor(0.5)
    optimizer = ADAM(model.parameters(), lr=rate)
    optimizing = Optimizing(Recipe(optimizer), model)
    rate.fill_(0.25)
    optimizing.reset()
    assert optimizing.learning_rates() == [0.5]
    optimizing.close()
    assert optimizer.param_groups[0]["lr"] is rate


def test_gradients_are_clipped_before_the_step() -> None:
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)

    def halve(model: nn.Module) -> None:
        model.weight.grad.mul_(0.5)

    for options, expected in (
        ({}, [3, 4]),
        ({"clip_norm": 1.0}, [0.6, 0.8]),
        ({"clip_value": 0.7}, [0.7, 0.7]),
        ({"clip_norm": 1.0, "clip_value": 0.7}, [0.6, 0.7]),
        ({"clip_norm": 1.0, "before_step": halve}, [0.3, 0.4]),
    ):
        nn.init.zeros_(model.weight)
        model.weight.grad = torch.tensor([[3.0, 4.0]])
        Optimizing(Recipe(SGD(model.parameters(), lr=1.0), **options), model).step()
        assert (-model.weight).flatten().tolist() == pytest.approx(
            expected, rel=1e-5
        )  # clipping divides by norm + 1e-6


def test_noisy_steps_move_parameters_and_moments_but_no_counters() -> None:
    model = nn.Linear(20, 20)
    optimizer = ADAM(model.parameters())
    stepped(optimizer, model)
    state = optimizer.state[model.weight]
    kept = [model.weight, state["exp_avg"], state["exp_avg_sq"]]
    before = [tensor.detach().clone() for tensor in kept]
    noise = Noise(Recording(), 1, torch.device("cpu"), torch.float32)
    unmoved = [leaf.tensor.detach().clone() for leaf in leaves(model)]
    Optimizing(Recipe(optimizer), model).perturb(leaves(model), unmoved, noise)
    assert all((old != new).double().mean() > 0.4 for old, new in zip(before, kept, strict=True))
    assert all(torch.allclose(old, new, rtol=2**-23, atol=0) for old, new in zip(before, kept, strict=True))
    assert state["step"] == 2


def test_noisy_steps_are_as_far_off_as_a_rounded_beta_makes_them() -> None:
    """From parameters that are 0, so that their own rounding is small beside that of the step."""
    model = nn.Linear(20, 20)
    optimizer = ADAM(model.parameters(), betas=(0.9, 0.999))
    before = [torch.zeros_like(leaf.tensor) for leaf in leaves(model)]
    steps = [leaf.tensor.detach().clone() for leaf in leaves(model)]
    noise = Noise(Recording(), 1, torch.device("cpu"), torch.float32)
    Optimizing(Recipe(optimizer), model).perturb(leaves(model), before, noise)
    for leaf, step in zip(leaves(model), steps, strict=True):
        ratio = (leaf.tensor.detach() / step).double() - 1
        assert ratio.abs().mean().item() == pytest.approx(2**-24 / (4 * 0.001), rel=0.02)


def test_groups_are_described_by_names() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    groups = [{"params": [model[0].bias], "lr": torch.tensor(0.5)}, {"params": [model[1].weight], "weight_decay": 0}]
    optimizer = ADAM(groups, lr=0.25, foreach=True)
    found = described(Recipe(optimizer, clip_norm=1.0, before_step=print), leaves(model), None)
    assert found["type"] == "AdamW"
    assert [group["names"] for group in found["groups"]] == [["0.bias"], ["0.weight"]]
    assert [(group["lr"], group["weight_decay"]) for group in found["groups"]] == [(0.5, 0.01), (0.25, 0)]
    assert found["groups"][0]["betas"] == [0.9, 0.999]
    assert "foreach" not in found["groups"][0]
    assert (found["clip_norm"], found["clip_value"], found["before_step"], found["schedule"]) == (
        1.0,
        None,
        "print",
        None,
    )
