"""Dropout in the wrong mode, at another rate, unscaled, inverted or missing is named; so are settings that differ."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jax_impl.parity.causes.diagnosing import merge
from tests.unit.jax_impl.parity.causes.toy import Tape, Toy, causes, random
from tests.unit.jax_impl.parity.synthetic import Pair

RATE = 0.25


def dropped(x: np.ndarray, kept: np.ndarray, fault: str, training: bool) -> np.ndarray:
    """Dropout of x by a mask, with a mistake."""
    faults = {
        "off": x, "unscaled": x * kept, "inverted": x * (1 - kept) / (1 - RATE), "rate": x * kept / 0.6,
        "by the rate": x * kept / RATE,
    }  # fmt: skip
    if not training:
        own = np.random.default_rng(5).random(x.shape) >= RATE
        return x * own / (1 - RATE) if fault == "on" else x
    return faults.get(fault, x * kept / (1 - RATE))


def layer(shape: tuple[int, ...], own_rate: float = RATE) -> Toy:
    """fc(drop(x)), with a module for dropout."""

    def model(tape: Tape, fault: str) -> None:
        kept = tape.mask("drop", shape, RATE) if tape.training else np.ones(shape)

        def inner(x: np.ndarray) -> np.ndarray:
            y = tape.call("drop", lambda x: dropped(x, kept, fault, tape.training), x)
            return tape.call("fc", np.sin, y)

        tape.call("", inner, random(*shape))

    settings = {"drop": {"p": RATE}}, {"drop": {"rate": own_rate}}
    return Toy(model, {"": "Net", "drop": "Dropout", "fc": "Linear"}, *settings)


@pytest.mark.parametrize("shape", [(20, 6), (4, 7, 5)])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("off", "dropout is off in training mode"),
        ("unscaled", "what dropout keeps is not scaled by 1 / (1 - rate)"),
        ("inverted", "the dropout mask is inverted"),
        ("by the rate", "what dropout keeps is divided by the rate"),
        ("on", "dropout is on in evaluation mode"),
        ("rate", "dropout rate 0.4 instead of 0.25"),
    ],
)
def test_a_layer_s_mistake_is_named(tmp_path: Path, shape: tuple[int, ...], fault: str, cause: str) -> None:
    assert causes(layer(shape, 0.4 if fault == "rate" else RATE).verdict(tmp_path, fault)) == [cause]


@pytest.mark.parametrize(
    ("shape", "own", "cause"),
    [
        ((6, 20), (1, 20), "one dropout mask for all examples instead of one for each"),
        ((4, 7, 5), (4, 1, 5), "one dropout mask for all of axis 1 instead of one for each"),
        ((4, 3, 5, 5), (1, 1, 5, 5), "one dropout mask for all of axis 0 and 1 instead of one for each"),
    ],
)
def test_a_mask_that_is_shared_is_named(
    tmp_path: Path, shape: tuple[int, ...], own: tuple[int, ...], cause: str
) -> None:
    def model(tape: Tape, fault: str) -> None:
        kept = np.ones(shape)
        if tape.training:
            kept = kept * tape.mask("drop", own if fault else shape, RATE, seed=len(fault))

        def inner(x: np.ndarray) -> np.ndarray:
            return tape.call("fc", np.sin, tape.call("drop", lambda x: dropped(x, kept, "", tape.training), x))

        tape.call("", inner, random(*shape))

    settings = {"drop": {"p": RATE}}, {"drop": {"rate": RATE}}
    toy = Toy(model, {"": "Net", "drop": "Dropout", "fc": "Linear"}, *settings)
    assert causes(toy.verdict(tmp_path, "shared")) == [cause]


@pytest.mark.parametrize(
    ("shape", "axes", "whole"), [((6, 20), [0], "all examples"), ((4, 7, 5), [1], "all of axis 1")]
)
def test_a_key_that_serves_a_whole_axis_is_named(
    tmp_path: Path, shape: tuple[int, ...], axes: list[int], whole: str
) -> None:
    """The mask has the right size, so that the reference's takes its place: only the port's own one shows it."""

    def model(tape: Tape, fault: str) -> None:
        kept = tape.mask("drop", shape, RATE) if tape.training else np.ones(shape)
        if fault and tape.training:
            tape.masks[-1]["repeated"] = axes
        tape.call("", lambda x: tape.call("drop", lambda x: dropped(x, kept, "", tape.training), x), random(*shape))

    toy = Toy(model, {"": "Net", "drop": "Dropout"}, {"drop": {"p": RATE}}, {"drop": {"rate": RATE}})
    assert causes(toy.verdict(tmp_path / "one", "key")) == [f"one dropout mask for {whole} instead of one for each"]
    assert not toy.verdict(tmp_path / "each").failures


def test_a_rate_that_no_setting_shows_is_read_from_the_numbers(tmp_path: Path) -> None:
    assert causes(layer((20, 6)).verdict(tmp_path, "rate")) == ["dropout rate 0.4 instead of 0.25"]


def test_a_rate_of_zero(tmp_path: Path) -> None:
    assert causes(layer((20, 6), 0.0).verdict(tmp_path, "off")) == ["dropout rate 0 instead of 0.25"]


def test_another_rate_in_the_settings_alone_is_no_cause(tmp_path: Path) -> None:
    """The numbers refute it: the module returns what the reference does."""
    verdict = layer((20, 6), 0.4).verdict(tmp_path)
    assert verdict.failures and not causes(verdict)


@pytest.mark.parametrize("shape", [(20, 6), (4, 7, 5)])
def test_dropout_that_is_a_function_is_missing(tmp_path: Path, shape: tuple[int, ...]) -> None:
    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> np.ndarray:
            y = tape.call("fc1", lambda x: x**3, x)
            y = np.maximum(y, 0)
            if tape.training and not fault:
                y = y * tape.mask("", shape, RATE) / (1 - RATE)
            return tape.call("fc2", np.sin, y)

        tape.call("", inner, random(*shape))

    found = causes(Toy(model, {"": "Net", "fc1": "Linear", "fc2": "Linear"}).verdict(tmp_path, "missing"))
    assert "dropout is missing: it hands fc2 ReLU of fc1's output" in " ".join(found)


@pytest.mark.parametrize(
    ("program", "cause"),
    [
        ({"eps": 1e-3}, "epsilon 0.001 instead of 1e-05"),
        ({"rate": 0.3}, "dropout rate 0.3 instead of 0.5"),
        ({"momentum": 0.9}, "momentum, inverted, 0.9 (in Flax 0.1) instead of 0.1"),
        ({"slope": 0.1}, "LeakyReLU of slope 0.1 instead of ReLU"),
    ],
)
def test_a_setting_of_a_whole_network_is_named(tmp_path: Path, program: dict[str, float], cause: str) -> None:
    assert cause in causes(Pair(tmp_path).verdict(**program))


def test_a_momentum_is_told_once(tmp_path: Path) -> None:
    """The settings show it, and so do the running statistics."""
    (one,) = [one for one in Pair(tmp_path).verdict(momentum=0.9).diagnosis.causes if "momentum" in one.cause]
    assert one.place == ("body.bn", "body.bn.running_mean")
    biased = replace(one, cause=f"{one.cause}, and the biased running variance", place=("body.bn.running_var",))
    found = {(one.cause, one.fix): one}
    merge(found, biased)
    assert [(each.cause, each.place) for each in found.values()] == [(biased.cause, (*one.place, *biased.place))]
    found = {(one.cause, one.fix): one}
    merge(found, replace(biased, place=("other.running_var",)))
    assert len(found) == 2


@pytest.mark.parametrize("fault", ["missing", "more"])
def test_masks_that_fall_to_other_places_are_told_if_nothing_else_is(tmp_path: Path, fault: str) -> None:
    """A dropout that the port lacks moves the masks of the next one; a mask that it draws for nothing does, too."""
    shape = (20, 6)

    def model(tape: Tape, fault: str) -> None:
        def inner(x: np.ndarray) -> np.ndarray:
            if tape.training and fault != "missing":
                x = x * tape.mask("", shape, RATE) / (1 - RATE)
            if tape.training and fault == "more":
                tape.mask("", shape, RATE)
            y = tape.call("fc1", lambda x: x**3, x)
            kept = tape.mask("drop", shape, RATE) if tape.training else np.ones(shape)
            y = tape.call("drop", lambda y: y * kept / (1 - RATE) if tape.training else y, y)
            return tape.call("fc2", np.sin, y)

        tape.call("", inner, random(*shape))

    settings = {"drop": {"p": RATE}}, {"drop": {"rate": RATE}}
    toy = Toy(model, {"": "Net", "fc1": "Linear", "drop": "Dropout", "fc2": "Linear"}, *settings)
    found = causes(toy.verdict(tmp_path, fault))
    if fault == "missing":
        assert len(found) == 1 and found[0].startswith(
            "dropout is missing: it hands fc1 the input instead of dropout of"
        )
    else:
        assert found == ["3 dropout masks are drawn in training instead of 2, so that masks fall to other places"]


def test_a_faithful_network_has_no_cause(tmp_path: Path) -> None:
    verdict = Pair(tmp_path).verdict()
    assert verdict.passed and not causes(verdict)
