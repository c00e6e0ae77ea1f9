"""The torch program: two TransformerEncoderLayers between two linear layers, on padded sequences."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """Features (n, length, 5) and lengths (n,) to logits (n, length, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 16)
        layer = nn.TransformerEncoderLayer(16, nhead=4, dim_feedforward=24, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 7)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        padding = torch.arange(x.shape[1]) >= lengths[:, None]
        return self.head(self.encoder(self.embed(x), src_key_padding_mask=padding))


def loss(model: nn.Module, batch: Any) -> Tensor:
    x, lengths, y = batch
    return functional.cross_entropy(model(x, lengths).flatten(0, 1), y.flatten(), ignore_index=-100)


def data(seed: int = 0, batch_size: int = 3, length: int = 6) -> DataLoader[Any]:
    """Return six batches of random sequences with their lengths and labels. Padding has the label -100."""
    generator = torch.Generator().manual_seed(seed)
    n = 6 * batch_size
    x = torch.randn(n, length, 5, generator=generator)
    lengths = torch.randint(3, length + 1, (n,), generator=generator)
    y = torch.randint(7, (n, length), generator=generator)
    y[torch.arange(length) >= lengths[:, None]] = -100
    return DataLoader(TensorDataset(x, lengths, y), batch_size=batch_size)


def theirs(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = Net()
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-2)
    return {"model": net, "loss": loss, "optimizer": adam, "batches": data(), "steps": 6, "fresh": Net, "seeds": 16}
