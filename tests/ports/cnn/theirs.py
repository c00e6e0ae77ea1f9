"""The torch program: halved images, two convolutions, max pooling, dropout, flattening, two linear layers."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """Images (n, 3, 36, 28) to logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.resize = nn.Upsample((18, 14), mode="bilinear")
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(0.1)
        self.fc1 = nn.Linear(8 * 4 * 3, 32)
        self.dropout2 = nn.Dropout(0.5)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv1(self.resize(x)))  # (n, 8, 9, 7)
        x = self.pool(functional.relu(self.conv2(x)))  # (n, 8, 4, 3)
        x = self.dropout1(x).flatten(1)  # (n, 96)
        x = self.dropout2(functional.relu(self.fc1(x)))
        return self.fc2(x)


def loss(model: nn.Module, batch: Any) -> Tensor:
    x, y = batch
    return functional.cross_entropy(model(x), y, label_smoothing=0.1)


def data(seed: int = 0, batch_size: int = 5) -> DataLoader[Any]:
    """Return six batches of random images and labels."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6 * batch_size, 3, 36, 28, generator=generator)
    y = torch.randint(10, (6 * batch_size,), generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=batch_size)


def theirs(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = Net()
    sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    steps = torch.optim.lr_scheduler.StepLR(sgd, step_size=2, gamma=0.5)
    return {
        "model": net,
        "loss": loss,
        "optimizer": sgd,
        "batches": data(),
        "steps": 6,
        "scheduler": steps,
        "fresh": Net,
    }
