"""The command `evaluate`. tests/unit/test_commands.py evaluates what the other package wrote."""

import json
from pathlib import Path

import pytest

from tests.unit.jax_impl.commands.conftest import Call


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_prints_the_accuracy_of_the_last_epoch(dtype: str, call: Call, tmp_path: Path) -> None:
    command = ("train", "--epochs", 2, "--dtype", dtype, "--activation", "tanh", "--out", tmp_path)
    assert call(*command)[0] == 0
    last = json.loads((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    expected = [f"Accuracy: {last['test_accuracy']:.4f}"]
    said = "mnist_nn_xavier, seed 777, activation tanh, epochs 2" + (", dtype float64" if dtype == "float64" else "")
    for params in (tmp_path, tmp_path / "params.safetensors"):
        for words in ((), ("mnist_nn_xavier",), ("--activation", "tanh")):
            found = call("evaluate", *words, "--params", params)
            assert found == (0, expected, f"evaluating {said}, trained by jax_impl\n")
    (tmp_path / "config.json").unlink()
    evaluate = ("evaluate", "mnist_nn_xavier", "--params", tmp_path)
    assert call(*evaluate, "--activation", "tanh")[:2] == (0, expected)
    code, lines, err = call(*evaluate)
    assert (code, lines == expected) == (0, False)  # the recipe's ReLU is another network
    assert err == "note: evaluating mnist_nn_xavier with relu: no config.json says how it was trained\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("mnist_nn",), 2, "--params"),
        (("mnist_nn_hee", "--params", "absent"), 2, "unknown recipe 'mnist_nn_hee': did you mean 'mnist_nn_he'?"),
        (("mnist_nn", "--params", "absent", "--activation", "rleu"), 2, "unknown activation 'rleu'"),
        (("mnist_nn", "--params", "absent"), 1, "cannot read absent: No such file or directory; name a params.safe"),
        (("mnist_nn", "--params", "text"), 1, "text is not a safetensors file ("),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_a_mistake_gets_one_line(
    words: tuple[str, ...], code: int, message: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("not parameters", encoding="utf-8")
    found, lines, err = call("evaluate", *words)
    assert (found, lines, err.count("\n")) == (code, [], 1)
    assert err.startswith("error: ")
    assert message in err
