from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ({"biased": True}, "body.bn.running_var (state after step 1): differs: measured 0.0"),
        ({"updates_statistics": False}, "body.bn.running_mean (state after step 1): was not updated: measured 0."),
        ({"momentum": 0.2}, "body.bn.running_mean (state after step 1): differs: measured 0."),
    ],
)
def test_wrong_running_statistics_fail(pair: Pair, program: dict[str, Any], line: str) -> None:
    failures = pair.verdict(**program).rungs[10].failures
    assert str(failures[0]).startswith(line)


def test_the_first_and_the_last_step_are_compared(pair: Pair) -> None:
    stages = [check.stage for check in pair.verdict().rungs[10].checks]
    assert stages == ["state after step 1"] * 2 + ["state after step 3"] * 2

    def last(raw: Raw) -> None:
        raw["trajectory"][2]["buffers"]["body.bn.running_var"] *= 1.001

    assert "body.bn.running_var (state after step 3): differs" in pair.verdict(last).first_line


@pytest.mark.parametrize("buffers", [{}, {"body.bn.running_mean": np.full(8, np.nan)}])
def test_missing_buffers_and_nan_fail(pair: Pair, buffers: dict[str, Any]) -> None:
    assert not pair.verdict(lambda raw: raw["trajectory"][0].update(buffers=buffers)).passed


def test_counters_are_compared_if_the_port_has_them(pair: Pair) -> None:
    def count(value: int) -> Callable[[Raw], None]:
        def edit(raw: Raw) -> None:
            for number, step in enumerate(raw["trajectory"], start=1):
                step["buffers"]["body.bn.num_batches_tracked"] = np.array(number + value)

        return edit

    assert pair.verdict(count(0)).passed
    assert "num_batches_tracked (state after step 1): differs: measured 1, allowed 0 unequal elements" in (
        pair.verdict(count(1)).first_line
    )


def test_a_model_without_buffers_has_none_to_compare(changed: Callable[..., Pair]) -> None:
    def drop(raw: Raw) -> None:
        for step in raw["trajectory"]:
            step["buffers"] = {}

    rung = changed(drop).verdict().rungs[10]
    assert (rung.state, rung.reason) == ("NOT COMPARED", "the reference has no buffers that change")
