"""The contenders that train in PyTorch."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

import torch

from jax_impl.data import Mnist
from jax_impl.recipes import Recipe
from tests.bench.contenders import Epoch, pixels, timed
from torch_ref import data, model, recipes, train

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def notebook(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Train as `python -m torch_ref train` does: the notebook's loop over its DataLoader."""
    train_set, test_set = data.load()
    n = len(mnist.train_images)
    train_set.data, train_set.targets = train_set.data[:n], train_set.targets[:n]
    endless = own(recipe).with_changes(epochs=10**9)
    for record, _ in train.fit(endless, train_set, test_set):
        if record is not None:
            yield Epoch(record.seconds, record.cost)


def memory(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Train on rows of one tensor."""
    return epochs(recipe, mnist, stepper(recipe, compiler=lambda function: function))


def compiled(recipe: Recipe, mnist: Mnist) -> Iterator[Epoch]:
    """Train on rows of one tensor, the step under `torch.compile`: all but the call of `backward`, which splits it."""
    return epochs(recipe, mnist, stepper(recipe, compiler=torch.compile))


def own(recipe: Recipe) -> recipes.Recipe:
    """Return torch's recipe of the same fields."""
    return recipes.Recipe(**asdict(recipe))


def stepper(recipe: Recipe, compiler: Callable[[Callable], Callable]) -> Step:
    """Return a function that trains a new network on a batch, and returns its mean loss before the update."""
    train.seed_everything(recipe.seed)
    network = model.build(own(recipe)).to(train.device_of_choice())
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, fused=True)
    mean_loss = compiler(lambda images, labels: torch.nn.functional.cross_entropy(network(images), labels))
    update = compiler(optimizer.step)

    def step(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        cost = mean_loss(images, labels)
        cost.backward()
        update()
        return cost.detach()

    return step


def epochs(recipe: Recipe, mnist: Mnist, step: Step) -> Iterator[Epoch]:
    """Train on batches that are rows of one tensor on the device."""
    device = train.device_of_choice()
    images = torch.from_numpy(pixels(mnist)).to(device)
    labels = torch.from_numpy(mnist.train_labels).long().to(device)

    def epoch() -> float:
        orders = torch.randperm(len(labels), device=device).split(recipe.batch_size)
        full = (rows for rows in orders if len(rows) == recipe.batch_size)
        return float(torch.stack([step(images[rows], labels[rows]) for rows in full]).mean())

    return timed(epoch)
