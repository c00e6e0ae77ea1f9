"""The torch contenders that the benchmark of one device brings: they do what the reference does."""

import numpy as np
import pytest
import torch

from jax_impl import data
from tests.bench import gpu_torch
from tests.parity import torch_side
from torch_ref import recipes

CPU = torch.device("cpu")
DOUBLE = recipes.named("mnist_nn_xavier").with_changes(dtype="float64")


def orders(runs: int, steps: int) -> torch.Tensor:
    """Batches of another order for every run, (steps, runs, batch)."""
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randperm(1000, generator=generator)[: steps * 100].view(steps, 100) for _ in range(runs)]
    return torch.stack(drawn, dim=1)


def together(small: data.Mnist, order: torch.Tensor) -> gpu_torch.Many:
    steps, runs, _ = order.shape
    many = gpu_torch.Many(DOUBLE, range(runs), small, CPU)
    many.order[:steps] = order
    many.epoch(many.step, steps)
    return many


def furthest_from_single_trainings(many: gpu_torch.Many, small: data.Mnist, order: torch.Tensor) -> float:
    """The largest |difference| of losses and parameters from those of trainings one by one."""
    differences = []
    for run in range(order.shape[1]):
        one = gpu_torch.One(DOUBLE.with_changes(seed=run), small, CPU)
        one.order[: len(order)] = order[:, run]
        losses = one.epoch(one.step, len(order))
        differences.append((many.losses[: len(order), run] - losses).abs().max())
        pairs = zip(many.snapshot(), one.snapshot(), strict=True)
        differences += [(stacked[run] - single).abs().max() for stacked, single in pairs]
    return float(torch.stack(differences).max())


def test_the_ensemble_is_so_many_single_trainings(small: data.Mnist) -> None:
    order = orders(runs=3, steps=5)
    # Sums of up to 784 float64 products in another order, divided by Adam's roots: measured 2e-15.
    assert furthest_from_single_trainings(together(small, order), small, order) < 1e-12


def test_an_ensemble_that_mixes_its_runs_is_seen(small: data.Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = gpu_torch.laid_out_like
    monkeypatch.setattr(gpu_torch, "laid_out_like", lambda like, gradient: laid_out(like, gradient.roll(1, 0)))
    order = orders(runs=3, steps=5)
    assert furthest_from_single_trainings(together(small, order), small, order) > 1e-4


def test_a_single_training_is_the_references_own_loop(small: data.Mnist) -> None:
    one = gpu_torch.One(DOUBLE, small, CPU)
    one.shuffle()
    images, labels, *_ = small
    expected = torch_side.losses(
        torch_side.initial("mnist_nn_xavier", dtype="float64"), images, labels, one.order.numpy()
    )
    np.testing.assert_allclose(one.epoch(one.step).numpy(), expected, rtol=0, atol=1e-12)


def test_a_training_starts_anew_and_every_epoch_shows_each_image_at_most_once(small: data.Mnist) -> None:
    many = gpu_torch.Many(DOUBLE, range(2), small, CPU)
    many.shuffle()
    first = many.epoch(many.step), many.snapshot(), many.accuracy()
    many.start()
    assert torch.equal(many.epoch(many.step), first[0])
    assert all(torch.equal(*pair) for pair in zip(many.snapshot(), first[1], strict=True))
    assert first[2] > 0.5
    assert all(len(many.order[:, run].unique()) == 1000 for run in range(2))
    assert not torch.equal(many.order[:, 0], many.order[:, 1])


def test_a_replay_that_does_not_do_the_step_is_refused(small: data.Mnist) -> None:
    one = gpu_torch.One(DOUBLE, small, CPU)

    def half_a_step() -> None:
        rows = one.order.index_select(0, one.step_number)[0]
        one.losses.index_copy_(0, one.step_number, one.backward(one.images[rows], one.labels[rows])[None])
        one.step_number.add_(1)  # and Adam does nothing

    gpu_torch.check(one, one.step)
    with pytest.raises(AssertionError, match="not close"):
        gpu_torch.check(one, half_a_step)


def test_a_gradient_gets_the_strides_of_its_parameter() -> None:
    parameter, gradient = torch.zeros(2, 3, 4), torch.arange(24.0).view(2, 4, 3).transpose(1, 2)
    found = gpu_torch.laid_out_like(parameter, gradient)
    assert found.stride() == parameter.stride()
    assert torch.equal(found, gradient)
    assert gpu_torch.laid_out_like(parameter, found) is found
