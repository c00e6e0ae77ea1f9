"""The torch program: noise to images through transposed convolutions, as in PyTorch's DCGAN tutorial.

The discriminator is left out: the generator learns to draw given images.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Generator(nn.Module):
    """Noise (n, 8, 1, 1) to images (n, 3, 16, 16) between -1 and 1."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(8, 16, 4, 1, 0, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(True),
            nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(True),
            nn.ConvTranspose2d(8, 3, 3, 2, 1, output_padding=1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


def weights_init(module: nn.Module) -> None:
    """Draw the weights as the DCGAN paper does; the last layer's bias keeps torch's default."""
    if isinstance(module, nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def fresh() -> nn.Module:
    return Generator().apply(weights_init)


def loss(model: nn.Module, batch: Any) -> Tensor:
    noise, images = batch
    return (model(noise) - images).square().mean()


def data(seed: int = 0, batch_size: int = 5) -> DataLoader[Any]:
    """Return six batches of noise and images."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(6 * batch_size, 8, 1, 1, generator=generator)
    images = torch.rand(6 * batch_size, 3, 16, 16, generator=generator) * 2 - 1
    return DataLoader(TensorDataset(noise, images), batch_size=batch_size)


def theirs(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    net = fresh()
    adam = torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))
    return {"model": net, "loss": loss, "optimizer": adam, "batches": data(), "steps": 6, "fresh": fresh}
