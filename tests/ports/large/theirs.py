"""The torch program."""

from typing import Any

import torch
from torch import Tensor, nn

WIDTH = 7072  # two layers of 7072² weights: 100 million


class Net(nn.Module):
    """Inputs (n, 7072) to outputs (n, 7072)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x)))


def loss(model: nn.Module, batch: Any) -> Tensor:
    return model(batch).square().mean()


def theirs() -> dict[str, Any]:
    torch.manual_seed(0)
    net = Net()
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    batches = [torch.randn(4, WIDTH) for _ in range(2)]
    return {"model": net, "loss": loss, "optimizer": adam, "batches": batches, "steps": 2}
