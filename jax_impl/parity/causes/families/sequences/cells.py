"""What ports get wrong in LSTM, GRU and RNN: biases, functions, gates, directions, initial states."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from jax_impl.parity.causes.cases import Floats
from jax_impl.parity.causes.compute.layers.recurrent import FORWARDS, TURNED, UNTURNED, Recurrent

GATES = {"LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n")}
Change = tuple[str, str, str, dict[str, Any]]  # cause, fix, known threads, and the settings that change


def changes(known: Recurrent) -> Iterator[Change]:
    """Yield all changes that apply."""
    yield from biases(known)
    yield from candidates(known)
    yield from orders(known)
    if len(known.cells[0]) == 2:
        backward = "reverse=True, keep_order=True"
        yield "both directions read forwards", backward, "", {"backward": FORWARDS}
        yield "the backward outputs are not turned round again", "keep_order=True", "", {"backward": TURNED}
        cause = "the backward direction's inputs are not turned round, and its outputs are"
        yield cause, f"{backward}, or turn both: outputs = run(x[:, ::-1])[:, ::-1]", "", {"backward": UNTURNED}
        yield "the two directions are exchanged", "jnp.concatenate([forward, backward], -1)", "", {"exchanged": True}
    if any(one.any() for one in known.initial):
        zeros = tuple(np.zeros_like(one) for one in known.initial)
        yield "the initial state is ignored: zeros instead of what is given", "initial_carry=…", "", {"initial": zeros}
    else:
        ones = tuple(np.ones_like(one) for one in known.initial)
        yield "the initial state is ones instead of zeros", "carry of zeros", "", {"initial": ones}


def biases(known: Recurrent) -> Iterator[Change]:
    """Yield a bias left out."""
    thread = "flax 5594" if known.kind == "GRU" else "flax 3746"
    for cause, names in (
        ("the hidden state's bias (bias_hh) is left out", ("hidden_bias",)),
        ("the input's bias (bias_ih) is left out", ("input_bias",)),
        ("both biases are left out", ("input_bias", "hidden_bias")),
    ):
        cells = [
            [replace(one, **{name: np.zeros_like(getattr(one, name)) for name in names}) for one in layer]
            for layer in known.cells
        ]
        yield cause, "add bias_ih and bias_hh", thread, {"cells": cells}
    if known.kind == "GRU":
        fix = "n = tanh(W_in x + b_in + r * (W_hn h + b_hn))"
        yield "the candidate's bias b_hn is outside the reset gate", fix, thread, {"bias_outside": True}
        cells = [
            [replace(one, hidden_bias=without_candidate(one.hidden_bias)) for one in layer] for layer in known.cells
        ]
        yield "the candidate's bias b_hn is left out", fix, thread, {"cells": cells}


def without_candidate(bias: Floats) -> Floats:
    """Return a GRU's bias with zeros for the candidate."""
    result = bias.copy()
    result[2 * len(bias) // 3 :] = 0
    return result


def candidates(known: Recurrent) -> Iterator[Change]:
    """Yield other functions, and other uses of the gates."""
    for other in ("tanh", "sigmoid", "relu", "none"):
        if other != known.candidate:
            words = f"the candidate state goes through {other} instead of {known.candidate}"
            yield words, f"{known.candidate}", "", {"candidate": other}
    if known.kind == "LSTM":
        yield "1 is added to the forget gate", "sigmoid(f)", "", {"forget": 1.0}
        yield "the output is o * c instead of o * tanh(c)", "h = o * tanh(c)", "", {"output": "none"}
        yield "the output is o * sigmoid(c) instead of o * tanh(c)", "h = o * tanh(c)", "", {"output": "sigmoid"}
    if known.kind == "GRU":
        fix = "h = (1 - z) * n + z * h"
        yield (
            "the update gate is reversed: z n + (1 - z) h instead of (1 - z) n + z h",
            fix,
            "",
            {"update_reversed": True},
        )
        fix = "n = tanh(W_in x + b_in + r * (W_hn h + b_hn))"
        yield "the reset gate is applied to the state before the product", fix, "", {"reset_first": True}


def orders(known: Recurrent) -> Iterator[Change]:
    """Yield other orders of the gates."""
    names = GATES.get(known.kind, ())
    for order in permutations(range(len(names))):
        if order != tuple(range(len(names))):
            ours = ", ".join(names[order.index(place)] for place in range(len(names)))  # gate k takes chunk order[k]
            yield (
                f"gates in the order {ours} instead of {', '.join(names)}",
                f"order {', '.join(names)}",
                "flax 3746",
                {"order": tuple(order)},
            )
