"""`evaluate` of both packages: the network is the one that was trained, or the command is refused in one line."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import jax_impl.commands.main
import torch_ref.__main__
import torch_ref.runs
from jax_impl import recipes
from jax_impl.storage import tensors as tensor_files

MAINS: dict[str, Callable[[], int]] = {
    "jax_impl": jax_impl.commands.main.main,
    "torch_ref": torch_ref.__main__.main,
}
Call = Callable[..., tuple[int, str, str]]
Tensors = dict[str, np.ndarray]
TANH = recipes.named("mnist_nn_xavier").with_changes(activation="tanh", epochs=1)


@pytest.fixture(params=MAINS)
def evaluate(
    request: pytest.FixtureRequest,
    mnist_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    """A function that calls `evaluate` of one package: exit code, standard output and error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        words = ("evaluate", *arguments, "--data-dir", mnist_dir)
        monkeypatch.setattr(sys, "argv", [request.param, *map(str, words)])
        monkeypatch.setattr(jax_impl.commands.main, "use_cache", lambda: None)
        try:
            code = MAINS[request.param]()
        finally:
            jax.config.update("jax_enable_x64", False)  # the other tests' setting
        return code, *capsys.readouterr()

    return run


def network(recipe: recipes.Recipe = TANH, dtype: str | None = None) -> Tensors:
    """Parameters with which the activation matters: the answer is 1 only because an activation bends."""
    draw = np.random.default_rng(1)
    found: Tensors = {}
    for number, (fan_in, fan_out) in enumerate(zip(recipe.layers, recipe.layers[1:], strict=False), start=1):
        scale = np.sqrt(6 / (fan_in + fan_out))
        found[f"linear{number}.weight"] = draw.uniform(-scale, scale, (fan_out, fan_in)).astype(dtype or recipe.dtype)
        found[f"linear{number}.bias"] = np.full(fan_out, -0.5, dtype or recipe.dtype)
    return found


def written(
    out: Path, tensors: Tensors | None = None, recipe: recipes.Recipe = TANH, package: str = "jax_impl", **changes: Any
) -> Path:
    """A run folder with these parameters, and a config.json whose recipe has these changes; None removes a setting."""
    out.mkdir(parents=True, exist_ok=True)
    tensor_files.write(out / "params.safetensors", network(recipe) if tensors is None else tensors)
    settings = {name: value for name, value in (asdict(recipe) | changes).items() if value is not None}
    (out / "config.json").write_text(json.dumps({"package": package, "recipe": settings}), encoding="utf-8")
    return out


def one_line(found: tuple[int, str, str]) -> tuple[int, str]:
    """The exit code and the message of a refused command."""
    code, out, err = found
    assert out == ""
    assert err.splitlines()[-1].startswith("error: ")
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    return code, err.splitlines()[-1].removeprefix("error: ")


@pytest.mark.slow
@pytest.mark.parametrize("package", MAINS)
def test_the_activation_is_the_run_s(package: str, evaluate: Call, tmp_path: Path) -> None:
    run = written(tmp_path / "run", package=package)
    code, out, err = evaluate("--params", run)
    assert (code, err) == (
        0,
        f"evaluating mnist_nn_xavier, seed 777, activation tanh, epochs 1, trained by {package}\n",
    )
    assert evaluate("mnist_nn_xavier", "--params", run / "params.safetensors")[:2] == (0, out)
    (run / "config.json").unlink()
    assert evaluate("mnist_nn_xavier", "--activation", "tanh", "--params", run)[:2] == (0, out)
    code, other, err = evaluate("mnist_nn_xavier", "--params", run)
    assert (code, err) == (
        0,
        "note: evaluating mnist_nn_xavier with relu: no config.json says how it was trained\n",
    )
    assert other != out  # so the test can fail


def test_every_recipe_and_initialiser_of_either_package_is_evaluated(evaluate: Call, tmp_path: Path) -> None:
    """torch has no `lecun_normal`, and nobody must draw the initial weights a billion times."""
    deep = recipes.named("mnist_nn_deep").with_changes(init="lecun_normal", init_passes=10**9, dtype="float64")
    assert evaluate("--params", written(tmp_path, recipe=deep))[0] == 0


def test_a_contradiction_is_refused(evaluate: Call, tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    file = run / "params.safetensors"
    code, line = one_line(evaluate("mnist_nn", "--params", run))
    assert code == 2
    assert line.startswith(f"{file} was trained with mnist_nn_xavier, not mnist_nn: leave RECIPE out")
    code, line = one_line(evaluate("--activation", "relu", "--params", file))
    assert code == 2
    assert line.startswith(f"{file} was trained with tanh, not relu: leave --activation out")


def test_a_config_of_another_run_is_refused(evaluate: Call, tmp_path: Path) -> None:
    deep = written(tmp_path / "deep", network(recipes.named("mnist_nn_deep")))
    code, line = one_line(evaluate("--params", deep))
    assert code == 1
    assert "config.json beside it" in line
    assert "linear1.bias must be (256,)" in line
    assert line.endswith("restore it, or put the parameters into a folder without it and name RECIPE")
    code, line = one_line(evaluate("--params", written(tmp_path / "double", network(dtype="float64"))))
    assert code == 1
    assert re.search("float64.*float32|float32.*float64", line)
    machines = written(tmp_path / "machines")
    (machines / "config.json").write_text('{"package": "jax_impl", "hidden": [500]}', encoding="utf-8")
    assert one_line(evaluate("--params", machines))[0] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": None},
        {"activation": "rleu"},
        {"activation": ["tanh"]},
        {"layers": None},
        {"layers": []},
        {"layers": "784"},
        {"layers": [784, 256.0, 256, 10]},
        {"layers": [784, True, 256, 10]},
        {"learning_rate": float("nan")},
        {"learning_rate": "0.1"},
        {"epochs": True},
        {"seed": -1},
        {"dtype": "float16"},
        {"name": 5},
        {"new": "setting"},
    ],
    ids=str,
)
def test_an_impossible_recipe_is_refused(changes: dict[str, Any], evaluate: Call, tmp_path: Path) -> None:
    found = evaluate("--params", written(tmp_path, **changes))
    code, line = one_line(found)
    assert (code, line.startswith(f"the recipe in {tmp_path / 'config.json'} is missing or damaged: ")) == (1, True)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"3", b'{"package": "jax_impl", "re'])
def test_a_damaged_config_is_refused(content: bytes, evaluate: Call, tmp_path: Path) -> None:
    (written(tmp_path) / "config.json").write_bytes(content)
    for words in ((), ("mnist_nn_xavier",)):
        code, line = one_line(evaluate(*words, "--params", tmp_path))
        assert code == 1
        assert line.startswith(str(tmp_path / "config.json"))
        assert line.endswith("and name RECIPE")


def test_a_config_that_cannot_be_read_is_refused(evaluate: Call, tmp_path: Path) -> None:
    (written(tmp_path) / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    assert one_line(evaluate("--params", tmp_path))[1].startswith(f"cannot read {tmp_path / 'config.json'}: Is a direc")


def test_another_program_s_config_is_ignored_with_a_note(evaluate: Call, tmp_path: Path) -> None:
    (written(tmp_path) / "config.json").write_text('{"model_type": "mlp"}', encoding="utf-8")
    code, line = one_line(evaluate("--params", tmp_path))
    assert (code, "has no config.json of a run beside it: name the RECIPE" in line) == (2, True)
    code, _, err = evaluate("mnist_nn_xavier", "--activation", "tanh", "--params", tmp_path)
    assert code == 0
    assert err.startswith(f"note: {tmp_path / 'config.json'} is not that of a run and is ignored\n")


def test_without_a_config_the_recipe_is_needed_and_its_layers_must_fit(evaluate: Call, tmp_path: Path) -> None:
    (written(tmp_path) / "config.json").unlink()
    code, line = one_line(evaluate("--params", tmp_path))
    assert (code, "name the RECIPE that it was trained with" in line) == (2, True)
    code, line = one_line(evaluate("mnist_nn_deep", "--params", tmp_path))
    assert (code, "holds another network: linear1.bias must be (512,)" in line) == (1, True)


def test_a_file_without_a_checksum_gets_a_note(evaluate: Call, tmp_path: Path) -> None:
    file = written(tmp_path) / "params.safetensors"
    safetensors.numpy.save_file(network(), file)
    code, _, err = evaluate("--params", file)
    assert (code, f"note: {file} has no checksum, so damage to it cannot be noticed\n" in err) == (0, True)


def changed(**changes: Any) -> Tensors:
    return network() | {name.replace("_", "."): value for name, value in changes.items()}


def cast(dtype: object) -> Tensors:
    return {name: tensor.astype(dtype) for name, tensor in network().items()}  # type: ignore[call-overload]


CONVERT = "convert all to float32"
WRONG = {
    "nan": (changed(linear2_bias=np.full(256, np.nan, np.float32)), "NaN or infinite values, in linear2.bias"),
    "infinite": (changed(linear1_bias=np.full(256, -np.inf, np.float32)), "NaN or infinite values, in linear1.bias"),
    "float16": (cast(np.float16), f"only float32 or only float64, got float16: {CONVERT}"),
    "integers": (cast(np.int8), f"only float32 or only float64, got int8: {CONVERT}"),
    "bools": (cast(bool), f"got bool: {CONVERT}"),
    "complex": (cast(np.complex64), f"got complex64: {CONVERT}"),
    "mixed": (changed(linear1_bias=np.zeros(256)), f"got float32, float64: {CONVERT}"),
    "foreign": ({"fc1.weight": np.zeros((1, 1), np.float32)}, "other names, such as 'fc1.weight': rename them to"),
    "one foreign": (changed(step=np.zeros(1, np.float32)), "other names, such as 'step': rename them to linear1.wei"),
    "number 0": ({"linear0.weight": np.zeros((1, 1), np.float32)}, "such as 'linear0.weight': rename them"),
    "long name": ({"x\n" * 5000: np.zeros(1, np.float32)}, "other names, such as 'x"),
    "machines": ({"rbm1.weight": np.zeros((1, 1), np.float32)}, "holds RBMs, which classify nothing"),
    "checkpoint": ({"state.params.linear1.kernel": np.zeros(1, np.float32)}, "is a checkpoint: name the params.safe"),
    "nothing": ({}, "holds no tensors: name the params.safetensors of a run"),
}


@pytest.mark.parametrize(("tensors", "message"), WRONG.values(), ids=WRONG)
def test_other_parameters_get_the_right_advice(tensors: Tensors, message: str, evaluate: Call, tmp_path: Path) -> None:
    run = written(tmp_path, tensors)
    safetensors.numpy.save_file(tensors, run / "params.safetensors")
    for words in ((), ("mnist_nn_deep",)):  # what the file is comes first
        code, line = one_line(evaluate(*words, "--params", run))
        assert (code, message in line) == (1, True), line


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_a_file_is_converted_as_the_message_and_the_page_say(
    dtype: object, evaluate: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    safetensors.numpy.save_file(cast(dtype), "old.safetensors")
    _, line = one_line(evaluate("mnist_nn_xavier", "--params", "old.safetensors"))
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text(encoding="utf-8")
    programs = [re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]]
    programs.append(line.partition("in Python: ")[2])
    for program in programs:
        Path("new.safetensors").unlink(missing_ok=True)
        exec(program, {})
        assert evaluate("mnist_nn_xavier", "--params", "new.safetensors")[0] == 0


def test_other_files_and_folders_of_a_run_are_refused(evaluate: Call, tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    (run / "metrics.jsonl").write_text('{"epoch": 1}\n', encoding="utf-8")
    (run / "curve.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    (run / "empty").touch()
    for name in ("metrics.jsonl", "curve.png", "empty", "config.json"):
        code, line = one_line(evaluate("--params", run / name))
        assert (code, "safetensors file (" in line) == (1, True)
    (run / "checkpoints").mkdir()
    code, line = one_line(evaluate("--params", run / "checkpoints"))
    assert (code, line) == (
        1,
        f"{run / 'checkpoints'} holds no params.safetensors: name the folder of a run that has finished an epoch, "
        "or a file",
    )
    for path in ("x" * 300, run / "absent", run / "curve.png" / "below"):
        code, line = one_line(evaluate("--params", path))
        assert (code, line.startswith(f"cannot read {path}: ")) == (1, True)
