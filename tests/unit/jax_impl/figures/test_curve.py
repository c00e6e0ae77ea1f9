import pytest

import jax_impl.figures.curve
import jax_impl.train
import torch_ref.plot
import torch_ref.train

SIDES = [(jax_impl.figures.curve, jax_impl.train), (torch_ref.plot, torch_ref.train)]


@pytest.mark.parametrize("side", SIDES, ids=["jax_impl", "torch_ref"])
@pytest.mark.parametrize("costs", [[0.25], [0.25, 0.09, 0.01], [2.3, 2.3, 2.3], [150.0, 30.0, 8.0]])
def test_curves_of_any_range_are_drawn_without_a_warning(side: tuple, costs: list[float]) -> None:
    draw, train = side
    records = [
        train.EpochRecord(epoch=epoch, cost=cost, test_accuracy=0.1, seconds=1.0)
        for epoch, cost in enumerate(costs, start=1)
    ]
    assert draw.curve(records, "recipe").startswith(b"\x89PNG")
