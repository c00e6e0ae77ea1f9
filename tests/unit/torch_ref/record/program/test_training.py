"""The optimizer on given gradients, and training: updates, states and buffers of each step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.torch_ref.record.programs import Program, cnn, mlp, square


def injected(block: np.ndarray, scale: np.ndarray, leaf: int, step: int, shape: list[int]) -> np.ndarray:
    """The formula of docs/records.md."""
    return scale[step] * np.resize(np.roll(block, 7919 * (leaf * len(scale) + step)), shape)


def test_injected_gradients_follow_the_formula(tmp_path: Path) -> None:
    """With SGD the updates are the gradients. A frozen parameter and a tied one are not counted."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[0].bias.requires_grad_(False)
    model[1].weight = model[0].weight
    program = Program(model, square, [torch.randn(4, 3)] * 3, lambda parameters: torch.optim.SGD(parameters, lr=1.0))
    found = program.save(tmp_path / "new")
    names = ["0.weight", "1.bias", "2.weight", "2.bias"]
    arrays = found["arrays"]["steps"]
    for step, entry in enumerate(found["injected"]):
        assert list(entry["updates"]) == names
        for number, name in enumerate(names):
            update = entry["updates"][name]
            expected = -injected(arrays["block"], arrays["scale"], number, step, update.shape)
            assert np.allclose(update.value, expected, rtol=0, atol=1e-12)  # parameters of size 1000 have this ulp


def test_injected_gradients_are_clipped_and_scheduled(tmp_path: Path) -> None:
    program = mlp()
    optimizer = torch.optim.SGD(program.model.parameters(), lr=1.0)
    program.optimizer = lambda _: optimizer
    found = program.save(tmp_path / "new", clip_norm=0.5, scheduler=torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5))
    for step, entry in enumerate(found["injected"]):
        norm = np.hypot.reduce([update.norm for update in entry["updates"].values()])
        assert entry["learning_rates"] == [0.5**step]
        assert norm <= 0.5 * 0.5**step * (1 + 1e-12)
    assert norm > 1e-4


def test_updates_add_up_to_the_trained_weights(tmp_path: Path) -> None:
    """And the states are those of a plain loop."""
    program = cnn()
    found = program.save(tmp_path / "new")
    model = cnn().model.double()
    start = model[7].weight.detach().clone()
    optimizer = program.optimizer(model.parameters())
    for (images, labels), entry in zip(program.batches, found["trajectory"], strict=True):
        kept = {mask["module"]: torch.from_numpy(mask["array"].value) for mask in entry["masks"]}
        hidden = model[2](model[1](model[0](images.double()))) * kept["3"] / 0.8
        logits = model[7](model[5](model[4](hidden)) * kept["6"] / 0.9)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()
        norm = torch.stack([parameter.grad.norm() for parameter in model.parameters()]).norm()
        optimizer.step()
        assert entry["loss"] == pytest.approx(loss.item(), rel=1e-12)
        assert entry["gradient_norm"] == pytest.approx(norm.item(), rel=1e-12)
        moments = optimizer.state[model[7].weight]
        assert np.allclose(entry["state"]["7.weight"]["exp_avg_sq"].value, moments["exp_avg_sq"], rtol=1e-9, atol=0)
        assert np.allclose(entry["buffers"]["1.running_var"].value, model[1].running_var, rtol=1e-12, atol=0)
    total = sum(entry["updates"]["7.weight"].value for entry in found["trajectory"])
    assert np.allclose(total, (model[7].weight - start).detach(), rtol=1e-9, atol=1e-15)
    model.eval()
    assert found["after"]["loss"] == pytest.approx(
        nn.functional.cross_entropy(model(program.batches[0][0].double()), program.batches[0][1]).item(), rel=1e-9
    )


def test_steps_are_sampled(tmp_path: Path) -> None:
    torch.manual_seed(0)
    program = Program(nn.Linear(100, 50), square, [torch.randn(2, 100)], torch.optim.Adam)
    entry = program.save(tmp_path / "new")["trajectory"][0]
    update = entry["updates"]["weight"]
    assert (update.shape, update.value.shape, update.sampled) == ([50, 100], (2048,), True)
    assert update.norm == pytest.approx(0.001 * 5000**0.5, rel=1e-3)  # Adam's first step is the learning rate
    assert 0 < update.noise < 1e-12


def test_unused_parameters_have_no_gradient_but_are_injected(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
    program = Program(model, lambda model, batch: model[0](batch).sum(), [torch.randn(2, 3)], torch.optim.SGD)
    found = program.save(tmp_path / "new")
    assert found["gradients"]["1.weight"] is None
    assert found["gradients"]["0.weight"] is not None
    assert found["injected"][0]["updates"]["1.weight"].norm > 0
    assert found["trajectory"][0]["updates"]["1.weight"].norm == 0


def test_sparse_gradients_stay_sparse_for_the_optimizer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    program = Program(nn.Embedding(10, 3, sparse=True), square, [torch.tensor([1, 1, 4])] * 2, torch.optim.SparseAdam)
    found = program.save(tmp_path / "new")
    assert np.flatnonzero(found["gradients"]["weight"].value.any(1)).tolist() == [1, 4]
    assert np.flatnonzero(found["trajectory"][0]["updates"]["weight"].value.any(1)).tolist() == [1, 4]
    assert found["injected"][0]["updates"]["weight"].value.all()


def test_random_numbers_that_are_no_masks_are_noted_and_repeated(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.AlphaDropout(0.5))
    found = Program(model, square, [torch.randn(2, 3)] * 3, torch.optim.SGD).save(tmp_path / "new")
    assert found["notes"] == ["the model draws random numbers that are not dropout: 1"]
    assert all(step["loss_noise"] < 1e-13 for step in found["trajectory"])  # the noisy runs drew the same numbers
