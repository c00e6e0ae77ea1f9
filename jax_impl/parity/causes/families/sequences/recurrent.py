"""LSTM, GRU and RNN: gates, biases, directions, initial states."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from jax_impl.parity.causes.cases import Floats, ForwardCase
from jax_impl.parity.causes.compute.layers.recurrent import Cell, Recurrent, run
from jax_impl.parity.causes.families.glue.at_hand import reproduces
from jax_impl.parity.causes.families.glue.blocks import has_own
from jax_impl.parity.causes.families.modules.making import about, attempted
from jax_impl.parity.causes.families.modules.unseen import unseen
from jax_impl.parity.causes.families.sequences.cells import changes
from jax_impl.parity.causes.hypotheses import Family, Hypothesis
from jax_impl.parity.measures.tolerances import Measured

LARGEST = 2e8  # multiplications of one run, 0.1 s
Finish = Callable[[Floats], Floats]
FINISHES: tuple[Callable[[Floats, int], Floats], ...] = (  # what models make of outputs; the number is time's axis
    lambda y, _: y,
    lambda y, time: np.asarray(y.take(-1, time)),
    lambda y, time: np.asarray(y.mean(time)),
    lambda y, time: np.asarray(y.max(time)),
    lambda y, time: np.asarray(y.take(0, time)),
)


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
    for inner, finish in made(case):
        known = how(inner)
        if known is None or not reproduces(case, finished(inner, known, finish)):
            continue
        prefix = "" if inner is case else f"{inner.module.path}: "
        passed: list[Floats] = []
        for cause, fix, threads, changed in changes(known):
            test = partial(confirm, case, partial(finished, inner, finish=finish), replace(known, **changed), passed)
            yield Hypothesis(cause=f"{prefix}{cause}", fix=fix, known=threads, test=test)
        return


def made(case: ForwardCase) -> Iterator[tuple[ForwardCase, Finish]]:
    """Yield the recurrent module that makes the array, and what the reference makes of its outputs.

    It is the module that returns the array, or the last one before it, if the port has no counterpart of that: a
    function of its own.
    """
    if kind_of(case):
        yield case, lambda y: y
        return
    before = unseen(case)
    inner = about(case, before[-1]) if before else None
    if inner is not None and kind_of(inner):
        time = 1 if inner.settings.get("batch_first") else 0
        for finish in FINISHES:
            yield inner, lambda y, finish=finish: finish(y, time)  # type: ignore[misc]


def finished(inner: ForwardCase, recurrent: Recurrent, finish: Finish) -> Floats | None:
    """Return what is made of the outputs of a recurrent module."""
    outputs = computed(inner, recurrent)
    return None if outputs is None else attempted(finish, outputs)


def confirm(
    case: ForwardCase, run: Callable[[Recurrent], Floats | None], changed: Recurrent, passed: list[Floats]
) -> Measured | None:
    """Compare the module with other settings with the port; None if it gives the same as it did, or as another did.

    What `passed` before is known by its numbers: the mean over time of two changes may be one.
    """
    result = run(changed)
    if reproduces(case, result) or contradicted(case, changed):
        return None
    found = case.target.agrees(result)
    if result is not None and found is not None and found.passed:
        if any(np.allclose(result, one, rtol=1e-9, atol=1e-12) for one in passed):
            return None
        passed.append(result)
    return found


def contradicted(case: ForwardCase, changed: Recurrent) -> bool:
    """Return whether the outputs of a call, of which the case is about the last state, refute a change."""
    first = replace(case, evidence=replace(case.evidence, index=0))
    if not (kind_of(case) and case.evidence.index and has_own(first)):
        return False
    found = first.target.agrees(computed(first, changed))
    return found is not None and not found.passed


FAMILIES = (Family("recurrent cell", recurrent),)
