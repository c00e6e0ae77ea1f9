"""Recurrent modules in NumPy agree with torch's, and each way of getting them wrong is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jax_impl.parity.causes.compute.layers.recurrent import FORWARDS, TURNED, UNTURNED, Cell, Recurrent, run
from jax_impl.parity.causes.families.sequences.cells import biases
from tests.unit.jax_impl.parity.causes.toy import Tape, Toy, causes, random

INPUTS, HIDDEN = 4, 5
WEIGHTS = {"input": "weight_ih", "hidden": "weight_hh", "input_bias": "bias_ih", "hidden_bias": "bias_hh"}


def of(module: Any, n: int, initial: tuple[np.ndarray, ...] = ()) -> Recurrent:
    """What a module of torch computes."""
    cells = [
        [
            Cell(**{
                name: getattr(module, f"{which}_l{layer}{end}").detach().numpy()
                for name, which in WEIGHTS.items()
            }) for end in ("", "_reverse")[: 1 + module.bidirectional]
        ] for layer in range(module.num_layers)
    ]  # fmt: skip
    kind = type(module).__name__
    zeros = np.zeros((module.num_layers * (1 + module.bidirectional), n, HIDDEN))
    candidate = module.nonlinearity if kind == "RNN" else "tanh"
    return Recurrent(kind=kind, cells=cells, initial=initial or (zeros,) * (1 + (kind == "LSTM")), candidate=candidate)


def module(kind: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return getattr(torch.nn, kind)(INPUTS, HIDDEN, batch_first=True, dtype=torch.float64, **options)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"), [("LSTM", {}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"})]
)
def test_it_is_torch_s(kind: str, options: dict[str, Any], both: bool, layers: int) -> None:
    theirs = module(kind, num_layers=layers, bidirectional=both, **options)
    x = random(3, 6, INPUTS)
    states = tuple(random(layers * (1 + both), 3, HIDDEN, seed=seed) for seed in (1, 2)[: 1 + (kind == "LSTM")])
    given = tuple(map(torch.from_numpy, states))
    y, last = theirs(torch.from_numpy(x), given if kind == "LSTM" else given[0])
    found = run(of(theirs, 3, states), x)
    for mine, reference in zip(found, (y, *(last if kind == "LSTM" else (last,))), strict=True):
        np.testing.assert_allclose(mine, reference.detach().numpy(), atol=1e-12)


FAULTS = {
    "LSTM": [
        ({"order": (0, 2, 1, 3)}, "gates in the order i, g, f, o instead of i, f, g, o"),
        ({"order": (0, 1, 3, 2)}, "gates in the order i, f, o, g instead of i, f, g, o"),
        ({"forget": 1.0}, "1 is added to the forget gate"),
        ({"candidate": "sigmoid"}, "the candidate state goes through sigmoid instead of tanh"),
        ({"output": "none"}, "the output is o * c instead of o * tanh(c)"),
    ],
    "GRU": [
        ({"order": (1, 0, 2)}, "gates in the order z, r, n instead of r, z, n"),
        ({"bias_outside": True}, "the candidate's bias b_hn is outside the reset gate"),
        ({"reset_first": True}, "the reset gate is applied to the state before the product"),
        ({"update_reversed": True}, "the update gate is reversed"),
    ],
    "RNN": [({"candidate": "relu"}, "the candidate state goes through relu instead of tanh")],
}
BOTH = [
    ({"backward": FORWARDS}, "both directions read forwards"),
    ({"backward": TURNED}, "the backward outputs are not turned round again"),
    ({"backward": UNTURNED}, "the backward direction's inputs are not turned round, and its outputs are"),
    ({"exchanged": True}, "the two directions are exchanged"),
]


def toy(kind: str, changed: dict[str, Any], options: dict[str, Any]) -> Toy:
    theirs = module(kind, **options)
    start = {f"rnn.{name}": value.detach().numpy() for name, value in theirs.named_parameters()}
    x, how = random(3, 6, INPUTS), of(theirs, 3)

    def model(tape: Tape, fault: str) -> None:
        used = replace(how, **changed) if fault else how
        tape.call("", lambda x: tape.call("rnn", lambda x: run(used, x), x)[0], x)

    settings = {"rnn": {"batch_first": True, "nonlinearity": "tanh", "proj_size": 0, **{"num_layers": 1}, **options}}
    return Toy(model, {"": "Net", "rnn": kind}, settings, start=start)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize(
    ("kind", "changed", "words"), [(kind, *one) for kind, listed in FAULTS.items() for one in listed]
)
def test_a_mistake_in_a_cell_is_named(
    tmp_path: Path, kind: str, changed: dict[str, Any], words: str, options: dict[str, Any]
) -> None:
    found = causes(toy(kind, changed, options).verdict(tmp_path, "wrong"))
    assert len(found) == 1 and found[0].startswith(words)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize(("changed", "words"), BOTH)
def test_a_mistake_in_directions_is_named(tmp_path: Path, kind: str, changed: dict[str, Any], words: str) -> None:
    assert causes(toy(kind, changed, {"bidirectional": True}).verdict(tmp_path, "wrong")) == [words]


@pytest.mark.parametrize("end", ["all", "last", "mean", "largest"])
@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize(("changed", "words"), BOTH)
def test_a_mistake_in_a_function_is_named_by_what_is_made_of_it(
    tmp_path: Path, kind: str, changed: dict[str, Any], words: str, end: str
) -> None:
    """The port has no module in its place. The mean and the largest over time are the same in any order of time."""
    ends = {"all": lambda y: y, "last": lambda y: y[:, -1], "mean": lambda y: y.mean(1), "largest": lambda y: y.max(1)}
    rnn = toy(kind, {}, {"bidirectional": True})
    x, how = random(3, 6, INPUTS), of(module(kind, bidirectional=True), 3)

    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> Any:
            y = tape.call("rnn", lambda x: run(replace(how, **changed) if fault else how, x), x)[0]
            return tape.call("fc", np.sin, ends[end](y))

        tape.call("", inner, x)

    both = replace(rnn, model=model, modules={"": "Net", "rnn": kind, "fc": "Linear"}, absent=("rnn",))
    unordered = end in ("mean", "largest")
    words = BOTH[0][1] if unordered and changed == {"backward": UNTURNED} else words
    hidden = unordered and changed == {"backward": TURNED}
    assert causes(both.verdict(tmp_path, "wrong")) == ([] if hidden else [f"rnn: {words}"])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_bias_left_out_is_named(tmp_path: Path, kind: str) -> None:
    for number, (cause, *_, changed) in enumerate(biases(of(module(kind), 3))):
        if "outside" not in cause:
            found = causes(toy(kind, changed, {}).verdict(tmp_path / str(number), "wrong"))
            assert found == [cause]


def test_a_faithful_port_has_no_cause(tmp_path: Path) -> None:
    verdict = toy("LSTM", {}, {}).verdict(tmp_path)
    assert not verdict.failures and not causes(verdict)
