"""LSTM, GRU and RNN in NumPy, as torch computes them, with everything that ports get wrong.

x is (n, length, features). The weights of a layer and direction are (gates × hidden, features), with one bias for the
input and one for the hidden state. torch orders the gates i, f, g, o and r, z, n.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
FORWARDS, TURNED, UNTURNED = "forwards", "turned", "unturned"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The weights of one layer in one direction. A bias that is absent is zero."""

    input: Floats
    hidden: Floats
    input_bias: Floats
    hidden_bias: Floats


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """How to compute.

    Attributes:
        kind: "LSTM", "GRU" or "RNN".
        cells: For each layer, one for each direction.
        initial: The states before the first step, each (layers × directions, n, hidden): h, and c of an LSTM.
        kept: For each layer but the last, dropout of its output (n, length, features): 0, or 1 / (1 - rate).
        order: Which chunk of the weights each gate takes.
        forget: Added to the forget gate.
        candidate: Of the candidate state: "tanh", "sigmoid", "relu" or "none".
        output: Of an LSTM's cell state in the output: "tanh", "sigmoid" or "none".
        bias_outside: Whether a GRU adds the candidate's hidden bias outside the reset gate.
        reset_first: Whether a GRU multiplies the state by the reset gate before the product.
        update_reversed: Whether a GRU's update gate weighs the candidate instead of the old state.
        exchanged: Whether the backward direction comes before the forward one.
        backward: "", or "forwards" if the second direction reads forwards, or "turned" if its outputs stay reversed, or
            "unturned" if it reads forwards and its outputs are reversed.
    """

    kind: str
    cells: Sequence[Sequence[Cell]]
    initial: tuple[Floats, ...]
    kept: Sequence[Floats] = ()
    order: tuple[int, ...] = ()
    forget: float = 0.0
    candidate: str = "tanh"
    output: str = "tanh"
    bias_outside: bool = False
    reset_first: bool = False
    update_reversed: bool = False
    exchanged: bool = False
    backward: str = ""


FUNCTIONS = {"tanh": np.tanh, "sigmoid": expit, "relu": lambda x: np.maximum(x, 0), "none": lambda x: x}


def gates(how: Recurrent, cell: Cell, x: Floats, h: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return what the input and the hidden state contribute to each gate, in torch's order."""
    count = {"LSTM": 4, "GRU": 3, "RNN": 1}[how.kind]
    order = how.order or tuple(range(count))
    both = []
    for value, weight, bias in ((x, cell.input, cell.input_bias), (h, cell.hidden, cell.hidden_bias)):
        chunks = np.split(value @ weight.T + bias, count, axis=-1)
        both.append([chunks[place] for place in order])
    return both[0], both[1]


def step(how: Recurrent, cell: Cell, x: Floats, state: tuple[Floats, ...]) -> tuple[Floats, ...]:
    """Return the state after a step."""
    h = state[0]
    left, right = gates(how, cell, x, h)
    function = FUNCTIONS[how.candidate]
    if how.kind == "RNN":
        return (function(left[0] + right[0]),)
    if how.kind == "LSTM":
        i, f, g, o = (a + b for a, b in zip(left, right, strict=True))
        c = expit(f + how.forget) * state[1] + expit(i) * function(g)
        return expit(o) * FUNCTIONS[how.output](c), c
    r, z = (expit(a + b) for a, b in zip(left[:2], right[:2], strict=True))
    place = (how.order or (0, 1, 2))[2]
    bias = np.split(cell.hidden_bias, 3)[place]
    if how.reset_first:
        n = function(left[2] + (r * h) @ np.split(cell.hidden, 3)[place].T + bias)
    elif how.bias_outside:
        n = function(left[2] + bias + r * (right[2] - bias))
    else:
        n = function(left[2] + r * right[2])
    z = 1 - z if how.update_reversed else z
    return ((1 - z) * n + z * h,)


def direction(
    how: Recurrent, cell: Cell, x: Floats, state: tuple[Floats, ...], backward: bool
) -> tuple[Floats, tuple[Floats, ...]]:
    """Return the outputs of one direction, (n, length, hidden), and its last state."""
    reads_backward = backward and how.backward not in (FORWARDS, UNTURNED)
    is_turned = backward and how.backward not in (FORWARDS, TURNED)
    sequence = x[:, ::-1] if reads_backward else x
    outputs = []
    for time in range(x.shape[1]):
        state = step(how, cell, sequence[:, time], state)
        outputs.append(state[0])
    result = np.stack(outputs, axis=1) if outputs else np.zeros((len(x), 0, cell.hidden.shape[1]))
    return (result[:, ::-1] if is_turned else result), state


def run(how: Recurrent, x: Floats) -> tuple[Floats, ...]:
    """Return the outputs (n, length, directions × hidden) and the last states (layers × directions, n, hidden)."""
    last: list[tuple[Floats, ...]] = []
    for number, layer in enumerate(how.cells):
        parts = []
        for second, cell in enumerate(layer):
            state = tuple(one[number * len(layer) + second] for one in how.initial)
            y, state = direction(how, cell, x, state, backward=second == 1)
            parts.append(y)
            last.append(state)
        x = np.concatenate(parts[::-1] if how.exchanged else parts, axis=-1)
        if number < len(how.kept):
            x = x * how.kept[number]
    return x, *(np.stack(states) for states in zip(*last, strict=True))
