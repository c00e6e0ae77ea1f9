"""LSTM, GRU and RNN layer by layer, so that the dropout between their layers can be recorded."""

from collections.abc import Callable
from typing import Any

import torch

NAMES = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def layered(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a function of torch._VF in the form that calls `torch.dropout` between the layers.

    Args:
        original: `torch._VF.lstm`, `gru`, `rnn_tanh` or `rnn_relu`.
        name: Its name: an LSTM's state is a pair.
    """

    def function(*args: Any) -> Any:
        packed = isinstance(args[3], list | tuple)  # of a PackedSequence, the numbers and the batch sizes come first
        data, state, weights, bias, layers, rate, train, bidirectional, *last = args[:1] + args[2:] if packed else args
        if not rate or not train or layers == 1:
            return original(*args)
        batch_first = bool(last and last[0])
        data = data.transpose(0, 1) if batch_first else data
        states = [part.chunk(layers) for part in (state if name == "lstm" else (state,))]
        size = len(weights) // layers
        finals: list[list[torch.Tensor]] = [[] for _ in states]
        for layer in range(layers):
            begin = tuple(part[layer] for part in states)
            options = (weights[layer * size : (layer + 1) * size], bias, 1, 0.0, train, bidirectional)
            first = begin if name == "lstm" else begin[0]
            given = (data, args[1], first, *options) if packed else (data, first, *options, False)
            data, *ends = original(*given)
            for final, end in zip(finals, ends, strict=True):
                final.append(end)
            data = torch.dropout(data, rate, True) if layer < layers - 1 else data
        data = data.transpose(0, 1) if batch_first else data
        return (data, *(torch.cat(final) for final in finals))

    return function
