"""No cause is found for what agrees: a change that is the same for any input, such as a flipped kernel of one pixel."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from jax_impl.parity import pair as records
from jax_impl.parity.causes.cases import ForwardCase
from jax_impl.parity.causes.diagnosing import explain
from jax_impl.parity.causes.families.registry import FAMILIES
from jax_impl.parity.ladder import climbed
from jax_impl.parity.records.reading import read
from tests.unit.jax_impl.parity.causes.recorded import Program, diagnosed

IMAGES = (3, 4, 5, 6)
MODULES: dict[str, tuple[tuple[int, ...], list[nn.Module], dict[str, Any]]] = {
    "a kernel of one pixel": ((3, 4, 5, 5), [nn.Conv2d(4, 4, 1)], {}),
    "a kernel of one row": ((3, 4, 5, 5), [nn.Conv2d(4, 4, (1, 3), padding=(0, 1))], {}),
    "a transposed kernel of one pixel": ((3, 4, 5, 5), [nn.ConvTranspose2d(4, 4, 1)], {}),
    "one channel": ((3, 1, 6, 6), [nn.Conv2d(1, 1, 3, padding=1)], {}),
    "images of one pixel": ((3, 4, 1, 1), [nn.Conv2d(4, 4, 3, padding=1)], {}),
    "running statistics": ((8, 4), [nn.BatchNorm1d(4)], {"training": False}),
    "running statistics of each image": (IMAGES, [nn.InstanceNorm2d(4, track_running_stats=True)], {"training": False}),
    "no epsilon": ((8, 4), [nn.LayerNorm(4, eps=0.0)], {}),
    "flattened pixels": ((3, 4, 1, 1), [nn.Tanh(), nn.Flatten(), nn.Linear(4, 3)], {}),
    "flattened images of one channel": ((3, 1, 2, 2), [nn.Tanh(), nn.Flatten(), nn.Linear(4, 3)], {}),
    "one output": ((5, 6), [nn.Linear(6, 1)], {}),
    "one number": ((8, 1), [nn.Linear(1, 1)], {}),
    "windows of one pixel": (IMAGES, [nn.MaxPool2d(1, 2)], {}),
    "windows of one pixel, left out": (IMAGES, [nn.Tanh(), nn.MaxPool2d(1)], {"functions": ("f.1",)}),
    "means of unpadded windows": (IMAGES, [nn.AvgPool2d(2)], {}),
    "one window": ((3, 4, 4, 4), [nn.MaxPool2d(4)], {}),
    "as many windows as pixels": ((3, 4, 3, 3), [nn.AdaptiveAvgPool2d(3)], {}),
    "resized pixels": ((3, 4, 1, 1), [nn.Upsample((5, 5))], {}),
    "resized to one pixel": ((3, 4, 2, 2), [nn.Upsample((1, 1), mode="bilinear")], {"functions": ("f.0",)}),
    "resized to the same size": (IMAGES, [nn.Upsample((5, 6))], {"functions": ("f.0",)}),
    "resized by the ratio of sizes": ((3, 4, 4, 4), [nn.Upsample(scale_factor=2.5, mode="bilinear")], {}),
}


class Net(nn.Module):
    """Modules in a row. Their leaves hold no 0 or 1 by which a change could be hidden."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f, self.end = nn.Sequential(*modules).double(), nn.Identity()
        for leaf in (*self.parameters(), *(one for one in self.buffers() if one.is_floating_point())):
            leaf.data.add_(torch.rand_like(leaf) / 2 + 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.end(self.f(x))
        return found


@pytest.mark.parametrize("case", MODULES)
def test_what_is_always_the_same_is_no_cause(tmp_path: Path, case: str) -> None:
    shape, modules, options = MODULES[case]
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    diagnosed(tmp_path, Program(Net(modules), [x], **options))
    pair = records.Pair(read(tmp_path / "theirs"), read(tmp_path / "ours"), 0.02)
    checks = [check for rung in climbed(pair) for check in rung.checks if check.evidence and check.evidence.forced]
    cases = [ForwardCase(pair, check, check.evidence) for check in checks if check.passed and check.evidence]
    assert cases
    assert [cause for one in cases for cause in explain(one, FAMILIES["forward"], float("inf"))[0]] == []
