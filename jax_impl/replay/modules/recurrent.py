"""Recurrent networks (torch/nn/modules/rnn.py): each tensor is drawn from U(±1/sqrt(hidden_size)), in order."""

import math
from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import DTypeLike

from jax_impl.replay import init
from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.modules.building import Tensors

Shapes = dict[str, tuple[int, ...]]


def _drawn(generator: TorchGenerator, shapes: Shapes, hidden: int, dtype: DTypeLike) -> Tensors:
    bound = 1.0 / math.sqrt(hidden) if hidden > 0 else 0.0
    return {name: init.symmetric(generator, shape, bound, dtype) for name, shape in shapes.items()}


@dataclass(frozen=True)
class _Recurrent:
    """Layers of cells, in one or two directions."""

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    bidirectional: bool = False
    gates: ClassVar[int]

    @property
    def output_size(self) -> int:
        """Numbers that a direction of a layer hands on."""
        return self.hidden_size

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, those of the reverse direction, and so on."""
        shapes: Shapes = {}
        directions = ("", "_reverse") if self.bidirectional else ("",)
        for layer in range(self.num_layers):
            inputs = self.output_size * len(directions) if layer else self.input_size
            for direction in directions:
                shapes |= {f"{name}_l{layer}{direction}": shape for name, shape in self._of_a_layer(inputs).items()}
        return _drawn(generator, shapes, self.hidden_size, dtype)

    def _of_a_layer(self, inputs: int) -> Shapes:
        rows = self.gates * self.hidden_size
        shapes: Shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, self.output_size)}
        return shapes | {"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else shapes


class RNN(_Recurrent):
    """`nn.RNN`."""

    gates = 1


class GRU(_Recurrent):
    """`nn.GRU`."""

    gates = 3


@dataclass(frozen=True)
class LSTM(_Recurrent):
    """`nn.LSTM`, with a projection if `proj_size` is not 0."""

    proj_size: int = 0
    gates = 4

    @property
    def output_size(self) -> int:
        """Numbers that a direction of a layer hands on."""
        return self.proj_size or self.hidden_size

    def _of_a_layer(self, inputs: int) -> Shapes:
        shapes = super()._of_a_layer(inputs)
        return shapes | {"weight_hr": (self.proj_size, self.hidden_size)} if self.proj_size else shapes


@dataclass(frozen=True)
class _Cell:
    """One step of a recurrent network."""

    input_size: int
    hidden_size: int
    bias: bool = True
    gates: ClassVar[int]

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight_ih, weight_hh, bias_ih and bias_hh."""
        rows = self.gates * self.hidden_size
        shapes: Shapes = {"weight_ih": (rows, self.input_size), "weight_hh": (rows, self.hidden_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        return _drawn(generator, shapes, self.hidden_size, dtype)


class RNNCell(_Cell):
    """`nn.RNNCell`."""

    gates = 1


class GRUCell(_Cell):
    """`nn.GRUCell`."""

    gates = 3


class LSTMCell(_Cell):
    """`nn.LSTMCell`."""

    gates = 4
