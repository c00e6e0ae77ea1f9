"""torch_ref against the notebook's own lines, written out here once more, bit for bit."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST

from jax_impl import data as jax_data
from torch_ref import data, loaders, model, recipes, train
from torch_ref.errors import ArgumentError, DivergedError

RECIPE = recipes.named("mnist_nn_xavier").with_changes(epochs=2)


@pytest.fixture(scope="module")
def torch_mnist(mnist_dir: Path) -> tuple[MNIST, MNIST]:
    return data.load(mnist_dir)


@pytest.fixture
def small_train(mnist_dir: Path) -> MNIST:
    """The first 2,050 training images: 20 full batches and a ragged one."""
    mnist_train, _ = data.load(mnist_dir)
    mnist_train.data, mnist_train.targets = mnist_train.data[:2050], mnist_train.targets[:2050]
    return mnist_train


def notebook(mnist_train: torch.utils.data.Dataset) -> tuple[list[str], torch.nn.Module]:
    """The notebook from cell 3 to its last line, for two epochs: the lines that it prints, and its model."""
    device = "cpu"
    random.seed(777)
    torch.manual_seed(777)
    data_loader = torch.utils.data.DataLoader(dataset=mnist_train, batch_size=100, shuffle=True, drop_last=True)
    linear1 = torch.nn.Linear(784, 256, bias=True)
    linear2 = torch.nn.Linear(256, 256, bias=True)
    linear3 = torch.nn.Linear(256, 10, bias=True)
    relu = torch.nn.ReLU()
    torch.nn.init.xavier_uniform_(linear1.weight)
    torch.nn.init.xavier_uniform_(linear2.weight)
    torch.nn.init.xavier_uniform_(linear3.weight)
    model = torch.nn.Sequential(linear1, relu, linear2, relu, linear3).to(device)
    criterion = torch.nn.CrossEntropyLoss().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    printed = []
    total_batch = len(data_loader)
    for epoch in range(2):
        avg_cost = 0
        for X, Y in data_loader:
            X = X.view(-1, 28 * 28).to(device)
            Y = Y.to(device)
            optimizer.zero_grad()
            hypothesis = model(X)
            cost = criterion(hypothesis, Y)
            cost.backward()
            optimizer.step()
            avg_cost += cost / total_batch
        printed.append(f"Epoch: {epoch + 1:04d} cost = {avg_cost.detach():.9f}")
    return printed, model


@pytest.mark.parametrize("loader", recipes.LOADERS)
def test_the_package_prints_what_the_notebook_prints(
    small_train: MNIST, torch_mnist: tuple[MNIST, MNIST], loader: str
) -> None:
    printed, reference = notebook(small_train)
    *_, (last, network) = steps = list(train.fit(RECIPE, small_train, torch_mnist[1], loader=loader))
    assert [str(record).split("  ")[0] for record, _ in steps[1:]] == printed
    assert last.epoch == 2
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fast_loader_yields_the_dataloader_s_batches(mnist_dir: Path, dtype: str) -> None:
    mnist_train, _ = data.load(mnist_dir, dtype=dtype)
    mnist_train.data, mnist_train.targets = mnist_train.data[:1230], mnist_train.targets[:1230]
    recipe = RECIPE.with_changes(dtype=dtype)
    batches = {}
    for loader in recipes.LOADERS:
        train.seed_everything(5)
        made = loaders.make_loader(recipe, mnist_train, loader)
        # Two epochs and a draw after each: the generator, too, must be where DataLoader leaves it.
        batches[loader] = [(*batch, torch.rand(1)) for _ in range(2) for batch in made]
        assert len(made) == 12
    assert len(batches["tensor"]) == 24
    for slow, fast in zip(batches["dataloader"], batches["tensor"], strict=True):
        assert torch.equal(slow[0].view(-1, 784), fast[0])
        assert slow[0].dtype == fast[0].dtype == getattr(torch, dtype)
        assert torch.equal(slow[1], fast[1])
        assert torch.equal(slow[2], fast[2])


def test_a_loader_that_skips_the_base_seed_would_be_seen(small_train: MNIST) -> None:
    class Careless(loaders.TensorLoader):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for batch in self.sampler:
                yield self.images[torch.tensor(batch)], self.labels[torch.tensor(batch)]

    train.seed_everything(5)
    right = next(iter(loaders.make_loader(RECIPE, small_train, "tensor")))
    train.seed_everything(5)
    wrong = next(iter(Careless(train.scaled(small_train, "float32"), small_train.targets, 100)))
    assert not torch.equal(right[1], wrong[1])


def test_accuracy_is_that_of_a_dataloader(torch_mnist: tuple[MNIST, MNIST]) -> None:
    torch.manual_seed(0)
    network = model.build(RECIPE)
    correct = 0
    for images, labels in DataLoader(Subset(torch_mnist[1], range(10000)), batch_size=999):
        correct += int((network(images.view(-1, 784)).argmax(1) == labels).sum())
    assert train.accuracy(network, torch_mnist[1], torch.device("cpu")) == correct / 10000


def test_a_cost_that_turns_nan_stops_the_run(small_train: MNIST, torch_mnist: tuple[MNIST, MNIST]) -> None:
    run = train.fit(RECIPE.with_changes(learning_rate=1e30), small_train, torch_mnist[1], loader="tensor")
    with pytest.raises(DivergedError, match="the cost became nan in epoch 1"):
        list(run)


def test_a_last_update_that_breaks_the_parameters_stops_the_run(
    small_train: MNIST, torch_mnist: tuple[MNIST, MNIST], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cost shows it, since a cost is measured before its update."""
    real = train.train_epoch

    def train_epoch(network: torch.nn.Module, *arguments: object) -> object:
        result = real(network, *arguments)  # type: ignore[arg-type]
        with torch.no_grad():
            network[2].bias[0] = torch.inf  # type: ignore[index]
        return result

    monkeypatch.setattr(train, "train_epoch", train_epoch)
    with pytest.raises(DivergedError, match="the cost became nan in epoch 1"):
        list(train.fit(RECIPE, small_train, torch_mnist[1], loader="tensor"))


def test_a_batch_larger_than_the_data_is_refused(small_train: MNIST) -> None:
    with pytest.raises(ArgumentError, match="batch size must be at most the 2050 training images, got 2051"):
        loaders.check_batch_size(RECIPE.with_changes(batch_size=2051), small_train)


def test_both_packages_read_the_same_pixels(torch_mnist: tuple[MNIST, MNIST], mnist: jax_data.Mnist) -> None:
    np.testing.assert_array_equal(torch_mnist[0].data.view(-1, 784).numpy(), mnist.train_images)
    np.testing.assert_array_equal(torch_mnist[1].targets.numpy(), mnist.test_labels)
