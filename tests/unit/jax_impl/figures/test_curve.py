import pytest

import jax_impl.figures.curve
import jax_impl.train
import torch_ref.runs
import torch_ref.train

SIDES = [(jax_impl.figures.curve, jax_impl.train), (torch_ref.runs, torch_ref.train)]


@pytest.mark.parametrize("side", SIDES, ids=["jax_impl", "torch_ref"])
@pytest.mark.parametrize("costs", [[0.25], [0.25, 0.09, 0.01], [2.3, 2.3, 2.3], [150.0, 30.0, 8.0]])
def test_every_curve_is_drawn_without_a_warning(side: tuple, costs: list[float]) -> None:
    draw, train = side
    records = [
        train.EpochRecord(epoch=epoch, cost=cost, test_accuracy=0.1, seconds=1.0)
        for epoch, cost in enumerate(costs, start=1)
    ]
    assert draw.curve(records, "recipe").startswith(b"\x89PNG")


@pytest.mark.parametrize("side", SIDES, ids=["jax_impl", "torch_ref"])
def test_an_epoch_is_printed_as_the_notebook_did(side: tuple) -> None:
    record = side[1].EpochRecord(epoch=1, cost=0.243988752, test_accuracy=0.9613, seconds=0.666)
    assert str(record) == "Epoch: 0001 cost = 0.243988752  test accuracy = 96.13%  (0.67 s)"
