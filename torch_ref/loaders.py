"""The notebook's batches, and the test images as one."""

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from torchvision.datasets import MNIST

from torch_ref.errors import ArgumentError
from torch_ref.recipes import Recipe

LOADERS = ("dataloader", "tensor")
Batch = tuple[torch.Tensor, torch.Tensor]  # images and labels


class Batches(Sized, Iterable[Batch], Protocol):
    """What the loop needs of a loader: its length, and images with their labels."""


class TensorLoader:
    """DataLoader's batches, from tensors in memory: the same images in the same order, several times faster."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, batch_size: int) -> None:
        self.images, self.labels = images, labels
        self.sampler = BatchSampler(RandomSampler(range(len(images))), batch_size, drop_last=True)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        torch.empty((), dtype=torch.int64).random_()  # DataLoader draws a base seed for its workers, even for none
        for batch in self.sampler:
            rows = torch.tensor(batch)
            yield self.images[rows], self.labels[rows]


def check_batch_size(recipe: Recipe, mnist_train: MNIST) -> None:
    """Check that one full batch fits.

    Raises:
        ArgumentError: It does not.
    """
    if recipe.batch_size > (n := len(mnist_train)):
        raise ArgumentError(f"batch size must be at most the {n} training images, got {recipe.batch_size}")


def make_loader(recipe: Recipe, mnist_train: MNIST, loader: str = "dataloader") -> Batches:
    """Return the notebook's DataLoader, or the same batches from memory (`loader="tensor"`)."""
    if loader == "tensor":
        return TensorLoader(scaled(mnist_train, recipe.dtype), mnist_train.targets, recipe.batch_size)
    # dataset loader
    return DataLoader(dataset=mnist_train, batch_size=recipe.batch_size, shuffle=True, drop_last=True)


def scaled(mnist: MNIST, dtype: str, first: int | None = None) -> torch.Tensor:
    """Return all images, or the first so many, as (n, 784) in [0, 1], as `ToTensor` gives them one by one."""
    pixels: torch.Tensor = mnist.data[:first].view(-1, 28 * 28)
    return pixels.to(getattr(torch, dtype)).div(255)
