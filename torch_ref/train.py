"""The notebook's training, cell by cell; the comments are its own.

Two departures change no number: `cost` is detached before it is summed, which frees each step's graph, and the test
accuracy is taken after every epoch (without a second DataLoader, which would draw from the generator).
"""

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torchvision.datasets import MNIST

from torch_ref import dbn
from torch_ref import model as models
from torch_ref.errors import DivergedError
from torch_ref.loaders import Batch, Batches, make_loader, scaled
from torch_ref.recipes import Recipe

LOOKED_AT = 10_000  # images, the first of the training set, by an initialiser that looks at them


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


def device_of_choice() -> torch.device:
    """Return cuda when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_everything(seed: int) -> None:
    """Seed Python's generator and torch's."""
    # for reproducibility
    random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


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
    return train_steps(model, optimizer, data_loader, device, len(data_loader), torch.zeros((), device=device))


def train_steps(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    data_loader: Iterable[Batch],
    device: torch.device,
    total_batch: int,
    avg_cost: torch.Tensor,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run a part of the inner loop, some of an epoch's `total_batch` batches, of which `avg_cost` has the share so far.

    Returns the average cost with these batches, and each one's cost before its update.
    """
    criterion = torch.nn.CrossEntropyLoss().to(device)  # Softmax is internally computed.
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
    training = begin(recipe, mnist_train, loader=loader)
    initialise_(training, recipe, mnist_train)
    yield None, training.model
    for _ in advance(training, recipe, mnist_test):
        yield training.records[-1], training.model


@dataclass(kw_only=True)
class Training:
    """A training and how far it has come; with torch's generator, all that it needs to go on bit for bit."""

    model: torch.nn.Sequential
    optimizer: torch.optim.Optimizer
    data_loader: Batches
    device: torch.device
    generator: torch.Tensor  # the state of torch's generator before the epoch under way
    records: list[EpochRecord]  # of the whole epochs
    steps: int = 0  # of the epoch under way
    avg_cost: torch.Tensor  # its share of the epoch's cost so far
    seconds: float = 0.0  # of training, in it

    @property
    def total_batch(self) -> int:
        """The number of steps in an epoch."""
        return len(self.data_loader)


def begin(recipe: Recipe, mnist_train: MNIST, *, loader: str = "dataloader") -> Training:
    """Make what the notebook makes before its loop, in its order; `initialise_` is to follow, or a checkpoint."""
    device = device_of_choice()
    seed_everything(recipe.seed)
    data_loader = make_loader(recipe, mnist_train, loader)
    model = models.build(recipe).to(device)
    # define cost/loss & optimizer
    optimizer = make_optimizer(recipe, model)
    return Training(
        model=model,
        optimizer=optimizer,
        data_loader=data_loader,
        device=device,
        generator=torch.get_rng_state(),
        records=[],
        avg_cost=torch.zeros((), device=device),
    )


def initialise_(training: Training, recipe: Recipe, mnist_train: MNIST) -> None:
    """Let an initialiser that looks at training images change the model; any other leaves it alone.

    Raises:
        UserError: lsuv cannot scale a layer, or a DBN cannot be trained for the layers.
    """
    if recipe.init == "lsuv":
        models.lsuv_(training.model, scaled(mnist_train, recipe.dtype, LOOKED_AT).to(training.device))
    if recipe.init == "dbn":
        dbn.pretrain_(training.model, scaled(mnist_train, recipe.dtype).to(training.device), recipe)


def advance(
    training: Training,
    recipe: Recipe,
    mnist_test: MNIST,
    *,
    every: int | None = None,
    pause: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Train on, and stop after each epoch, after `every` steps, and after a step when `pause` says so.

    Raises:
        DivergedError: The cost of an epoch is not finite.
    """
    while (epoch := len(training.records) + 1) <= recipe.epochs:
        training.generator = torch.get_rng_state()
        batches = iter(training.data_loader)
        for _ in range(training.steps):  # those before a checkpoint
            next(batches)
        while training.steps < training.total_batch:
            started = time.perf_counter()
            training.avg_cost, costs = train_steps(
                training.model,
                training.optimizer,
                _until(islice(batches, every), pause),
                training.device,
                training.total_batch,
                training.avg_cost,
            )
            cost = training.avg_cost.item()  # waits for the device
            training.seconds += time.perf_counter() - started
            training.steps += len(costs)
            # A cost is taken before its update: only the parameters show what the last step did.
            if not all(torch.isfinite(values).all() for values in (training.avg_cost, *training.model.parameters())):
                raise DivergedError(
                    f"the cost became {'nan' if math.isfinite(cost) else cost} in epoch {epoch}: the learning rate "
                    f"{recipe.learning_rate:g} is probably too large, or the initial weights are; try --learning-rate "
                    "0.001"
                )
            if training.steps < training.total_batch:
                yield
        test_accuracy = accuracy(training.model, mnist_test, training.device)
        training.records.append(
            EpochRecord(epoch=epoch, cost=cost, test_accuracy=test_accuracy, seconds=training.seconds)
        )
        training.steps, training.avg_cost, training.seconds = 0, torch.zeros_like(training.avg_cost), 0.0
        training.generator = torch.get_rng_state()
        yield


def _until(batches: Iterable[Batch], pause: Callable[[], bool]) -> Iterator[Batch]:
    """Yield the batches, and no more after one during whose step `pause` began to say so."""
    for batch in batches:
        yield batch
        if pause():
            return
