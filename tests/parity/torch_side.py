"""The reference as the ladder sees it: the functions of `jax_side`, in torch."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

import torch_ref.data
from jax_impl.data import Mnist
from tests.laws import LAWS, TRUNCATED
from tests.parity.jax_side import Run, Tensors, dtype_of, layers_of
from torch_ref import model, recipes, runs, train

DEVICE = torch.device("cpu")
FUSED = torch.backends.cpu.get_cpu_capability() in {"AVX2", "AVX512"}  # elsewhere uniform draws are rounded twice


def tensor(array: np.ndarray) -> torch.Tensor:
    """A tensor of its own: torch may write where JAX's and NumPy's arrays are read-only."""
    return torch.from_numpy(array.copy())


def network_of(tensors: Tensors) -> torch.nn.Sequential:
    """The reference's own model with these parameters."""
    network = model.build(recipes.Recipe(name="ladder", layers=layers_of(tensors), dtype=dtype_of(tensors).name))
    network.load_state_dict({name: tensor(array) for name, array in tensors.items()})
    return network


def tensors_of(network: torch.nn.Module) -> Tensors:
    return {name: tensor.numpy() for name, tensor in runs.snapshot(network).items()}


def dataset(images: np.ndarray, labels: np.ndarray) -> SimpleNamespace:
    """What `train.scaled` and `train.accuracy` take of a torchvision data set."""
    return SimpleNamespace(data=tensor(images), targets=tensor(labels.astype(np.int64)))


def load() -> Mnist:
    mnist_train, mnist_test = torch_ref.data.load()
    flat = [mnist.data.view(-1, 784).numpy() for mnist in (mnist_train, mnist_test)]
    labels = [mnist.targets.numpy().astype(np.int32) for mnist in (mnist_train, mnist_test)]
    return Mnist(flat[0], labels[0], flat[1], labels[1])


def scale(images: np.ndarray, dtype: str) -> np.ndarray:
    """The pixels as torchvision's transform gives them, image by image."""
    mnist_train, _ = torch_ref.data.load(dtype=dtype)
    mnist_train.data = tensor(images).view(-1, 28, 28)
    return np.stack([mnist_train[index][0].view(784).numpy() for index in range(len(images))])


def initial(recipe: str, **changes: object) -> Tensors:
    settings = recipes.named(recipe).but(**changes)
    train.seed_everything(settings.seed)
    return tensors_of(model.build(settings))


def orders(recipe: str, n_images: int, epochs: int, **changes: object) -> np.ndarray:
    """What the real DataLoader yields after the real model has been made, over numbers in place of images."""
    settings = recipes.named(recipe).but(**changes)
    train.seed_everything(settings.seed)
    model.build(settings)
    loader = train.make_loader(settings, range(n_images))  # type: ignore[arg-type]
    return np.stack([np.stack([batch.numpy() for batch in loader]) for _ in range(epochs)])


def sample(init: str, seed: int, fan_in: int, fan_out: int) -> np.ndarray:
    """A weight by torch.nn.init; JAX's own names are drawn from the law that they publish."""
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
    runs.finish(path.parent, settings, [], runs.snapshot(network_of(tensors)))
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


def gradients(tensors: Tensors, inputs: np.ndarray, labels: np.ndarray) -> Tensors:
    network = network_of(tensors)
    _loss(network, inputs, labels).backward()
    return {
        name: parameter.grad.numpy() for name, parameter in network.named_parameters() if parameter.grad is not None
    }


def _loss(network: torch.nn.Module, inputs: np.ndarray, labels: np.ndarray) -> torch.Tensor:
    logits = network(tensor(inputs))
    return torch.nn.functional.cross_entropy(logits, tensor(labels.astype(np.int64)))


def adam(tensors: Tensors, steps: Sequence[Tensors]) -> dict[str, Tensors]:
    network = network_of(tensors)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for step in steps:
        for name, parameter in network.named_parameters():
            parameter.grad = tensor(step[name])
        optimizer.step()
    moments = {name: optimizer.state[parameter] for name, parameter in network.named_parameters()}
    return {
        "params": tensors_of(network),
        "first moment": {name: state["exp_avg"].numpy() for name, state in moments.items()},
        "second moment": {name: state["exp_avg_sq"].numpy() for name, state in moments.items()},
    }


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
    """Each step's loss by the reference's own loop."""
    network = network_of(tensors)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    batches = Replayed(images, labels, order, dtype_of(tensors).name)
    _, costs = train.train_epoch(network, optimizer, batches, DEVICE)
    return torch.stack(costs).numpy()


def accuracy(tensors: Tensors, images: np.ndarray, labels: np.ndarray) -> float:
    return train.accuracy(network_of(tensors), dataset(images, labels), DEVICE)  # type: ignore[arg-type]


def fit(recipe: str, mnist: Mnist, **changes: object) -> Run:
    """Train as `python -m torch_ref train --loader tensor` does; a run is made once, since no fault reaches it."""
    return _fit(recipe, len(mnist.train_images), tuple(sorted(changes.items())))


@lru_cache(maxsize=64)
def _fit(recipe: str, n_images: int, changes: tuple[tuple[str, object], ...]) -> Run:
    settings = recipes.named(recipe).but(**dict(changes))
    mnist_train, mnist_test = torch_ref.data.load()
    mnist_train.data, mnist_train.targets = mnist_train.data[:n_images], mnist_train.targets[:n_images]
    (_, network), *epochs = train.fit(settings, mnist_train, mnist_test, loader="tensor")
    records = [record for record, _ in epochs if record]
    costs, accuracies = ([getattr(record, name) for record in records] for name in ("cost", "test_accuracy"))
    return Run(cost=costs, accuracy=accuracies, tensors=tensors_of(network))
