"""Every published result comes out over seeds that nothing was tuned on, and every check can fail.

Seeds 0 to 12 and 100 to 105 were looked at while the bands were chosen; 20 and 21 were not.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jax_impl.commands.options import study as options
from jax_impl.data import Mnist
from jax_impl.errors import ArgumentError
from jax_impl.study import presets
from jax_impl.study.presets import PRESETS
from jax_impl.study.presets.preset import Preset, measure_remaining, measured_data, record_key

SEEDS = (20, 21)
Data = dict[str, Any]


def swapped(one: str, other: str) -> Callable[[Data], None]:
    """What each of two parts gave, taken for the other's."""

    def plant(data: Data) -> None:
        data[one], data[other] = data[other], data[one]

    return plant


def put(part: str, *path: Any, value: float | None) -> Callable[[Data], None]:
    """One measured number, another one."""

    def plant(data: Data) -> None:
        place = data[part]
        for step in path[:-1]:
            place = place[step]
        assert place[path[-1]] != value
        place[path[-1]] = value

    return plant


def halved_variance(data: Data) -> None:
    data["tanh lsuv"]["pre_variance"][0] = [0.9 * value for value in data["tanh lsuv"]["pre_variance"][0]]


def scaled_gradients(data: Data) -> None:
    rows = data["linear xavier_uniform"]["measured"]["gradient_variance"]
    for row in rows:
        row[:] = [value * 1.15**place for place, value in enumerate(row)]


# By preset, the fault and which of the preset's checks see it; together they fail every check.
FAULTS: dict[str, list[tuple[Callable[[Data], None], set[int]]]] = {
    "not-all-zero": [
        (swapped("zeros", "constant"), {0, 1, 3, 4, 5}),
        (put("zeros", "kernel_gradient", 1, 2, 0, value=1e-30), {0}),
        (put("zeros", "bias_gradient", 0, 0, -1, value=0.0), {2}),
        (put("constant", "unit_spread", 1, 3, 1, value=1e-5), {6}),
    ],
    "only-the-weights-changed": [
        (swapped("normal", "xavier_uniform"), {0, 1, 2}),
        (put("xavier_uniform", "test_accuracy", 0, -1, value=0.96), {0}),
        (put("normal", "cost", 1, 0, value=None), {1}),
    ],
    "glorot-2010": [
        (swapped("linear xavier_uniform", "linear linear_default"), {0, 2, 3, 4, 6, 7}),
        (swapped("tanh xavier_uniform", "tanh linear_default"), {1, 5}),
        (put("linear xavier_uniform", "measured", "jacobian", 1, 3, value=0.86), {0}),
        (scaled_gradients, {3}),
        (put("sigmoid linear_default", "mean", 0, -1, 3, value=0.5), {8}),
        (put("sigmoid linear_default", "mean", 0, -1, 1, value=0.01), {9}),
    ],
    "he-2015": [
        (swapped("signal xavier_normal", "signal kaiming_normal"), {0}),
        (swapped("30 layers xavier_normal", "30 layers kaiming_normal"), {1, 2}),
        (swapped("10 layers xavier_normal", "10 layers kaiming_normal"), {4}),
        (put("10 layers xavier_normal", "loss", 0, -1, value=None), {3}),
    ],
    "orthogonal": [
        (swapped("64 layers orthogonal", "64 layers lecun_normal"), {0, 1}),
        (put("8 layers orthogonal", "steps", 0, value=None), {0}),
    ],
    "lsuv": [
        (swapped("tanh small_normal", "tanh lsuv"), {0, 1, 2}),
        (swapped("relu orthogonal", "relu lsuv"), {3, 4}),
        (swapped("relu small_normal", "relu lsuv"), {3, 4, 5}),
        (swapped("selu small_normal", "selu lsuv"), {6, 7, 8}),
        (halved_variance, {0}),
    ],
    "pretraining": [
        (put("dbn", "test_accuracy", 1, 1, value=0.9), {0, 1}),
        (put("xavier_uniform", "test_accuracy", 0, 3, value=0.97), {2}),
        (put("kaiming_uniform", "test_accuracy", 1, 3, value=0.99), {3}),
        (swapped("deep dbn", "deep small_normal"), {4, 5}),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)  # one test per preset: measuring takes minutes
def test_a_published_result_comes_out_and_each_of_its_checks_can_fail(name: str, mnist: Mnist, tmp_path: Path) -> None:
    preset = PRESETS[name]
    for _ in measure_remaining(preset, SEEDS, mnist, tmp_path):
        pass
    data = dict(measured_data(preset, SEEDS, tmp_path) or {})
    failed = [
        f"{one.name}: measured {one.measured}, expected {one.band}" for one in preset.checks(data) if not one.passed
    ]
    assert failed == []
    require_theory(preset, data)
    require_that_every_check_sees_a_fault(preset, data)


def require_that_every_check_sees_a_fault(preset: Preset, data: Data) -> None:
    seen: set[int] = set()
    for plant, expected in FAULTS[preset.name]:
        faulty = copy.deepcopy(data)
        plant(faulty)
        failed = {number for number, check in enumerate(preset.checks(faulty)) if not check.passed}
        assert failed == expected
        seen |= failed
    assert seen == set(range(len(preset.checks(data))))


def require_theory(preset: Preset, data: Data) -> None:
    """Theory is close to what the preset measures."""
    for label, part in data.items():
        if "measured" in part and "xavier" in label:
            found, expected = (np.log2(part[side]["variance"])[:, -2].mean() for side in ("measured", "predicted"))
            # log2 of the last hidden layer's variance; 30 ReLU layers of 128 scatter by about 1 between seeds
            assert abs(found - expected) < (2.5 if preset.name == "he-2015" else 0.3), label


def test_the_command_line_knows_every_preset() -> None:
    assert tuple(PRESETS) == options.PRESETS
    assert all(name == preset.name for name, preset in PRESETS.items())
    assert set(FAULTS) == set(PRESETS)


def test_presets_are_named() -> None:
    assert [preset.name for preset in presets.named(["lsuv", "he-2015"])] == ["he-2015", "lsuv"]
    assert presets.named(["all"]) == list(PRESETS.values())
    assert presets.named([]) == []
    with pytest.raises(ArgumentError, match=r"unknown preset 'he': .*allowed are all, glorot-2010, he-2015"):
        presets.named(["he"])


def test_parts_say_what_is_measured(tmp_path: Path) -> None:
    for preset in PRESETS.values():
        assert measured_data(preset, SEEDS, tmp_path) is None
        assert len({record_key(preset, label, SEEDS) for label in preset.parts}) == len(preset.parts)
