"""The reference as the ladder sees it: the functions of `jax_side`, in torch.

No planted fault reaches the reference, so what takes long is computed once in a process. Arrays that callers share are
read-only.
"""

import copy
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST

import torch_ref.data
from jax_impl.data import Mnist
from tests.laws import LAWS, TRUNCATED
from tests.parity.jax_side import Epoch, Run, Tensors, dtype_of, layers_of
from torch_ref import model, recipes, runs, train

torch.set_num_threads(1)  # the default of `python -m torch_ref train`
DEVICE = torch.device("cpu")
FUSED = torch.backends.cpu.get_cpu_capability() in {"AVX2", "AVX512"}  # elsewhere uniform draws are rounded twice


def tensor(array: np.ndarray) -> torch.Tensor:
    """Return a copy as a tensor: torch may write where JAX's and NumPy's arrays are read-only."""
    return torch.from_numpy(array.copy())


def network_of(tensors: Tensors) -> torch.nn.Sequential:
    """Return the reference's own model with these parameters."""
    network = model.build(recipes.Recipe(name="ladder", layers=layers_of(tensors), dtype=dtype_of(tensors).name))
    network.load_state_dict({name: tensor(array) for name, array in tensors.items()})
    return network


def tensors_of(network: torch.nn.Module) -> Tensors:
    return {name: tensor.numpy() for name, tensor in runs.snapshot(network).items()}


def dataset(images: np.ndarray, labels: np.ndarray) -> SimpleNamespace:
    """Return what `train.scaled` and `train.accuracy` read of a torchvision data set."""
    return SimpleNamespace(data=tensor(images), targets=tensor(labels.astype(np.int64)))


def part(n_train: int, n_test: int, dtype: str = "float32") -> tuple[MNIST, MNIST]:
    """Return the first training and test images as the reference's own data sets."""
    mnist_train, mnist_test = map(copy.copy, _loaded(dtype))
    for mnist, n in ((mnist_train, n_train), (mnist_test, n_test)):
        mnist.data, mnist.targets = mnist.data[:n], mnist.targets[:n]
    return mnist_train, mnist_test


@lru_cache(maxsize=2)
def _loaded(dtype: str) -> tuple[MNIST, MNIST]:
    return torch_ref.data.load(dtype=dtype)


@lru_cache(maxsize=1)
def load() -> Mnist:
    flat = [mnist.data.view(-1, 784).numpy() for mnist in _loaded("float32")]
    labels = [mnist.targets.numpy().astype(np.int32) for mnist in _loaded("float32")]
    mnist = Mnist(flat[0], labels[0], flat[1], labels[1])
    for array in mnist:
        array.setflags(write=False)
    return mnist


def scale(images: np.ndarray, dtype: str) -> np.ndarray:
    """Return the pixels as torchvision's transform gives them, image by image."""
    mnist_train, _ = part(len(images), 0, dtype)
    mnist_train.data = tensor(images).view(-1, 28, 28)
    return np.stack([mnist_train[index][0].view(784).numpy() for index in range(len(images))])


def initial(recipe: str, **changes: object) -> Tensors:
    settings = recipes.named(recipe).with_changes(**changes)
    train.seed_everything(settings.seed)
    return tensors_of(model.build(settings))


@lru_cache(maxsize=32)
def orders(recipe: str, n_images: int, epochs: int, **changes: object) -> np.ndarray:
    """Return what the real DataLoader yields after the real model was built, over numbers in place of images."""
    settings = recipes.named(recipe).with_changes(**changes)
    train.seed_everything(settings.seed)
    model.build(settings)
    loader = train.make_loader(settings, range(n_images))  # type: ignore[arg-type]
    drawn = np.stack([np.stack([batch.numpy() for batch in loader]) for _ in range(epochs)])
    drawn.setflags(write=False)
    return drawn


@lru_cache(maxsize=128)
def sample(init: str, seed: int, fan_in: int, fan_out: int) -> np.ndarray:
    """Return a weight by torch.nn.init; for JAX's own initialisers, by the distribution that they publish."""
    torch.manual_seed(seed)
    weight = torch.nn.Linear(fan_in, fan_out).weight.detach()
    if init in model.INITS:
        model.INITS[init](weight)
    elif init.endswith("uniform"):
        low, high = LAWS[init](fan_in, fan_out).support()
        torch.nn.init.uniform_(weight, low, high)
    else:
        std = LAWS[init](fan_in, fan_out).std() / TRUNCATED
        torch.nn.init.trunc_normal_(weight, 0, std, -2 * std, 2 * std)
    return weight.numpy()


def sample_bias(seed: int, fan_in: int, fan_out: int) -> np.ndarray:
    torch.manual_seed(seed)
    return torch.nn.Linear(fan_in, fan_out).bias.detach().numpy()


def write(path: Path, tensors: Tensors) -> None:
    settings = recipes.Recipe(name="ladder", layers=layers_of(tensors), epochs=0)
    runs.write(path.parent, settings, [], runs.snapshot(network_of(tensors)), loader="tensor")
    (path.parent / "params.safetensors").replace(path)


def read(path: Path, layers: tuple[int, ...]) -> Tensors:
    return {name: tensor.numpy() for name, tensor in runs.load(path, layers).items()}


def layers(tensors: Tensors, inputs: np.ndarray) -> list[np.ndarray]:
    outputs: list[np.ndarray] = []
    network = network_of(tensors)
    for module in network:
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.detach().numpy()))
    network(tensor(inputs))
    return outputs


def loss(tensors: Tensors, inputs: np.ndarray, labels: np.ndarray) -> float:
    return _loss(network_of(tensors), inputs, labels).item()


def _loss(network: torch.nn.Module, inputs: np.ndarray, labels: np.ndarray) -> torch.Tensor:
    logits = network(tensor(inputs))
    return torch.nn.functional.cross_entropy(logits, tensor(labels.astype(np.int64)))


class Replayed:
    """The batches of a given order, as the notebook's loop takes them."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, order: np.ndarray, dtype: str) -> None:
        self.images, self.labels = tensor(images), tensor(labels.astype(np.int64))
        self.order, self.dtype = tensor(order), getattr(torch, dtype)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in self.order:
            yield self.images[batch].to(self.dtype).div(255), self.labels[batch]


def losses(tensors: Tensors, images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return each step's loss by the reference's `train_epoch`."""
    network = network_of(tensors)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    batches = Replayed(images, labels, order, dtype_of(tensors).name)
    _, costs = train.train_epoch(network, optimizer, batches, DEVICE)
    return torch.stack(costs).numpy()


def accuracy(tensors: Tensors, images: np.ndarray, labels: np.ndarray) -> float:
    return train.accuracy(network_of(tensors), dataset(images, labels), DEVICE)  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def epochs(recipe: str, n_train: int, n_test: int, **changes: object) -> list[Epoch]:
    """Run the reference's `fit`, with the notebook's DataLoader, on the first training and test images."""
    settings = recipes.named(recipe).with_changes(**changes)
    optimizers, losses, found = [], [], []
    train_epoch = train.train_epoch

    def watched(model: torch.nn.Module, optimizer: torch.optim.Optimizer, *others: object) -> object:
        cost, steps = train_epoch(model, optimizer, *others)  # type: ignore[arg-type]
        optimizers.append(optimizer)
        losses.append(tuple(loss.item() for loss in steps))
        return cost, steps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "train_epoch", watched)  # `fit` keeps its optimizer and the losses to itself
        for record, network in train.fit(settings, *part(n_train, n_test, settings.dtype)):
            if record:
                found.append(_epoch(record, network, optimizers[-1], losses[-1]))
    return found


def _epoch(
    record: train.EpochRecord, network: torch.nn.Module, optimizer: torch.optim.Optimizer, losses: tuple[float, ...]
) -> Epoch:
    moments = {name: optimizer.state[parameter] for name, parameter in network.named_parameters()}
    (steps,) = {int(state["step"]) for state in moments.values()}
    return Epoch(
        number=record.epoch,
        cost=record.cost,
        accuracy=record.test_accuracy,
        params=tensors_of(network),
        first_moment={name: state["exp_avg"].numpy().copy() for name, state in moments.items()},
        second_moment={name: state["exp_avg_sq"].numpy().copy() for name, state in moments.items()},
        steps=steps,
        learning_rate=np.array(optimizer.param_groups[0]["lr"]),
        losses=losses,
    )


def fit(recipe: str, mnist: Mnist, **changes: object) -> Run:
    """Train as `python -m torch_ref train --loader tensor` does."""
    return _fit(recipe, len(mnist.train_images), len(mnist.test_images), **changes)


@lru_cache(maxsize=64)
def _fit(recipe: str, n_train: int, n_test: int, **changes: object) -> Run:
    settings = recipes.named(recipe).with_changes(**changes)
    (_, network), *epochs = train.fit(settings, *part(n_train, n_test), loader="tensor")
    records = [record for record, _ in epochs if record]
    costs, accuracies = ([getattr(record, name) for record in records] for name in ("cost", "test_accuracy"))
    return Run(cost=costs, accuracy=accuracies, tensors=tensors_of(network))
