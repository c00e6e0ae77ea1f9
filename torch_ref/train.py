# ruff: noqa: N806 - X and Y are the notebook's names
"""Cells 3 and 12 of the notebook, and its training loop. The comments in the loop are the notebook's own.

Two changes alter no number. `cost` is detached before it is summed, which frees each step's graph. The test accuracy is
measured after every epoch, without a second DataLoader, which would draw from torch's generator.
"""

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torchvision.datasets import MNIST

from torch_ref import dbn
from torch_ref import model as models
from torch_ref.errors import DivergedError
from torch_ref.loaders import Batches, make_loader, scaled
from torch_ref.recipes import Recipe

LSUV_IMAGES = 10_000  # the first training images, to which LSUV scales the weights


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch measured: a line of `metrics.jsonl`, and a line that `train` prints."""

    epoch: int  # from 1
    cost: float  # mean over the epoch of each batch's mean loss before its update, in nats
    test_accuracy: float  # after the epoch, of all 10,000 test images, from 0 to 1
    seconds: float  # of training, without the test

    def __str__(self) -> str:
        """Return the notebook's line, followed by the test accuracy and the seconds."""
        return (
            f"Epoch: {self.epoch:04d} cost = {self.cost:.9f}  "
            f"test accuracy = {self.test_accuracy:.2%}  ({self.seconds:.2f} s)"
        )


def device_of_choice() -> torch.device:
    """Return cuda if there is a GPU, else cpu."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_everything(seed: int) -> None:
    """Seed Python's generator and torch's."""
    # for reproducibility
    random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


def make_optimizer(recipe: Recipe, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Return the notebook's Adam, or SGD without momentum."""
    optimizer = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.SGD
    return optimizer(model.parameters(), lr=recipe.learning_rate)


def train_epoch(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, data_loader: Batches, device: torch.device
) -> tuple[float, list[torch.Tensor]]:
    """Run the notebook's inner loop. Return its average cost, and each batch's cost before its update."""
    criterion = torch.nn.CrossEntropyLoss().to(device)  # Softmax is internally computed.
    costs = []

    total_batch = len(data_loader)
    avg_cost: torch.Tensor | float = 0

    for X, Y in data_loader:
        # reshape input image into [batch_size by 784]
        # label is not one-hot encoded
        X = X.view(-1, 28 * 28).to(device)
        Y = Y.to(device)

        optimizer.zero_grad()
        hypothesis = model(X)
        cost = criterion(hypothesis, Y)
        cost.backward()
        optimizer.step()

        avg_cost += cost.detach() / total_batch
        costs.append(cost.detach())

    return float(avg_cost), costs  # waits for the device


@torch.no_grad()
def accuracy(model: torch.nn.Module, mnist_test: MNIST, device: torch.device) -> float:
    """Return the fraction of the test images that are classified correctly."""
    dtype = next(model.parameters()).dtype
    X_test = scaled(mnist_test, str(dtype).removeprefix("torch.")).to(device)
    Y_test = mnist_test.targets.to(device)
    correct = torch.argmax(model(X_test), 1) == Y_test
    return int(correct.sum()) / len(correct)


def fit(
    recipe: Recipe, mnist_train: MNIST, mnist_test: MNIST, *, loader: str = "dataloader"
) -> Iterator[tuple[EpochRecord | None, torch.nn.Sequential]]:
    """Run the notebook. Yield None and the model before the first epoch, then a record and the model after each.

    The model is the same object each time, and training goes on changing it.

    Raises:
        DivergedError: The cost of an epoch or a parameter is not finite.
        UserError: LSUV cannot scale a layer, or a DBN cannot be trained for these layers.
    """
    device = device_of_choice()
    seed_everything(recipe.seed)
    data_loader = make_loader(recipe, mnist_train, loader)
    model = models.build(recipe).to(device)
    if recipe.init == "lsuv":
        models.lsuv_(model, scaled(mnist_train, recipe.dtype, LSUV_IMAGES).to(device))
    if recipe.init == "dbn":
        dbn.pretrain_(model, scaled(mnist_train, recipe.dtype).to(device), recipe)
    # define cost/loss & optimizer
    optimizer = make_optimizer(recipe, model)
    yield None, model
    for epoch in range(1, recipe.epochs + 1):
        started = time.perf_counter()
        cost, _ = train_epoch(model, optimizer, data_loader, device)
        seconds = time.perf_counter() - started
        # A cost is measured before its update, so only the parameters show the last update.
        if not math.isfinite(cost) or not all(torch.isfinite(values).all() for values in model.parameters()):
            became, rate = "nan" if math.isfinite(cost) else cost, recipe.learning_rate
            raise DivergedError(
                f"the cost became {became} in epoch {epoch}: the learning rate {rate:g} is probably too large, or "
                f"the initial weights are; try --learning-rate {min(1e-3, rate / 10):g}"
            )
        test_accuracy = accuracy(model, mnist_test, device)
        yield EpochRecord(epoch=epoch, cost=cost, test_accuracy=test_accuracy, seconds=seconds), model
