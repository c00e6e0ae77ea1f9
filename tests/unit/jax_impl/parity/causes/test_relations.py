"""What a module hands on in place of the right array is named: sums, residuals, order of modules, axes, factors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jax_impl.parity.causes.families.glue.arrangements import shifted
from jax_impl.parity.causes.families.glue.at_hand import Operand
from jax_impl.parity.causes.families.glue.expressions import Search, fitted, rounded
from tests.unit.jax_impl.parity.causes.toy import Tape, Toy, causes, random


def norm(scale: float) -> Any:
    return lambda x: scale * (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def block(shape: tuple[int, ...], post: bool) -> Toy:
    """A transformer's layer: attention and MLP beside residuals, with a norm after the sum or before the branch."""

    def model(tape: Tape, fault: str) -> None:
        w = random(shape[-1], shape[-1], seed=3)
        kinds = [
            ("norm1", norm(1.5)),
            ("norm2", norm(0.5)),
            ("attn", lambda x: np.tanh(x @ w)),
            ("mlp", lambda x: x @ w.T),
        ]
        first, second, attn, mlp = (lambda x, n=n, f=f: tape.call(f"layer.{n}", f, x) for n, f in kinds)

        def inner(x: np.ndarray) -> np.ndarray:
            one, other = (second, first) if fault == "exchanged" else (first, second)
            if fault == "moved":
                x = one(x + attn(x)) if not post else x + attn(one(x))
            elif fault == "missing":
                x = one(attn(x)) if post else attn(one(x))
            elif fault == "twice":
                x = one(x + x + attn(x)) if post else x + x + attn(one(x))
            else:
                x = one(x + attn(x)) if post else x + attn(one(x))
            return other(x + mlp(x)) if post else x + mlp(other(x))

        tape.call("", lambda x: tape.call("layer", inner, x), random(*shape))

    types = {"": "Net", "layer": "Layer", "layer.norm1": "LayerNorm", "layer.norm2": "LayerNorm"}
    return Toy(model, types | {"layer.attn": "Attention", "layer.mlp": "Mlp"})


@pytest.mark.parametrize("shape", [(3, 4, 6), (2, 5, 8)])
@pytest.mark.parametrize("post", [True, False])
@pytest.mark.parametrize(
    ("fault", "words"),
    [("exchanged", "norm1 and norm2 are exchanged"), ("moved", "norm1 comes "), ("missing", "the residual is missing"),
     ("twice", "the residual is added twice")],
)  # fmt: skip
def test_a_layer_put_together_otherwise(
    tmp_path: Path, shape: tuple[int, ...], post: bool, fault: str, words: str
) -> None:
    found = causes(block(shape, post).verdict(tmp_path, fault))
    assert found and all(one.startswith(words) for one in found)


@pytest.mark.parametrize("post", [True, False])
def test_a_faithful_layer_has_no_cause(tmp_path: Path, post: bool) -> None:
    verdict = block((3, 4, 6), post).verdict(tmp_path)
    assert not verdict.failures and not causes(verdict)


HANDED = {
    "relu before the sum": (lambda y, x: np.maximum(y, 0) + x, "ReLU is applied before the sum instead of after it"),
    "rows exchanged": (lambda y, x: np.maximum(y + x, 0).swapaxes(1, 2), "axes 1 and 2 exchanged"),
    "reversed": (lambda y, x: np.maximum(y + x, 0)[:, ::-1], "reversed along axis 1"),
    "shifted": (lambda y, x: shifted(np.maximum(y + x, 0), 1, 1), "shifted along axis 1 by one place later"),
    "scaled": (lambda y, x: np.maximum(y + x, 0) / np.sqrt(5), "1 / sqrt(5)"),
    "the branch left out": (lambda y, x: np.maximum(x, 0), "conv's output is not added"),
    "another array": (lambda y, x: x, "the input instead of ReLU of (the input + conv's output)"),
}  # fmt: skip


@pytest.mark.parametrize("shape", [(2, 5, 5), (3, 5, 5, 2)])
@pytest.mark.parametrize("fault", HANDED)
def test_another_array_is_handed_on(tmp_path: Path, fault: str, shape: tuple[int, ...]) -> None:
    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> np.ndarray:
            y = tape.call("conv", lambda x: np.cos(3 * x), x)
            hand = HANDED[fault][0] if fault else (lambda y, x: np.maximum(y + x, 0))
            return tape.call("next", np.sin, hand(y, x))

        tape.call("", inner, random(*shape))

    toy = Toy(model, {"": "Net", "conv": "Conv2d", "next": "Conv2d"})
    found = causes(toy.verdict(tmp_path / "wrong", fault))
    assert len(found) == 1 and HANDED[fault][1] in found[0]
    assert not causes(toy.verdict(tmp_path / "right"))


@pytest.mark.parametrize("length", [6, 9])
def test_another_input_of_whole_numbers(tmp_path: Path, length: int) -> None:
    def model(tape: Tape, fault: str) -> None:
        tokens, segments = np.arange(2 * length).reshape(2, length) % 5, np.arange(2 * length).reshape(2, length) // 4

        def inner(tokens: np.ndarray, segments: np.ndarray) -> np.ndarray:
            return tape.call(
                "segment", lambda at: np.sin(at[..., None] * np.arange(1, 4)), tokens if fault else segments
            )

        tape.call("", inner, tokens, segments)

    found = causes(Toy(model, {"": "Bert", "segment": "Embedding"}).verdict(tmp_path, "tokens"))
    assert found == ["it hands segment input 1 instead of input 2"]


@pytest.mark.parametrize(
    ("fault", "reduce", "words"),
    [
        ("last", lambda y: y[:, -1], "the last place of axis 1"),
        ("max", lambda y: y.max(1), "the largest of rnn's output over axis 1"),
    ],
)
def test_another_reduction(tmp_path: Path, fault: str, reduce: Any, words: str) -> None:
    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> np.ndarray:
            y = tape.call("rnn", np.tanh, x)
            return tape.call("fc", lambda z: z * 2, reduce(y) if fault else y.mean(1))

        tape.call("", inner, random(3, 7, 4))

    found = causes(Toy(model, {"": "Net", "rnn": "Encoder", "fc": "Linear"}).verdict(tmp_path, fault))
    assert len(found) == 1 and words in found[0] and "instead of the mean of rnn's output over axis 1" in found[0]


@pytest.mark.parametrize("length", [5, 8])
def test_what_a_linear_function_receives(tmp_path: Path, length: int) -> None:
    """The port's layer is a function, of which only the output is recorded."""
    start = {"fc.weight": random(2, 4, seed=1), "fc.bias": random(2, seed=2)}

    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> np.ndarray:
            y = tape.call("rnn", np.tanh, x)
            z = y[:, -1] if fault else y.mean(1)
            if tape.absent:  # the port: its input is not seen, so the reference's does not take its place
                tape.order += 1
                out = z @ start["fc.weight"].T + start["fc.bias"]
                call = {"module": "fc", "own": "fc", "call": 0, "order": tape.order, "inputs": [], "outputs": [out]}
                tape.calls.append(call)
                return out
            return tape.call("fc", lambda z: z @ start["fc.weight"].T + start["fc.bias"], z)

        tape.call("", inner, random(3, length, 4))

    modules = {"": "Net", "rnn": "Encoder", "fc": "Linear", "none": "Identity"}
    toy = Toy(model, modules, start=start, absent=["none"])
    found = causes(toy.verdict(tmp_path / "wrong", "last"))
    assert found == [
        "fc receives rnn's output at the last place of axis 1 instead of the mean of rnn's output over axis 1"
    ]
    assert not causes(toy.verdict(tmp_path / "right"))


def test_random_numbers_are_no_expression() -> None:
    operands = [Operand(f"x{i}", random(12, 9, seed=i)) for i in range(8)]
    search = Search(operands, (12, 9), np.arange(108), 1e-9)
    assert not search.find(random(108, seed=99))
    found = search.find(search.columns[2] - 0.25 * search.columns[5])
    assert [str(one) for one in found] == ["x2 - 0.25 × x5"]


def test_arrays_are_fitted_to_a_shape() -> None:
    table = random(10, 4)
    np.testing.assert_array_equal(fitted(table, (2, 6, 4)), np.broadcast_to(table[:6], (2, 6, 4)))
    assert fitted(random(3, 4), (5, 7)) is None
    assert rounded(0.333333333333) == 1 / 3
