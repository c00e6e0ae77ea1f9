"""Recurrent networks (torch/nn/modules/rnn.py): each tensor is drawn from U(±1/sqrt(hidden_size)), in order.

`batch_first`, `dropout` and `nonlinearity` do not matter for the draws. They stand where torch has them.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from jax_impl.replay import init
from jax_impl.replay.arguments import integer
from jax_impl.replay.generator import TorchGenerator
from jax_impl.replay.modules.building import Tensors

Shapes = dict[str, tuple[int, ...]]


def _drawn(generator: TorchGenerator, shapes: Shapes, hidden: int, dtype: DTypeLike) -> Tensors:
    bound = 1.0 / math.sqrt(hidden)
    return {name: init.symmetric(generator, shape, bound, dtype) for name, shape in shapes.items()}


@dataclass(frozen=True)
class _Recurrent:
    """Layers of cells, in one or two directions."""

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = 0
    gates: ClassVar[int]

    def __post_init__(self) -> None:
        """Refuse what torch refuses."""
        integer("input_size", self.input_size, 1)
        integer("hidden_size", self.hidden_size, 1)
        integer("num_layers", self.num_layers, 1)
        integer("proj_size", self.proj_size, 0, self.hidden_size - 1 if isinstance(self, LSTM) else 0)

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, those of the reverse direction, and so on."""
        shapes: Shapes = {}
        directions = ("", "_reverse") if self.bidirectional else ("",)
        outputs = self.proj_size or self.hidden_size
        for layer in range(self.num_layers):
            inputs = outputs * len(directions) if layer else self.input_size
            for direction in directions:
                found = self._of_a_layer(inputs, outputs)
                shapes |= {f"{name}_l{layer}{direction}": shape for name, shape in found.items()}
        return _drawn(generator, shapes, self.hidden_size, dtype)

    def _of_a_layer(self, inputs: int, outputs: int) -> Shapes:
        rows = self.gates * self.hidden_size
        shapes: Shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, outputs)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        return shapes | {"weight_hr": (self.proj_size, self.hidden_size)} if self.proj_size else shapes


class RNN(_Recurrent):
    """`nn.RNN`, whose fourth argument is its nonlinearity."""

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *others: Any,
        **named: Any,
    ) -> None:
        del nonlinearity
        super().__init__(input_size, hidden_size, num_layers, *others, **named)


class GRU(_Recurrent):
    """`nn.GRU`."""

    gates = 3


class LSTM(_Recurrent):
    """`nn.LSTM`, with a projection if `proj_size` is not 0."""

    gates = 4


@dataclass(frozen=True)
class _Cell:
    """One step of a recurrent network."""

    input_size: int
    hidden_size: int
    bias: bool = True
    gates: ClassVar[int]

    def tensors(self, generator: TorchGenerator, dtype: DTypeLike) -> Tensors:
        """Draw weight_ih, weight_hh, bias_ih and bias_hh."""
        rows = self.gates * integer("hidden_size", self.hidden_size, 1)
        shapes: Shapes = {"weight_ih": (rows, self.input_size), "weight_hh": (rows, self.hidden_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        return _drawn(generator, shapes, self.hidden_size, dtype)


@dataclass(frozen=True)
class RNNCell(_Cell):
    """`nn.RNNCell`."""

    nonlinearity: str = "tanh"
    gates = 1


class GRUCell(_Cell):
    """`nn.GRUCell`."""

    gates = 3


class LSTMCell(_Cell):
    """`nn.LSTMCell`."""

    gates = 4
