"""Linear layers, convolutions and embeddings (torch/nn/modules/linear.py, conv.py and sparse.py)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from jax_impl.replay import init
from jax_impl.replay.arguments import integer
from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.modules.building import Tensors, divided

Kernel = int | np.integer[Any] | tuple[int, ...]


def _by_fan_in(generator: TorchGenerator, shape: tuple[int, ...], bias: int | None, dtype: DTypeLike) -> Tensors:
    """Draw a weight and a bias as `reset_parameters` of linear layers and convolutions: U(±1/sqrt(fan_in)).

    The two bounds are computed in different ways, and may differ in the last bit.
    """
    tensors = {"weight": init.kaiming_uniform(generator, shape, math.sqrt(5), dtype=dtype)}
    if bias is not None:
        fan_in, _ = init.fans(shape)
        tensors["bias"] = init.symmetric(generator, (bias,), 1 / math.sqrt(fan_in) if fan_in else 0.0, dtype)
    return tensors


@dataclass(frozen=True)
class Linear:
    """`nn.Linear`."""

    in_features: int
    out_features: int
    bias: bool = True

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight (out, in) and bias (out,)."""
        bias = self.out_features if self.bias else None
        return _by_fan_in(generator, (self.out_features, self.in_features), bias, dtype)


@dataclass(frozen=True)
class Bilinear:
    """`nn.Bilinear`."""

    in1_features: int
    in2_features: int
    out_features: int
    bias: bool = True

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight (out, in1, in2) and bias (out,)."""
        bound = 1 / math.sqrt(integer("in1_features", self.in1_features, 1))
        shapes = {"weight": (self.out_features, self.in1_features, self.in2_features), "bias": (self.out_features,)}
        names = list(shapes)[: 1 + self.bias]
        return {name: init.symmetric(generator, shapes[name], bound, dtype) for name in names}


@dataclass(frozen=True)
class _Convolution:
    """What convolutions have in common. Strides, paddings and dilations do not matter for the draws."""

    in_channels: int
    out_channels: int
    kernel_size: Kernel
    stride: object = 1
    padding: object = 0
    axes: ClassVar[int]

    def kernel(self) -> tuple[int, ...]:
        """Return the kernel's size along each axis."""
        if isinstance(self.kernel_size, int | np.integer):
            return (int(self.kernel_size),) * self.axes
        if len(self.kernel_size) != self.axes:
            raise ValueError(f"kernel_size must be one number or {self.axes}, got {self.kernel_size}")
        return tuple(self.kernel_size)


@dataclass(frozen=True)
class _Conv(_Convolution):
    dilation: object = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight (out, in / groups, *kernel) and bias (out,)."""
        divided("out_channels", self.out_channels, "groups", self.groups)
        shape = (self.out_channels, divided("in_channels", self.in_channels, "groups", self.groups), *self.kernel())
        return _by_fan_in(generator, shape, self.out_channels if self.bias else None, dtype)


@dataclass(frozen=True)
class _ConvTranspose(_Convolution):
    output_padding: object = 0
    groups: int = 1
    bias: bool = True
    dilation: object = 1
    padding_mode: str = "zeros"

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight (in, out / groups, *kernel) and bias (out,). torch takes fan_in from the weight's second axis."""
        divided("in_channels", self.in_channels, "groups", self.groups)
        shape = (self.in_channels, divided("out_channels", self.out_channels, "groups", self.groups), *self.kernel())
        return _by_fan_in(generator, shape, self.out_channels if self.bias else None, dtype)


class Conv1d(_Conv):
    """`nn.Conv1d`."""

    axes = 1


class Conv2d(_Conv):
    """`nn.Conv2d`."""

    axes = 2


class Conv3d(_Conv):
    """`nn.Conv3d`."""

    axes = 3


class ConvTranspose1d(_ConvTranspose):
    """`nn.ConvTranspose1d`."""

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """`nn.ConvTranspose2d`."""

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """`nn.ConvTranspose3d`."""

    axes = 3


@dataclass(frozen=True)
class Embedding:
    """`nn.Embedding`."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None = None

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight (num, dim) from N(0, 1). The row of padding is 0, after it has drawn, too."""
        if self.padding_idx is not None:
            integer("padding_idx", self.padding_idx, -self.num_embeddings, self.num_embeddings - 1)
        weight = generator.normal((self.num_embeddings, self.embedding_dim), dtype=dtype)
        if self.padding_idx is not None:
            weight[self.padding_idx] = np.zeros(self.embedding_dim)
        return {"weight": weight}


class EmbeddingBag(Embedding):
    """`nn.EmbeddingBag`, whose further arguments are in another order: name `padding_idx`."""

    def __init__(self, num_embeddings: int, embedding_dim: int, *, padding_idx: int | None = None) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx)
