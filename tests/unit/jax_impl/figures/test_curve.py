from collections.abc import Callable, Sequence

import pytest
from matplotlib.figure import Figure

import torch_ref.plot
from jax_impl.figures.curve import curve
from torch_ref.train import EpochRecord


def of_torch(costs: Sequence[float], accuracies: Sequence[float], title: str) -> bytes:
    rows = enumerate(zip(costs, accuracies, strict=True), start=1)
    records = [EpochRecord(epoch=n, cost=cost, test_accuracy=accuracy, seconds=1.0) for n, (cost, accuracy) in rows]
    return torch_ref.plot.curve(records, title)


@pytest.mark.parametrize("draw", [curve, of_torch])
@pytest.mark.parametrize("costs", [[0.25], [0.25, 0.09, 0.01], [2.3, 2.3, 2.3], [150.0, 30.0, 8.0]])
def test_curves_of_any_range_are_drawn_without_a_warning(draw: Callable[..., bytes], costs: list[float]) -> None:
    assert draw(costs, [0.1] * len(costs), "recipe").startswith(b"\x89PNG")


def test_epochs_are_counted_from_1(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    curve([0.25, 0.09], [0.96, 0.97], "recipe")
    for axes in drawn[0].axes:
        assert list(axes.lines[0].get_xdata()) == [1, 2]
    assert [axes.get_title() for axes in drawn[0].axes] == [
        "cost 0.0900 after epoch 2",
        "accuracy 97.00% after epoch 2",
    ]
