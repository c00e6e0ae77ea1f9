"""The first batch at another size: what agrees at one size of an image may differ at the next.

At some sizes a layer with a stride pads as "SAME" does in JAX, at others it does not. A cut is chosen at which as many
layers as possible tell the two apart.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from torch_ref.record import structures
from torch_ref.record.arrays import Recording
from torch_ref.record.noise import Sink
from torch_ref.record.program.running import Program, evaluated

TRIED = 8  # smaller sizes of an axis
SMALLEST = 4  # length of an axis that is cut

Sizes = dict[str, tuple[int, ...]]  # of what a layer slides over, by the layer's path


@dataclass(frozen=True)
class Cut:
    """Every axis of this length, but the first of an array, is cut to `to` entries."""

    length: int
    to: int

    def of(self, batch: Any) -> Any:
        """Return a batch, cut."""

        def change(value: Any) -> Any:
            tensor = torch.as_tensor(value)
            for axis in range(1, tensor.ndim):
                if tensor.shape[axis] == self.length:
                    tensor = tensor.narrow(axis, 0, self.to)
            return tensor.contiguous() if isinstance(value, torch.Tensor) else tensor.numpy().copy()

        return structures.mapped(change, batch)


def probed(program: Program, sink: Sink, cut: Cut | None) -> dict[str, Any] | None:
    """Evaluate the first batch, cut, with the weights from the start."""
    if cut is None:
        return None
    _restart(program, sink)
    sizes: Sizes = {}
    with _watched(program.model, sizes):
        found = evaluated(program, sink, "probe", cut.of(program.batch(0, sink)), when="at another size")
    shapes = {path: list(size) for path, size in sizes.items()}
    return {"length": cut.length, "to": cut.to, "sizes": shapes, **found}


def chosen(program: Program) -> Cut | None:
    """Return a cut that the model takes; None if it takes none, or runs on an accelerator.

    There an index out of range, such as a label's place in a longer sequence, would end the process's use of it.
    """
    if program.workspace.device.type != "cpu":
        return None
    modules = dict(program.model.named_modules())

    def hiding(sizes: Sizes) -> set[str]:
        return {path for path, size in sizes.items() if hides_borders(modules[path], size)}

    usual = hiding(_sizes(program, lambda batch: batch))
    for length in sorted(_lengths(program.batches[0]), reverse=True):
        found: dict[Cut, int] = {}
        for to in range(length - 1, max(length - 1 - TRIED, 1), -1):
            cut = Cut(length, to)
            try:
                found[cut] = len(usual & hiding(_sizes(program, cut.of)))
            except Exception:  # whatever a model says of a size that it does not take
                break
            if not found[cut]:
                break
        if found:
            return min(found, key=found.__getitem__)
    return None


def hides_borders(module: nn.Module, space: Sequence[int]) -> bool:
    """Return whether the padding of a convolution or pool over axes of these sizes is "SAME", as JAX pads, too."""
    settings = [getattr(module, name, None) for name in ("kernel_size", "stride", "padding", "dilation")]
    numbers: list[Any] = [(one,) * len(space) if isinstance(one, int) else one for one in settings]
    if any(not isinstance(one, tuple) or len(one) != len(space) for one in numbers[:3]):
        return False
    kernel, strides, padding, dilation = *numbers[:3], numbers[3] or (1,) * len(space)
    for length, size, step, pad, gap in zip(space, kernel, strides, padding, dilation, strict=True):
        total = max((-(-length // step) - 1) * step + gap * (size - 1) + 1 - length, 0)
        if step > 1 and (total // 2, total - total // 2) == (pad, pad):
            return True
    return False


def _sizes(program: Program, change: Callable[[Any], Any]) -> Sizes:
    """Return the sizes that the layers meet on the changed first batch."""
    sink, sizes = Recording(), Sizes()
    _restart(program, sink)
    with _watched(program.model, sizes):
        evaluated(program, sink, "probe", change(program.batch(0, sink)), when="at another size")
    return sizes


def _restart(program: Program, sink: Sink) -> None:
    program.random.restore()
    program.workspace.reset(sink)
    program.workspace.train(False)


@contextlib.contextmanager
def _watched(model: nn.Module, sizes: Sizes) -> Iterator[None]:
    """Note the sizes of what goes into each layer that slides over axes, at its first call."""

    def noted(path: str, count: int) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            if args:
                sizes.setdefault(path, tuple(args[0].shape[-count:]))

        return hook

    hooks = []
    for path, module in model.named_modules():
        axes = {"1d": 1, "2d": 2, "3d": 3}.get(type(module).__name__[-2:], 0)
        if axes and ("Conv" in type(module).__name__ or "Pool" in type(module).__name__):
            hooks.append(module.register_forward_pre_hook(noted(path, axes)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _lengths(batch: Any) -> set[int]:
    """Return the lengths of axes that may be cut: those of no first axis, for that is the batch's size."""
    shapes: list[tuple[int, ...]] = []

    def noted(value: Any) -> Any:
        shapes.append(tuple(value.shape))
        return value

    structures.mapped(noted, batch)
    found = {length for shape in shapes for length in shape[1:] if length >= SMALLEST}
    return found - {shape[0] for shape in shapes if shape}
