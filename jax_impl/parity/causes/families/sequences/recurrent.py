"""LSTM, GRU and RNN: gates, biases, directions, initial states."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.recurrent import FORWARDS, TURNED, Cell, Recurrent, run
from jax_impl.parity.causes.families.glue.at_hand import reproduces
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

LARGEST = 2e8  # multiplications of one run, 0.1 s
GATES = {"LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n")}
Change = tuple[str, str, str, dict[str, Any]]  # cause, fix, known threads, and the settings that change


def kind_of(case: ForwardCase) -> str:
    """Return "LSTM", "GRU" or "RNN"; empty if the module is none of torch's."""
    name = case.module.type
    known = name if name in ("LSTM", "GRU", "RNN") else ""
    return known if case.role == "output" and not case.settings.get("proj_size") else ""


def layout(case: ForwardCase, x: Floats) -> Floats:
    """Return an input or output of the module as (n, length, features)."""
    if x.ndim == 2:
        return x[None]
    return x if case.settings.get("batch_first") else x.swapaxes(0, 1)


def how(case: ForwardCase) -> Recurrent | None:
    """Return what the reference's module computes; None if something that it needs is not recorded."""
    kind, x = kind_of(case), case.input
    if not kind or x is None or x.ndim not in (2, 3):
        return None
    layers, both = int(case.settings.get("num_layers", 1)), bool(case.settings.get("bidirectional"))
    cells = []
    for number in range(layers):
        found = [cell(case, f"_l{number}{end}") for end in ("", "_reverse")[: 1 + both]]
        if None in found:
            return None
        cells.append([one for one in found if one is not None])
    n, length, _ = layout(case, x).shape
    hidden = cells[0][0].hidden.shape[1]
    if n * length * layers * (1 + both) * cells[0][0].hidden.size > LARGEST:
        return None
    states = 2 if kind == "LSTM" else 1
    given = [
        one.reshape(-1, n, hidden) for one in case.inputs[1 : 1 + states] if one is not None and one.shape[-1] == hidden
    ]
    zeros = np.zeros((layers * (1 + both), n, hidden))
    initial = tuple(given) if len(given) == states else (zeros,) * states
    candidate = str(case.settings.get("nonlinearity", "tanh")) if kind == "RNN" else "tanh"
    return Recurrent(
        kind=kind, cells=cells, initial=initial, kept=dropped(case, n, length, layers), candidate=candidate
    )


def cell(case: ForwardCase, end: str) -> Cell | None:
    """Return the weights of a layer and direction."""
    weights = [case.parameter(f"weight_{which}{end}") for which in ("ih", "hh")]
    biases = [case.parameter(f"bias_{which}{end}") for which in ("ih", "hh")]
    if weights[0] is None or weights[1] is None:
        return None
    zeros = np.zeros(len(weights[0]))
    first, second = (zeros if bias is None else bias for bias in biases)
    return Cell(input=weights[0], hidden=weights[1], input_bias=first, hidden_bias=second)


def dropped(case: ForwardCase, n: int, length: int, layers: int) -> list[Floats]:
    """Return the dropout between layers. Its masks are recorded with time first."""
    found = []
    for mask in case.masks[: layers - 1]:
        array = case.mask(mask)
        if array is not None and array.shape[:2] == (length, n):
            found.append(array.swapaxes(0, 1) / (1 - (mask.rate or 0.0)))
    return found


def computed(case: ForwardCase, recurrent: Recurrent) -> Floats | None:
    """Return the array of the case, in torch's layout."""
    x = case.input
    if x is None:
        return None
    results = run(recurrent, layout(case, x.astype(np.float64)))
    if case.evidence.index >= len(results):
        return None
    result = results[case.evidence.index]
    if case.evidence.index:
        return result[:, 0] if x.ndim == 2 else result
    return result[0] if x.ndim == 2 else result if case.settings.get("batch_first") else result.swapaxes(0, 1)


def recurrent(case: ForwardCase) -> Iterator[Hypothesis]:
    """Yield the changes of a recurrent module whose own computation is known."""
    known = how(case)
    if known is None or not reproduces(case, computed(case, known)):
        return
    for cause, fix, threads, changed in changes(known):
        test = partial(confirm, case, replace(known, **changed))
        yield Hypothesis(cause=cause, fix=fix, known=threads, test=test)


def confirm(case: ForwardCase, changed: Recurrent) -> Measured | None:
    """Compare the module with other settings with the port; None if it gives the same."""
    result = computed(case, changed)
    return None if reproduces(case, result) else case.target.agrees(result)


def changes(known: Recurrent) -> Iterator[Change]:
    """Yield all changes that apply."""
    yield from biases(known)
    yield from candidates(known)
    yield from orders(known)
    if len(known.cells[0]) == 2:
        backward = "reverse=True, keep_order=True"
        yield "both directions read forwards", backward, "", {"backward": FORWARDS}
        yield "the backward outputs are not turned round again", "keep_order=True", "", {"backward": TURNED}
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


FAMILIES = (Family("recurrent cell", recurrent),)
