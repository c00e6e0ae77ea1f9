"""The torch program: torchvision's ResNet, trained by Adam."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import ResNet, resnet18
from torchvision.models.resnet import BasicBlock


class Small(ResNet):
    """A ResNet of five blocks with 8, 16, 32 and 64 channels, behind the full stem of 64."""

    def __init__(self) -> None:
        super().__init__(BasicBlock, [2, 1, 1, 1])
        self.fc = nn.Linear(64, 10)

    def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
        return super()._make_layer(block, planes // 8, *args, **kwargs)


def full() -> ResNet:
    return resnet18(num_classes=10)


def loss(model: nn.Module, batch: Any) -> Tensor:
    x, y = batch
    return functional.cross_entropy(model(x), y)


def data(size: int, batch_size: int, seed: int = 0) -> DataLoader[Any]:
    """Return six batches of random images (n, 3, size, size) and labels."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6 * batch_size, 3, size, size, generator=generator)
    y = torch.randint(10, (6 * batch_size,), generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=batch_size)


def theirs(new: Any = Small, size: int = 40, batch_size: int = 4, seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = new()
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    batches = data(size, batch_size)
    return {"model": net, "loss": loss, "optimizer": adam, "batches": batches, "steps": 6, "fresh": new}
