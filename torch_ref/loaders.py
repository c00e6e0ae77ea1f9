"""The notebook's batches, and whole data sets as one tensor."""

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol

import psutil
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from torchvision.datasets import MNIST

from torch_ref.errors import require
from torch_ref.recipes import Recipe

PROCESS = 1.5 * 2**30  # bytes of torch, the data set in both dtypes, and the network


class Batches(Sized, Iterable[tuple[torch.Tensor, torch.Tensor]], Protocol):
    """What the training loop needs of a loader: its length, and pairs of images and labels."""


class TensorLoader:
    """DataLoader's batches taken from tensors in memory: the same images in the same order, several times faster."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, batch_size: int) -> None:
        self.images, self.labels = images, labels
        self.sampler = BatchSampler(RandomSampler(range(len(images))), batch_size, drop_last=True)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        torch.empty((), dtype=torch.int64).random_()  # DataLoader draws a seed for its workers, even if it has none
        for batch in self.sampler:
            indices = torch.tensor(batch)
            yield self.images[indices], self.labels[indices]


def check_batch_size(recipe: Recipe, mnist_train: MNIST) -> None:
    """Raise an ArgumentError if the training set holds no full batch, or if the memory does not suffice for one."""
    n = len(mnist_train)
    require(recipe.batch_size <= n, "batch size", f"at most the {n} training images", recipe.batch_size)
    size = 4 if recipe.dtype == "float32" else 8
    # The pixels as images, as a batch and as rows; per unit two values and their gradients.
    of_image = size * (3 * 784 + 4 * sum(recipe.layers[1:]))
    memory = 0.8 * psutil.virtual_memory().total - PROCESS
    fits = max(1, int(memory / of_image))
    require(recipe.batch_size <= fits, "batch size", f"at most {fits} for this machine's memory", recipe.batch_size)


def make_loader(recipe: Recipe, mnist_train: MNIST, loader: str = "dataloader") -> Batches:
    """Return the notebook's DataLoader, or the same batches from memory (`loader="tensor"`)."""
    if loader == "tensor":
        return TensorLoader(scaled(mnist_train, recipe.dtype), mnist_train.targets, recipe.batch_size)
    # dataset loader
    return DataLoader(dataset=mnist_train, batch_size=recipe.batch_size, shuffle=True, drop_last=True)


def scaled(mnist: MNIST, dtype: str, first: int | None = None) -> torch.Tensor:
    """Return all images, or the first `first`, as (n, 784) in [0, 1]: what `ToTensor` makes of each image."""
    pixels: torch.Tensor = mnist.data[:first].view(-1, 28 * 28)
    return pixels.to(getattr(torch, dtype)).div(255)
