"""Conversions to float32 in a program that is recorded in float64: there they do nothing, as in the user's own run."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _Widened(TorchFunctionMode):
    """Turns conversions of tensors to float32 into conversions to float64.

    Constants that are made in float32 stay: a port makes them so, too, and they are exact in float64.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        if func is torch.Tensor.float:
            return torch.Tensor.double(*args, **kwargs)
        if args and isinstance(args[0], torch.Tensor):  # no constant
            args = tuple(torch.float64 if one is torch.float32 else one for one in args)
            kwargs = {name: torch.float64 if one is torch.float32 else one for name, one in kwargs.items()}
        return func(*args, **kwargs)


def widened(dtype: torch.dtype | None) -> contextlib.AbstractContextManager[Any]:
    """Return a context for the user's program, if it is recorded in float64."""
    return _Widened() if dtype == torch.float64 else contextlib.nullcontext()
