from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"loss": 0.1}, "the loss (evaluation after training): differs"),
        ({"outputs": [np.ones((16, 3))]}, "Net (root) (evaluation after training): output differs"),
        (
            {"outputs": [np.ones((3, 16))]},
            "(evaluation after training): output differs: shape (3, 16) instead of (16, 3)",
        ),
        ({"loss": np.nan}, "the loss (evaluation after training): differs: ours nan"),
    ],
)
def test_another_evaluation_fails(pair: Pair, change: dict[str, Any], line: str) -> None:
    assert line in pair.verdict(lambda raw: raw["after"].update(change)).first_line


def test_no_evaluation_is_not_a_pass(pair: Pair, changed: Callable[..., Pair]) -> None:
    assert "the loss (evaluation after training): differs: ours has none" in (
        pair.verdict(lambda raw: raw.update(after=None)).first_line
    )
    lossless = changed(lambda raw: raw["after"].update(loss=None))
    assert "output differs: ours has none" in lossless.verdict(lambda raw: raw.update(after=None)).first_line


def test_an_output_that_the_port_does_not_return_is_noted(pair: Pair) -> None:
    verdict = pair.verdict(lambda raw: raw["after"].update(outputs=[None]))
    assert verdict.passed
    assert verdict.rungs[12].notes == ("the port returns no output of that shape, so the loss decides",)


@pytest.mark.parametrize(
    ("accuracy", "state", "words"),
    [
        ([0.91, 0.92, 0.915, 0.912, 0.918], "PASS", ""),
        ([0.81, 0.82, 0.815, 0.812, 0.818], "FAIL", "accuracy (5 and 5 runs): the means differ"),
        ([0.70, 0.99, 0.95, 0.60, 0.99], "NOT COMPARED", "too few runs: "),
        ([0.91], "NOT COMPARED", "too few runs: 5 of theirs and 1 of ours, at least 2 are needed"),
        ([], "NOT COMPARED", "no accuracies were recorded: pass accuracy= to jax_impl.parity.save"),
        ([0.91, np.nan, 0.9, 0.9], "FAIL", "accuracy (5 and 4 runs): the means differ"),
    ],
)
def test_accuracies_have_three_outcomes(pair: Pair, accuracy: list[float], state: str, words: str) -> None:
    rung = pair.verdict(lambda raw: raw.update(accuracy=accuracy)).rungs[13]
    assert rung.state == state
    assert words in (str(rung.failures[0]) if rung.failures else rung.reason)


def test_too_few_runs_say_how_many_are_needed(pair: Pair) -> None:
    rung = pair.verdict(lambda raw: raw.update(accuracy=[0.90, 0.93, 0.88]), margin=0.01).rungs[13]
    assert 50 < int(rung.reason.split("about ")[1].split()[0]) < 150  # 2 (0.018 / 0.01)² 3.3²


def test_the_margin_decides(pair: Pair, changed: Callable[..., Pair]) -> None:
    def edit(raw: dict[str, Any]) -> None:
        raw["accuracy"] = [0.90, 0.91, 0.905, 0.902, 0.908]

    states = [pair.verdict(edit, margin=margin).rungs[13].state for margin in (0.05, 0.001)]
    assert states == ["PASS", "FAIL"]
    both = changed(lambda raw: raw.update(accuracy=None)).verdict(lambda raw: raw.update(accuracy=None)).rungs[13]
    assert "torch_ref.record.save and jax_impl.parity.save" in both.reason
