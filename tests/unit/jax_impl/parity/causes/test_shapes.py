"""Settings that give an array of another shape, which the record does not hold, are named by the shape."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.unit.jax_impl.parity.causes.recorded import Program, diagnosed


class Net(nn.Module):
    """A convolution, a module or a function, a convolution, and the mean of all pixels, which has always one shape."""

    def __init__(self, middle: nn.Module | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1)
        self.middle = middle or nn.Identity()
        self.end = nn.AdaptiveAvgPool2d(1)
        self.pools = middle is None
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first(x))
        y = functional.max_pool2d(y, 3, 2, 1) if self.pools else self.middle(y)
        found: Tensor = self.end(self.last(y))
        return found


Shape = tuple[int, ...]
POOL, CONV = "sizes rounded up, ceil_mode=True", 'padding "SAME"'
CASES: list[tuple[str, nn.Module | None, Shape, Shape]] = [  # the cause, the module, the images, the port's shape
    ("middle: " + POOL, nn.MaxPool2d(3, 2, 1), (12, 10), (7, 6)),
    ("middle: sizes rounded down, ceil_mode=False", nn.AvgPool2d(2, ceil_mode=True), (9, 11), (4, 5)),
    ("middle: stride 1", nn.MaxPool2d(2), (8, 10), (7, 9)),
    ("middle: no padding", nn.MaxPool2d(3, 2, 1), (9, 11), (4, 5)),
    ("middle: not applied", nn.AvgPool2d(2), (8, 10), (8, 10)),
    (POOL, None, (12, 10), (7, 6)),
    ("middle: stride 1", nn.Conv2d(4, 4, 3, 2, 1), (9, 11), (9, 11)),
    ("middle: no padding", nn.Conv2d(4, 4, 5, 1, 2), (9, 11), (5, 7)),
    ("middle: " + CONV, nn.Conv2d(4, 4, 3), (9, 11), (9, 11)),
    ("middle: no output padding", nn.ConvTranspose2d(4, 4, 3, 2, 1, 1), (5, 6), (9, 11)),
    ("middle: resized to (20, 24) instead of (10, 12)", nn.Upsample(scale_factor=2), (5, 6), (20, 24)),
    ("middle: not applied", nn.AdaptiveAvgPool2d(1), (5, 6), (5, 6)),
]


def found(folder: Path, middle: nn.Module | None, space: Shape, ours: Mapping[tuple[str, str], object]) -> list[str]:
    """Return the causes where the port has the arrays of `ours`, and what follows differs."""
    x = torch.randn((2, 3, *(size + 2 for size in space)), dtype=torch.float64)
    last = ours["last", "output"]
    follows = {("end", "input"): last, ("end", "output"): torch.randn(2, 5, 1, 1, dtype=torch.float64)}
    diagnosis = diagnosed(folder, Program(Net(middle), [x], ["middle"], {**ours, **follows}))
    assert bool(diagnosis.causes) is not bool(diagnosis.unexplained)
    return [one.cause for one in diagnosis.causes]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("case", CASES, ids=[f"{number}: {one[0]}" for number, one in enumerate(CASES)])
def test_a_setting_is_named_by_the_shape(
    tmp_path: Path, case: tuple[str, nn.Module | None, Shape, Shape], channels_last: bool
) -> None:
    cause, middle, space, own = case
    shape = (2, *own, 4) if channels_last else (2, 4, *own)
    ours = {("last", "input"): shape, ("last", "output"): (2, *own, 5)}
    texts = found(tmp_path, middle, space, ours)
    assert len(texts) == 1 and cause in texts[0].split(" or "), texts


def test_a_module_of_the_port_s_own(tmp_path: Path) -> None:
    x = torch.randn((2, 3, 14, 12), dtype=torch.float64)
    ours = {("middle", "output"): (2, 7, 6, 4), ("last", "input"): (2, 7, 6, 4), ("last", "output"): (2, 7, 6, 5)}
    ours |= {("end", "input"): (2, 7, 6, 5), ("end", "output"): torch.randn(2, 5, 1, 1, dtype=torch.float64)}
    one = diagnosed(tmp_path, Program(Net(nn.MaxPool2d(3, 2, 1)), [x], (), ours)).causes
    assert [(each.cause, each.place, each.unit) for each in one] == [(POOL, ("middle",), "shape")]
    assert "has the shape of the port's, which is all that the record shows" in str(one[0])


@pytest.mark.parametrize("own", [(13, 6), (6, 4)])
def test_another_shape_stays_unexplained(tmp_path: Path, own: Shape) -> None:
    ours = {("last", "input"): (2, *own, 4), ("last", "output"): (2, *own, 5)}
    assert found(tmp_path, nn.MaxPool2d(3, 2, 1), (12, 10), ours) == []


def test_an_older_record_holds_no_shape(tmp_path: Path) -> None:
    ours = dict.fromkeys([("last", "input"), ("last", "output")])
    assert found(tmp_path, nn.MaxPool2d(3, 2, 1), (12, 10), ours) == []
