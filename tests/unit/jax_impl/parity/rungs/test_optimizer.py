from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (
            {"lr": (0.01, 0.02, 0.01)},
            "all 6 parameters (optimizer, step 2, learning rate 0.01, in ours as if 0.02): update differs: measured 1,",
        ),
        ({"adam_eps": 1e-6}, "all 6 parameters (optimizer, step 1, learning rate 0.01): update differs: measured 0."),
        ({"beta": 0.95}, "body.fc.weight (optimizer, step 1, learning rate 0.01): exp_avg differs: measured 0.5,"),
    ],
)
def test_another_optimizer_fails(pair: Pair, program: dict[str, Any], line: str) -> None:
    failures = pair.verdict(**program).rungs[9].failures
    assert str(failures[0]).startswith(line)


def test_updates_that_are_all_zero_fail(pair: Pair) -> None:
    """The weights were copied after training, or were never trained."""

    def still(raw: Raw) -> None:
        for step in (*raw["injected"], *raw["trajectory"]):
            step["updates"] = {name: array * 0 for name, array in step["updates"].items()}

    rungs = pair.verdict(still).rungs
    assert [len(rungs[place].failures) for place in (9, 11)] == [
        18 + 3,
        15,
    ]  # and all at once; one leaf moves by rounding alone
    assert "ours is zero" in str(rungs[9].failures[0])


def test_fewer_steps_fail(pair: Pair) -> None:
    assert pair.verdict(lambda raw: raw["injected"].pop()).first_line == (
        "first divergence: step 3 (optimizer): is missing: theirs 3, ours 2: pass optimizer= to jax_impl.parity.save"
    )
    assert "step 1 (optimizer): is missing" in pair.verdict(lambda raw: raw.update(injected=None)).first_line


def test_a_missing_update_fails(pair: Pair) -> None:
    line = pair.verdict(lambda raw: raw["injected"][1]["updates"].pop("head.bias")).first_line
    assert line.startswith(
        "first divergence: head.bias (optimizer, step 2, learning rate 0.01): update differs: ours has"
    )


def test_states_that_the_port_does_not_have_are_noted(pair: Pair) -> None:
    def plain(raw: Raw) -> None:
        for step in raw["injected"]:
            step["state"] = {}

    verdict = pair.verdict(plain)
    assert verdict.passed
    note = "states without a counterpart, judged by the updates: exp_avg, exp_avg_sq"
    assert note in verdict.rungs[9].notes
    assert verdict.rungs[9].notes[0] == "theirs: Adam, lr=0.01, clip_norm=None"


def scale(factor: float) -> Callable[[Raw], None]:
    def edit(raw: Raw) -> None:
        for step in raw["injected"]:
            step["updates"] = {name: array * factor for name, array in step["updates"].items()}

    return edit


def test_a_learning_rate_that_is_rounded_to_float32_is_allowed(pair: Pair) -> None:
    """As Optax's schedules compute it under float64."""
    verdict = pair.verdict(scale(1 + 2e-8))
    assert verdict.passed, verdict.first_line
    update = next(check for check in verdict.rungs[9].checks if check.what == "update")
    assert "the port computes in float32 inside" in update.reason
    assert not pair.verdict(scale(1 + 1e-6)).passed


def test_other_differences_of_that_size_are_not(pair: Pair) -> None:
    def noisy(raw: Raw) -> None:
        random = np.random.RandomState(0)
        for step in raw["injected"]:
            for name, array in step["updates"].items():
                step["updates"][name] = array * (1 + 1e-7 * random.randn(*array.shape))

    assert "as small as float32 rounding" in pair.verdict(noisy).first_line

    def flagged(raw: Raw) -> None:
        noisy(raw)
        raw["injected"][0]["float32"] = True

    assert pair.verdict(flagged).passed


def test_two_leaves_that_the_port_adds_into_one_move_together(changed: Callable[..., Pair]) -> None:
    """The sum of two biases moves twice as far in torch as one bias in the port: a difference, and it is shown."""
    random = np.random.RandomState(0)
    moves = random.randn(3, 6)

    def add(raw: Raw) -> None:
        for name in ("a", "b"):
            raw["leaves"].append({"name": name, "kind": "parameter", "shape": [6], "dtype": "float64", "module": ""})
            raw["start"][name] = np.ones(6)
            for step, move in zip(raw["injected"], moves, strict=True):
                step["updates"][name] = move

    def own(factor: float) -> Callable[[Raw], None]:
        def edit(raw: Raw) -> None:
            raw["leaves"].append({"name": "x", "kind": "parameter", "shape": [6], "dtype": "float64"})
            raw["mapping"]["leaves"].append({"theirs": ["a", "b"], "ours": ["x"], "summed": True})
            raw["start"]["a + b"] = np.full(6, 2.0)
            for step, move in zip(raw["injected"], moves, strict=True):
                step["updates"]["a + b"] = factor * move

        return edit

    pair = changed(add)
    assert pair.verdict(own(2.0)).passed
    assert "a + b (optimizer, step 1, learning rate 0.01): update differs" in pair.verdict(own(1.0)).first_line
    assert "ours is 0.5 × theirs" in pair.verdict(own(1.0)).first_line
