"""Activations in NumPy agree with torch's, and one in the place of another is named, in a module and between two."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from jax_impl.parity.causes.compute.layers.activations import IDENTITY, KNOWN, described, elu, fitted_slope, leaky_relu
from tests.unit.jax_impl.parity.causes.toy import Tape, Toy, causes, random

X = np.concatenate([np.linspace(-9, 9, 101), [-60.0, 0.0, 25.0, 700.0, -700.0]])
TORCH = {
    "ReLU": functional.relu, "the exact GELU": functional.gelu, "SiLU": functional.silu, "tanh": torch.tanh,
    "GELU by tanh": lambda x: functional.gelu(x, approximate="tanh"), "the sigmoid": torch.sigmoid,
    "softplus": functional.softplus, "ReLU6": functional.relu6, "hardswish": functional.hardswish,
    "the hard sigmoid": functional.hardsigmoid, "hardtanh": functional.hardtanh, "mish": functional.mish,
    "softsign": functional.softsign, "the log-sigmoid": functional.logsigmoid, "SELU": functional.selu,
    "ELU": functional.elu, "LeakyReLU of slope 0.01": functional.leaky_relu,
}  # fmt: skip
BY_NAME = {one.name: one for one in KNOWN}


@pytest.mark.parametrize("name", TORCH)
def test_known_activations_are_torch_s(name: str) -> None:
    theirs = TORCH[name](torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(BY_NAME[name].apply(X), theirs, rtol=1e-12, atol=3e-9 if "softplus" in name else 1e-12)


@pytest.mark.parametrize(
    ("kind", "settings", "module"),
    [
        ("LeakyReLU", {"negative_slope": 0.07}, torch.nn.LeakyReLU(0.07)),
        ("ELU", {"alpha": 0.5}, torch.nn.ELU(0.5)),
        ("CELU", {"alpha": 0.5}, torch.nn.CELU(0.5)),
        ("Softplus", {"beta": 2}, torch.nn.Softplus(2)),
        ("Hardtanh", {"min_val": -2.0, "max_val": 0.5}, torch.nn.Hardtanh(-2.0, 0.5)),
    ],
)
def test_a_module_s_settings_decide(kind: str, settings: dict[str, float], module: torch.nn.Module) -> None:
    activation = described(kind, settings)
    assert activation is not None
    np.testing.assert_allclose(activation.apply(X), module(torch.from_numpy(X)).numpy(), rtol=1e-12, atol=3e-9)


def test_a_slope_is_read_from_the_numbers() -> None:
    found = fitted_slope(X, leaky_relu(0.13).apply(X))
    assert found is not None and found.name == "LeakyReLU of slope 0.13"
    assert fitted_slope(X, np.maximum(X, 0)) is None
    assert elu(1.0).name == "ELU"


def between(shape: tuple[int, ...]) -> Toy:
    """fc2(act(fc1(x))), where the activation is no module of the port."""

    def model(tape: Tape, fault: str) -> None:
        x, w = random(*shape), random(shape[-1], shape[-1], seed=1)

        def inner(x: np.ndarray) -> np.ndarray:
            y = tape.call("fc1", lambda x: x @ w, x)
            y = tape.call("act", BY_NAME[fault or "the exact GELU"].apply if fault != "none" else IDENTITY.apply, y)
            return tape.call("fc2", lambda y: y @ w.T, y)

        tape.call("", inner, x)

    return Toy(model, {"": "Net", "fc1": "Linear", "act": "GELU", "fc2": "Linear"}, absent=["act"])


def gated(shape: tuple[int, ...]) -> Toy:
    """down(act(gate(x)) * up(x))"""

    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> np.ndarray:
            gate, up = (
                tape.call(n, lambda x, s=s: x @ random(shape[-1], 6, seed=s), x) for s, n in ((1, "gate"), (2, "up"))
            )
            return tape.call("down", lambda y: y * 2, BY_NAME[fault or "SiLU"].apply(gate) * up)

        tape.call("mlp", inner, random(*shape))

    return Toy(model, {"mlp": "Mlp", "mlp.x": "x", "gate": "Linear", "up": "Linear", "down": "Linear"})


@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 4)])
@pytest.mark.parametrize("make", [between, gated])
@pytest.mark.parametrize("name", ["GELU by tanh", "ReLU", "tanh", "LeakyReLU of slope 0.2", "GELU by the sigmoid"])
def test_another_activation_is_named(tmp_path: Path, make: object, shape: tuple[int, ...], name: str) -> None:
    found = causes(make(shape).verdict(tmp_path, name))  # type: ignore[operator]
    assert len(found) == 1 and found[0].startswith(f"{name} instead of ")


def test_a_forgotten_activation_is_named(tmp_path: Path) -> None:
    assert causes(between((7, 5)).verdict(tmp_path, "none")) == [
        "the activation is forgotten: nothing instead of the exact GELU"
    ]


@pytest.mark.parametrize("make", [between, gated])
def test_a_faithful_port_has_no_cause(tmp_path: Path, make: object) -> None:
    verdict = make((7, 5)).verdict(tmp_path)  # type: ignore[operator]
    assert not verdict.failures and not causes(verdict)
