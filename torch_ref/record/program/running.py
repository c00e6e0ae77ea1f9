"""The user's program in a form that can be run again and again, each time from the same start."""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from torch_ref.errors import UserError
from torch_ref.record import structures
from torch_ref.record.noise import Sink
from torch_ref.record.program.capture import Capture, hooked
from torch_ref.record.program.masks import Masks, replaced
from torch_ref.record.program.optimizing import Optimizing
from torch_ref.record.program.widening import widened
from torch_ref.record.program.workspace import RandomState, Workspace
from torch_ref.record.progress import Progress
from torch_ref.record.settings import Leaf


@dataclass
class Program:
    """The user's program, ready to run.

    Attributes:
        dtype: That of floating-point batches, or None to leave them.
        starts: For each batch, whether the batches start anew with it.
        counts: How often each module was called, once a pass has run.
        others: Modules that draw random numbers which are no mask.
        sparse: The leaves whose gradients are sparse.
        cut: How the first batch is cut for a run at another size; None if the model takes no other.
    """

    model: nn.Module
    loss: Callable[..., Any]
    batches: Sequence[Any]
    starts: Sequence[bool]
    leaves: Sequence[Leaf]
    workspace: Workspace
    optimizing: Optimizing
    dtype: torch.dtype | None
    random: RandomState
    progress: Progress
    counts: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    sparse: set[str] = field(default_factory=set)
    cut: Any = None

    @property
    def trained(self) -> list[Leaf]:
        """The leaves that have gradients, each tensor once."""
        return [leaf for leaf in self.leaves if leaf.trainable and leaf.tied is None]

    @property
    def buffers(self) -> list[Leaf]:
        """The buffers, each tensor once."""
        return [leaf for leaf in self.leaves if leaf.kind == "buffer" and leaf.tied is None]

    def batch(self, number: int, sink: Sink) -> Any:
        """Return a copy of a batch in the recording's precision; a noisy run perturbs it."""

        def change(value: Any) -> Any:
            tensor = torch.as_tensor(value)
            dtype = self.dtype if self.dtype is not None and tensor.is_floating_point() else tensor.dtype
            tensor = sink.perturbed(tensor.detach().to(dtype, copy=True))
            required = isinstance(value, torch.Tensor) and value.requires_grad
            return tensor.requires_grad_(required) if isinstance(value, torch.Tensor) else tensor.numpy()

        return structures.mapped(change, self.batches[number])

    def evaluate(self, batch: Any, *, train: bool, when: str) -> torch.Tensor:
        """Return the loss of a batch, a tensor without axes.

        Raises:
            TypeError: It is no tensor, or has several elements, or does not depend on a parameter.
            UserError: It is not finite.
        """
        accepts = "train" in inspect.signature(self.loss).parameters
        with widened(self.dtype):
            value = self.loss(self.model, batch, train=train) if accepts else self.loss(self.model, batch)
        value = value[0] if isinstance(value, tuple) else value
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"loss must return a scalar tensor, got {type(value).__name__}: return the loss itself")
        if value.numel() != 1:
            raise TypeError(f"loss must return a scalar tensor, got shape {tuple(value.shape)}: add .mean()")
        if not math.isfinite(value.item()):
            raise UserError(
                f"the loss is {value.item()} {when}: check the batch, lower the learning rate, or record fewer steps"
            )
        if train and torch.is_grad_enabled() and not value.requires_grad:
            raise TypeError("loss must depend on the model's parameters: do not detach it or compute it in no_grad")
        return value.reshape(())


@contextlib.contextmanager
def observed(program: Program, sink: Sink, place: str, *, keep: bool) -> Iterator[tuple[Capture, Masks]]:
    """Hook the model and replace dropout while the context lasts. `keep` records what goes in and out of modules."""
    capture = Capture(sink, place if keep else None)
    masks = Masks(sink, place, program.workspace.device, capture)
    if not sink.noisy:
        capture.returned = masks.watch
    with replaced(masks), hooked(list(program.model.named_modules()), capture):
        yield capture, masks
    if not sink.noisy:
        program.others += masks.others


def evaluated(program: Program, sink: Sink, place: str, batch: Any, *, when: str) -> dict[str, Any]:
    """Run a batch, with weights and mode as they are; return the loss and what the model returns."""
    with torch.no_grad():
        capture = Capture(sink, place)
        with replaced(Masks(sink, place, program.workspace.device, capture)), hooked([("", program.model)], capture):
            loss = program.evaluate(batch, train=False, when=when)
    number = sink.number(f"{place}/loss", loss.item())
    outputs = [array for call in capture.calls for array in call.outputs]
    return {"loss": number.value, "loss_noise": number, "outputs": outputs}
