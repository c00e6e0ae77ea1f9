"""A network of specs, and the tensors that building it draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike

from jax_impl.replay.generator import TorchGenerator

Tensors = dict[str, np.ndarray]


@runtime_checkable
class Spec(Protocol):
    """What a module of torch is built of."""

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw the tensors as the module's constructor does, under their names in the module."""
        ...


Network: TypeAlias = Spec | Mapping[str, Any] | Sequence[Any] | None  # of networks


@dataclass(frozen=True)
class Copies:
    """Deep copies of one module, which is drawn once: the layers of `nn.TransformerEncoder`."""

    module: Network
    count: int

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw the module, and return its tensors under "0.", "1." and so on."""
        one = initial(self.module, generator, dtype)
        return {f"{number}.{name}": tensor.copy() for number in range(self.count) for name, tensor in one.items()}


def initial(network: Network, seed: int | TorchGenerator, dtype: DTypeLike = np.float32) -> Tensors:
    """Return the named tensors of a network after `torch.manual_seed(seed)`.

    Args:
        network: A spec, or specs in the order in which the program builds them (see the package's docstring).
        seed: Of torch, or a generator, which advances as torch's.
        dtype: The modules' `dtype`: float32, float64, float16 or "bfloat16" (returned in float32).

    Raises:
        TypeError: the network holds something that is no spec.
    """
    generator = seed if isinstance(seed, TorchGenerator) else TorchGenerator(seed)
    if network is None:
        return {}
    if isinstance(network, Spec) and not isinstance(network, type):
        return network.tensors(generator, dtype)
    if isinstance(network, str | type) or not isinstance(network, Mapping | Sequence):
        raise TypeError(f"a network holds specs, mappings, lists and None, got {network!r}")
    parts = network.items() if isinstance(network, Mapping) else ((str(n), part) for n, part in enumerate(network))
    return {
        f"{name}.{inner}": tensor for name, part in parts for inner, tensor in initial(part, generator, dtype).items()
    }


def divided(name: str, value: int, by_name: str, by: int) -> int:
    """Return value / by; raise a ValueError if it is not whole, as torch does."""
    if by < 1 or value % by:
        raise ValueError(f"{name} must be a multiple of {by_name}, got {value} and {by}")
    return value // by
