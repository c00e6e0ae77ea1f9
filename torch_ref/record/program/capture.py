"""Hooks on every module that copy what goes in and comes out.

Each tensor is copied at once: an in-place layer may overwrite it later.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from torch_ref.record import structures
from torch_ref.record.arrays import FORWARD, Array
from torch_ref.record.noise import Sink


@dataclass
class Call:
    """One call of a module, in the form of record.json's `free`."""

    module: str
    call: int
    order: int
    inputs: list[Array | None] = field(default_factory=list)
    outputs: list[Array | None] = field(default_factory=list)
    held: list[tuple[torch.Tensor, int]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the entry of record.json."""
        return {
            "module": self.module, "own": self.module, "call": self.call, "order": self.order,
            "inputs": self.inputs, "outputs": self.outputs, "float32": False,
        }  # fmt: skip


class Capture:
    """The calls of one pass.

    Attributes:
        calls: In the order in which they return. Empty if `prefix` is None.
        counts: How often each module was called.
        returned: Called with the path of each module that returns.
        over: Whether the model has computed its output. Calls after that are repetitions in the backward pass.
    """

    def __init__(self, sink: Sink, prefix: str | None) -> None:
        self.calls: list[Call] = []
        self.counts: dict[str, int] = {}
        self.over = False
        self.returned: Callable[[str], None] | None = None
        self._sink, self._prefix = sink, prefix
        self._running: list[Call] = []
        self._begun = 0

    @property
    def module(self) -> str:
        """The path of the innermost module that is being called."""
        return self._running[-1].module if self._running else ""

    def begin(self, path: str, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Note that a module is called, and keep its inputs. A noisy run returns perturbed ones."""
        noisy = self._sink.noisy and path not in self._sink.overwriting
        if self.over:
            return self._perturbed((args, kwargs)) if noisy else None
        number = self.counts.get(path, 0)
        self.counts[path] = number + 1
        call = Call(path, number, self._begun)
        self._begun += 1
        self._running.append(call)
        changed = None
        if noisy:
            changed = args, kwargs = self._perturbed((args, kwargs))
        elif not self._sink.noisy:
            call.held = [(tensor, _version(tensor)) for tensor in structures.tensors((args, kwargs))]
        call.inputs = self._kept(call, "in", (args, kwargs))
        return changed

    def end(self, path: str, output: Any) -> Any:
        """Note that a module returns, and keep its outputs. A noisy run returns perturbed ones."""
        if self.over:
            return self._perturbed(output) if self._sink.noisy else None
        call = self._running.pop()
        while call.module != path:  # a module inside raised an exception, which the model caught
            call = self._running.pop()
        if any(_version(tensor) != version for tensor, version in call.held):
            self._sink.overwriting.add(path)
        call.held = []
        output = self._perturbed(output) if self._sink.noisy else output
        call.outputs = self._kept(call, "out", output)
        if self._prefix is not None:
            self.calls.append(call)
        if self.returned is not None:
            self.returned(path)
        return output if self._sink.noisy else None

    def _perturbed(self, value: Any) -> Any:
        """Perturb each tensor once, so that query, key and value stay the same object."""
        seen: dict[int, torch.Tensor] = {}

        def change(tensor: Any) -> Any:
            if not isinstance(tensor, torch.Tensor):
                return tensor
            if id(tensor) not in seen:
                seen[id(tensor)] = self._sink.perturbed(tensor)
            return seen[id(tensor)]

        return structures.mapped(change, value)

    def _kept(self, call: Call, way: str, value: Any) -> list[Array | None]:
        if self._prefix is None:
            return []
        place = f"{self._prefix}/{call.module}#{call.call}/{way}"
        found = enumerate(structures.tensors(value))
        return [self._sink.array(f"{place}{number}", tensor, "forward", FORWARD) for number, tensor in found]


def _version(tensor: torch.Tensor) -> int:
    """Return how often a tensor was written to in place."""
    return 0 if tensor.is_inference() else tensor._version


@contextlib.contextmanager
def hooked(modules: Sequence[tuple[str, nn.Module]], capture: Capture) -> Iterator[None]:
    """Hook the modules while the context lasts."""
    with contextlib.ExitStack() as hooks:
        for path, module in modules:
            hooks.enter_context(contextlib.closing(_Hook(path, module, capture)))
        yield


class _Hook:
    """The two hooks of a module."""

    def __init__(self, path: str, module: nn.Module, capture: Capture) -> None:
        self._before = module.register_forward_pre_hook(
            lambda _, args, kwargs: capture.begin(path, args, kwargs), with_kwargs=True
        )
        self._after = module.register_forward_hook(lambda _, _args, output: capture.end(path, output))

    def close(self) -> None:
        """Remove the hooks."""
        self._before.remove()
        self._after.remove()
