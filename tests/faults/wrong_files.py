"""Wrong files for `evaluate`: each is made from a finished run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors.numpy

PARAMS = "params.safetensors"


class Wrong(NamedTuple):
    """A way to spoil a run."""

    prepare: Callable[[Path], list[str]]  # spoils the run folder and returns the arguments of `evaluate`
    names: str  # what the message must name


def missing(run: Path) -> list[str]:
    (run / PARAMS).unlink()
    return ["--params", str(run / PARAMS)]


def folder_without(run: Path) -> list[str]:
    (run / PARAMS).unlink()
    return ["--params", str(run)]


def other_file(name: str) -> Wrong:
    return Wrong(lambda run: ["--params", str(run / name)], "safetensors|network")


def content(change: Callable[[bytes], bytes]) -> Callable[[Path], list[str]]:
    """Change the bytes of the parameter file."""

    def prepare(run: Path) -> list[str]:
        (run / PARAMS).write_bytes(change((run / PARAMS).read_bytes()))
        return ["--params", str(run)]

    return prepare


def tensors(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], list[str]]:
    """Change the tensors of the parameter file. As another program's, it has no checksum."""
    return content(lambda found: safetensors.numpy.save(change(safetensors.numpy.load(found))))


def config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], list[str]]:
    """Change config.json."""

    def prepare(run: Path) -> list[str]:
        path = run / "config.json"
        path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
        return ["--params", str(run)]

    return prepare


def recipe(**changes: object) -> Callable[[Path], list[str]]:
    return config(lambda found: found | {"recipe": found["recipe"] | changes})


def words(*more: str) -> Callable[[Path], list[str]]:
    return lambda run: [*more, "--params", str(run)]


def no_config(run: Path) -> list[str]:
    (run / "config.json").unlink()
    return ["--params", str(run)]


def cast(dtype: Any) -> Callable[[Path], list[str]]:
    return tensors(lambda found: {name: array.astype(dtype) for name, array in found.items()})


def first(found: dict[str, Any], value: float) -> dict[str, Any]:
    array = found["linear1.weight"].copy()
    array[0, 0] = value
    return found | {"linear1.weight": array}


WRONG = {
    "no file": Wrong(missing, "params.safetensors"),
    "a folder without parameters": Wrong(folder_without, "params.safetensors"),
    "an empty name": Wrong(lambda _: ["--params", ""], "params"),
    "a name that is too long": Wrong(lambda run: ["--params", str(run / ("x" * 300))], "read|long"),
    "the metrics": other_file("metrics.jsonl"),
    "the curve": other_file("curve.png"),
    "the settings": other_file("config.json"),
    "an empty file": Wrong(content(lambda _: b""), "safetensors"),
    "half of the file": Wrong(content(lambda found: found[: len(found) // 2]), "safetensors|damaged"),
    "a flipped bit": Wrong(content(lambda found: found[:-1] + bytes([found[-1] ^ 1])), "damaged"),
    "text": Wrong(content(lambda _: b"weights"), "safetensors"),
    "a pickle": Wrong(content(lambda _: b"\x80\x04N."), "safetensors"),
    "NaN": Wrong(tensors(lambda found: first(found, np.nan)), "finite|nan"),
    "infinity": Wrong(tensors(lambda found: first(found, np.inf)), "finite|inf"),
    "float16": Wrong(cast(np.float16), "float16"),
    "bfloat16": Wrong(cast(ml_dtypes.bfloat16), "bfloat16|BF16"),
    "int32": Wrong(cast(np.int32), "int32"),
    "float64 in a float32 run": Wrong(cast(np.float64), "float64"),
    "one float64 among float32": Wrong(
        tensors(lambda found: found | {"linear1.bias": found["linear1.bias"].astype(np.float64)}), "float64"
    ),
    "foreign names": Wrong(
        tensors(lambda found: {name.replace("linear", "fc"): array for name, array in found.items()}), "fc1"
    ),
    "a tensor too many": Wrong(tensors(lambda found: found | {"scale": np.ones(3, np.float32)}), "scale"),
    "a tensor too few": Wrong(
        tensors(lambda found: {name: array for name, array in found.items() if name != "linear2.bias"}), "linear2.bias"
    ),
    "a transposed kernel": Wrong(
        tensors(lambda found: found | {"linear1.weight": np.ascontiguousarray(found["linear1.weight"].T)}),
        "linear1.weight",
    ),
    "an RBM": Wrong(
        tensors(lambda _: {"rbm1.W": np.ones((784, 4), np.float32), "rbm1.visible": np.ones(784, np.float32)}),
        "rbm|name",
    ),
    "settings that are no JSON": Wrong(
        lambda run: [(run / "config.json").write_text("{"), "--params", str(run)][1:], "config.json"
    ),
    "settings that are a list": Wrong(config(lambda _: [1]), "config.json"),
    "settings without a recipe": Wrong(config(lambda found: found | {"recipe": {}}), "config.json"),
    "settings with another depth": Wrong(recipe(layers=[784, 256, 10]), "linear"),
    "settings with an unknown activation": Wrong(recipe(activation="swish"), "config.json|swish"),
    "settings with words for numbers": Wrong(recipe(layers="784-256-10"), "config.json"),
    "another recipe": Wrong(words("mnist_nn_deep"), "mnist_nn_xavier"),
    "another activation": Wrong(words("--activation", "tanh"), "relu"),
    "an unknown activation": Wrong(words("--activation", "swish"), "swish"),
    "no settings and no recipe": Wrong(no_config, "RECIPE"),
}
