"""The notebook's training, cell by cell; the comments are its own.

Two departures change no number: `cost` is detached before it is summed, which frees each step's graph, and the test
accuracy is taken after every epoch (without a second DataLoader, which would draw from the generator).
"""

import math
import random
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from torchvision.datasets import MNIST

from torch_ref import dbn
from torch_ref import model as models
from torch_ref.errors import ArgumentError, DivergedError
from torch_ref.recipes import Recipe

LOOKED_AT = 10_000  # images, the first of the training set, by an initialiser that looks at them
LOADERS = ("dataloader", "tensor")


class Batches(Sized, Iterable[tuple[torch.Tensor, torch.Tensor]], Protocol):
    """What the loop needs of a loader: its length, and images with their labels."""


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One line of `metrics.jsonl`, and of what a run prints."""

    epoch: int  # from 1
    cost: float  # mean over the epoch of each batch's mean loss before its update, in nats
    test_accuracy: float  # of all 10,000 test images, after the epoch, from 0 to 1
    seconds: float  # of training; testing apart

    def __str__(self) -> str:
        """Return the notebook's own line, followed by the test accuracy and the seconds."""
        return (
            f"Epoch: {self.epoch:04d} cost = {self.cost:.9f}  "
            f"test accuracy = {self.test_accuracy:.2%}  ({self.seconds:.2f} s)"
        )


class TensorLoader:
    """DataLoader's batches, from tensors in memory: the same images in the same order, several times faster."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, batch_size: int) -> None:
        self.images, self.labels = images, labels
        self.sampler = BatchSampler(RandomSampler(range(len(images))), batch_size, drop_last=True)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        torch.empty((), dtype=torch.int64).random_()  # DataLoader draws a base seed for its workers, even for none
        for batch in self.sampler:
            rows = torch.tensor(batch)
            yield self.images[rows], self.labels[rows]


def device_of_choice() -> torch.device:
    """Return cuda when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_everything(seed: int) -> None:
    """Seed Python's generator and torch's."""
    # for reproducibility
    random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


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


def make_optimizer(recipe: Recipe, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Return the notebook's Adam, or SGD without momentum."""
    rule = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.SGD
    return rule(model.parameters(), lr=recipe.learning_rate)


def train_epoch(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    data_loader: Batches,
    device: torch.device,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run the notebook's inner loop; return its average cost and each batch's cost before its update."""
    criterion = torch.nn.CrossEntropyLoss().to(device)  # Softmax is internally computed.
    total_batch = len(data_loader)
    avg_cost = torch.zeros((), device=device)
    costs = []

    for X, Y in data_loader:  # noqa: N806
        # reshape input image into [batch_size by 784]
        # label is not one-hot encoded
        X = X.view(-1, 28 * 28).to(device)  # noqa: N806
        Y = Y.to(device)  # noqa: N806

        optimizer.zero_grad()
        hypothesis = model(X)
        cost = criterion(hypothesis, Y)
        cost.backward()
        optimizer.step()

        avg_cost = avg_cost + cost.detach() / total_batch
        costs.append(cost.detach())

    return avg_cost, costs


@torch.no_grad()
def accuracy(model: torch.nn.Module, mnist_test: MNIST, device: torch.device) -> float:
    """Return the share of correctly classified test images: the correct ones summed, divided once."""
    dtype = next(model.parameters()).dtype
    X_test = scaled(mnist_test, str(dtype).removeprefix("torch.")).to(device)  # noqa: N806
    Y_test = mnist_test.targets.to(device)  # noqa: N806
    correct = torch.argmax(model(X_test), 1) == Y_test
    return int(correct.sum()) / len(correct)


def fit(
    recipe: Recipe, mnist_train: MNIST, mnist_test: MNIST, *, loader: str = "dataloader"
) -> Iterator[tuple[EpochRecord | None, torch.nn.Module]]:
    """Run the notebook: yield the model before the first epoch (with no record), then after every epoch.

    Raises:
        DivergedError: The cost of an epoch is not finite.
        UserError: lsuv cannot scale a layer, or a DBN cannot be trained for the layers.
    """
    device = device_of_choice()
    seed_everything(recipe.seed)
    data_loader = make_loader(recipe, mnist_train, loader)
    model = models.build(recipe).to(device)
    if recipe.init == "lsuv":
        models.lsuv_(model, scaled(mnist_train, recipe.dtype, LOOKED_AT).to(device))
    if recipe.init == "dbn":
        dbn.pretrain_(model, scaled(mnist_train, recipe.dtype).to(device), recipe)
    yield None, model

    # define cost/loss & optimizer
    optimizer = make_optimizer(recipe, model)

    for epoch in range(recipe.epochs):
        started = time.perf_counter()
        avg_cost, _ = train_epoch(model, optimizer, data_loader, device)
        cost = avg_cost.item()  # waits for the device
        seconds = time.perf_counter() - started
        # A cost is taken before its update: only the parameters show what the last step of the epoch did.
        if not all(torch.isfinite(values).all() for values in (avg_cost, *model.parameters())):
            raise DivergedError(
                f"the cost became {'nan' if math.isfinite(cost) else cost} in epoch {epoch + 1}: the learning rate "
                f"{recipe.learning_rate:g} is probably too large, or the initial weights are; try --learning-rate 0.001"
            )
        test_accuracy = accuracy(model, mnist_test, device)
        yield EpochRecord(epoch=epoch + 1, cost=cost, test_accuracy=test_accuracy, seconds=seconds), model
