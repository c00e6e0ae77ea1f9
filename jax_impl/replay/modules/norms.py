"""Norms and PReLU, which draw nothing (torch/nn/modules/batchnorm.py, instancenorm.py, normalization.py)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from jax_impl.replay.arguments import floating
from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.modules.building import Tensors, divided

Shape = int | tuple[int, ...]


def _filled(shape: Shape, value: float, dtype: DTypeLike) -> np.ndarray:
    return floating(dtype).rounded(np.full(shape, value))


def _affine(shape: Shape, dtype: DTypeLike, *, bias: bool = True) -> Tensors:
    tensors = {"weight": _filled(shape, 1.0, dtype)}
    return tensors | {"bias": _filled(shape, 0.0, dtype)} if bias else tensors


class _Drawless(ABC):
    """A module whose tensors are constant."""

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Return the tensors. The generator does not advance."""
        del generator
        return self.values(dtype)

    @abstractmethod
    def values(self, dtype: DTypeLike) -> Tensors:
        """Return the tensors."""


@dataclass(frozen=True)
class BatchNorm(_Drawless):
    """`nn.BatchNorm1d` to `nn.BatchNorm3d`."""

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True

    def values(self, dtype: DTypeLike) -> Tensors:
        """Return weight, bias, running_mean, running_var and num_batches_tracked."""
        tensors = _affine(self.num_features, dtype) if self.affine else {}
        if self.track_running_stats:
            tensors["running_mean"] = _filled(self.num_features, 0.0, dtype)
            tensors["running_var"] = _filled(self.num_features, 1.0, dtype)
            tensors["num_batches_tracked"] = np.array(0)
        return tensors


@dataclass(frozen=True)
class InstanceNorm(BatchNorm):
    """`nn.InstanceNorm1d` to `nn.InstanceNorm3d`."""

    affine: bool = False
    track_running_stats: bool = False


@dataclass(frozen=True)
class LayerNorm(_Drawless):
    """`nn.LayerNorm`."""

    normalized_shape: Shape
    eps: float = 1e-5
    elementwise_affine: bool = True
    bias: bool = True

    def values(self, dtype: DTypeLike) -> Tensors:
        """Return weight and bias."""
        return _affine(self.normalized_shape, dtype, bias=self.bias) if self.elementwise_affine else {}


@dataclass(frozen=True)
class RMSNorm(_Drawless):
    """`nn.RMSNorm`."""

    normalized_shape: Shape
    eps: float | None = None
    elementwise_affine: bool = True

    def values(self, dtype: DTypeLike) -> Tensors:
        """Return the weight."""
        return _affine(self.normalized_shape, dtype, bias=False) if self.elementwise_affine else {}


@dataclass(frozen=True)
class GroupNorm(_Drawless):
    """`nn.GroupNorm`."""

    num_groups: int
    num_channels: int
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self) -> None:
        """Refuse what torch refuses."""
        divided("num_channels", self.num_channels, "num_groups", self.num_groups)

    def values(self, dtype: DTypeLike) -> Tensors:
        """Return weight and bias."""
        return _affine(self.num_channels, dtype) if self.affine else {}


@dataclass(frozen=True)
class PReLU(_Drawless):
    """`nn.PReLU`."""

    num_parameters: int = 1
    init: float = 0.25

    def values(self, dtype: DTypeLike) -> Tensors:
        """Return the slopes."""
        return {"weight": _filled(self.num_parameters, self.init, dtype)}
