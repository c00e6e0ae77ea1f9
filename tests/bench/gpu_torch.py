"""Torch's training as fast as torch can: the data in one tensor on the device, and a step that a CUDA graph can replay.

`One` trains a network, `Many` trains several as one by `torch.func`. A step reads its batch and writes its loss by a
counter on the device, so that it needs nothing of the host. Products are in full float32, as JAX's are here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from jax_impl.data import Mnist
from torch_ref import model
from torch_ref.recipes import Recipe

WARM_UP = 3  # steps before a capture, as torch's documentation has it
CHECKED = 10  # steps that a replay is held to
TOLERANCE = 1e-3  # of their losses: what rung 12 of the parity ladder allows ten steps in float32

Advance = Callable[[], object]  # one step


class Training(ABC):
    """What one training and many have in common.

    Args:
        recipe: Adam's, with its dtype and batch size.
        network: Whose parameters `functional_call` replaces.
        parameters: What Adam changes, on the device.
        shape: Of a batch's losses: () for one training, (runs,) for many.
        mnist: The data.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: torch.nn.Module,
        parameters: Sequence[torch.Tensor],
        shape: tuple[int, ...],
        mnist: Mnist,
    ) -> None:
        device, dtype = parameters[0].device, parameters[0].dtype
        self.network, self.parameters, self.mnist = network, list(parameters), mnist
        self.initial = self.snapshot()
        images, labels, test_images, test_labels = mnist
        self.images = torch.empty(images.shape, dtype=dtype, device=device)
        self.labels = torch.empty(labels.shape, dtype=torch.int64, device=device)
        self.test_images = torch.empty(test_images.shape, dtype=dtype, device=device)
        self.test_labels = torch.empty(test_labels.shape, dtype=torch.int64, device=device)
        steps = len(images) // recipe.batch_size
        self.order = torch.zeros((steps, *shape, recipe.batch_size), dtype=torch.int64, device=device)
        self.losses = torch.zeros((steps, *shape), dtype=dtype, device=device)
        self.step_number = torch.zeros(1, dtype=torch.int64, device=device)
        self.optimizer = torch.optim.Adam(
            self.parameters, lr=recipe.learning_rate, fused=True, capturable=device.type == "cuda"
        )
        self.start()

    @abstractmethod
    def backward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Set every parameter's gradient and return the loss, of the shape that the constructor was told."""

    @abstractmethod
    def trained(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield each run's parameters by name."""

    @torch.no_grad()
    def start(self) -> None:
        """Copy data and initial parameters to the device, and forget all moments."""
        images, labels, test_images, test_labels = (torch.from_numpy(array.copy()) for array in self.mnist)
        self.images.copy_(images.to(self.images.device)).div_(255)  # travels as bytes
        self.labels.copy_(labels)
        self.test_images.copy_(test_images.to(self.images.device)).div_(255)
        self.test_labels.copy_(test_labels)
        for parameter, values in zip(self.parameters, self.initial, strict=True):
            parameter.copy_(values)
        for state in self.optimizer.state.values():
            for values in state.values():
                values.zero_()
        self.step_number.zero_()

    def shuffle(self) -> None:
        """Draw every run's order of one epoch."""
        runs = self.order.view(len(self.order), -1, self.order.shape[-1])  # (steps, runs, batch)
        for run in range(runs.shape[1]):
            permutation = torch.randperm(len(self.images), device=self.order.device)
            runs[:, run] = permutation[: runs[:, run].numel()].view_as(runs[:, run])

    def step(self) -> None:
        """Train on the batch whose turn it is."""
        rows = self.order.index_select(0, self.step_number)[0]  # (…, batch)
        losses = self.backward(self.images[rows], self.labels[rows])
        self.losses.index_copy_(0, self.step_number, losses[None])
        self.optimizer.step()
        self.step_number += 1

    def epoch(self, advance: Advance, steps: int | None = None) -> torch.Tensor:
        """Take all steps of an epoch, or the first so many; return their losses, on the host."""
        self.step_number.zero_()
        for _ in range(steps or len(self.order)):
            advance()
        return self.losses[:steps].to("cpu", copy=True)  # waits for the device

    def snapshot(self) -> list[torch.Tensor]:
        """Return the parameters, on the host."""
        return [parameter.detach().to("cpu", copy=True) for parameter in self.parameters]

    @torch.no_grad()
    def accuracy(self) -> float:
        """Return the share of the test images that are classified correctly, from 0 to 1, the mean of all runs."""
        logits = (functional_call(self.network, parameters, (self.test_images,)) for parameters in self.trained())
        correct = [(found.argmax(1) == self.test_labels).sum() for found in logits]
        return int(torch.stack(correct).sum()) / len(correct) / len(self.test_labels)


class One(Training):
    """One network, by autograd; its forward and backward pass by torch's compiler if `compiled`."""

    def __init__(self, recipe: Recipe, mnist: Mnist, device: torch.device, *, compiled: bool = False) -> None:
        network = drawn(recipe).to(device)

        def loss(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return cross_entropy(network(inputs), labels)

        self.loss = torch.compile(loss) if compiled else loss
        super().__init__(recipe, network, list(network.parameters()), (), mnist)

    def backward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(inputs, labels)
        loss.backward()
        return loss.detach()

    def trained(self) -> Iterator[dict[str, torch.Tensor]]:
        yield dict(self.network.named_parameters())


class Many(Training):
    """One network a seed, stacked; Adam works number by number, so that one on the stack is one on each."""

    def __init__(self, recipe: Recipe, seeds: Sequence[int], mnist: Mnist, device: torch.device) -> None:
        stack, _ = stack_module_state([drawn(recipe.with_changes(seed=seed)) for seed in seeds])
        self.stack = {name: values.detach().to(device) for name, values in stack.items()}  # (runs, …) each
        network = drawn(recipe).to("meta")  # its parameters are never read

        def loss(parameters: dict[str, torch.Tensor], inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return cross_entropy(functional_call(network, parameters, (inputs,)), labels)

        self.gradients = vmap(grad_and_value(loss))
        super().__init__(recipe, network, list(self.stack.values()), (len(seeds),), mnist)

    def backward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        gradients, losses = self.gradients(self.stack, inputs, labels)
        for name, parameter in self.stack.items():
            parameter.grad = laid_out_like(parameter, gradients[name])
        return losses

    def trained(self) -> Iterator[dict[str, torch.Tensor]]:
        for run in range(self.order.shape[1]):
            yield {name: values[run] for name, values in self.stack.items()}


def drawn(recipe: Recipe) -> torch.nn.Sequential:
    """Return the recipe's network with its seed's initial parameters."""
    torch.manual_seed(recipe.seed)
    return model.build(recipe)


def laid_out_like(parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient with the parameter's strides, which fused Adam wants; it is copied only if need be."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def captured(training: Training) -> Advance:
    """Return the step as a CUDA graph, which one call of the host replays.

    Raises:
        AssertionError: The replayed steps do not do what the steps do.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            training.step()
    torch.cuda.current_stream().wait_stream(aside)
    training.optimizer.zero_grad(set_to_none=True)  # so that the gradients come to lie in the graph's own memory
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training.step()
    check(training, graph.replay)
    return graph.replay


def check(training: Training, advance: Advance) -> None:
    """Check that `advance` does what the step does; the training stands at its start again afterwards.

    Raises:
        AssertionError: The losses of the first steps differ.
    """
    training.start()
    training.shuffle()
    steps = min(CHECKED, len(training.order))
    replayed = training.epoch(advance, steps)
    training.start()
    expected = training.epoch(training.step, steps)
    training.start()
    torch.testing.assert_close(replayed, expected, rtol=0, atol=TOLERANCE)


def advance_of(training: Training, *, graphs: bool) -> Advance:
    """Return the step itself, or as a CUDA graph."""
    return captured(training) if graphs else training.step


def device() -> torch.device:
    """Return the device, on which float32 is multiplied in float32 from now on."""
    torch.set_float32_matmul_precision("highest")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
