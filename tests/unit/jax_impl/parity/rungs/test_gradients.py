from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw


def test_gradients_go_from_the_loss_backwards(pair: Pair) -> None:
    rung = pair.verdict().rungs[8]
    assert [check.module for check in rung.checks] == ["head", "head", "body.bn", "body.bn", "body.fc", "body.fc"]


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ({"summed": True}, "the value (loss, training mode): differs: measured 15, allowed"),
        ({"detached_head": True}, "body.bn.weight (gradients): differs, those of later modules agree: measured 1,"),
    ],
)
def test_the_first_gradient_that_differs(pair: Pair, program: dict[str, Any], line: str) -> None:
    assert pair.verdict(**program).first_line.startswith(f"first divergence: {line}")


def test_a_gradient_that_is_zero_in_theory_passes(pair: Pair) -> None:
    """BatchNorm removes the bias before it: its gradient is rounding, such as 5.6e-19 against -1.4e-19."""
    check = next(one for one in pair.verdict().rungs[8].checks if one.place == "body.fc.bias")
    assert check.unit == "absolute"
    assert 0 < (check.measured or 0) < 1e-15
    assert check.reason.startswith("the value is rounding only")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda g: g * 0, "ours is zero"),
        (lambda g: -g, "ours is theirs with the other sign"),
        (lambda g: np.full(g.shape, 0.25), "ours is constant"),
        (lambda g: g * np.nan, "NaN in 24 of ours and 0 of theirs, of 24 elements"),
        (lambda g: np.where(g == g.max(), np.inf, g), "1 of 24 elements are infinite or fill values on one side"),
        (lambda g: None, "ours has none"),
        (lambda g: g + 0.01, "ours is theirs +0.01"),
    ],
)
def test_a_wrong_gradient_fails(pair: Pair, change: Callable[[np.ndarray], Any], detail: str) -> None:
    def edit(raw: Raw) -> None:
        raw["gradients"]["head.weight"] = change(raw["gradients"]["head.weight"])

    line = pair.verdict(edit).first_line
    assert line.startswith("first divergence: head.weight (gradients): differs")
    assert detail in line


@pytest.mark.parametrize("value", [0.0, np.nan, None])
def test_a_wrong_loss_fails(pair: Pair, value: float | None) -> None:
    assert (
        "the value (loss, evaluation mode)"
        in pair.verdict(lambda raw: raw["forward"]["eval"].update(loss=value)).first_line
    )


def test_leaves_without_gradient_on_both_sides_pass(changed: Callable[..., Pair]) -> None:
    pair = changed(lambda raw: raw["gradients"].update({"head.bias": None}))
    assert pair.verdict(lambda raw: raw["gradients"].update({"head.bias": None})).passed
    assert pair.verdict(lambda raw: raw["gradients"].update({"head.bias": np.zeros(3)})).passed
    line = pair.verdict().first_line
    assert line == "first divergence: head.bias (gradients): differs, those of later modules agree: theirs has none"


def test_no_gradients_are_not_a_pass(pair: Pair, changed: Callable[..., Pair]) -> None:
    assert len(pair.verdict(lambda raw: raw.update(gradients=None)).rungs[8].failures) == 6
    rung = changed(lambda raw: raw.update(gradients=None)).verdict().rungs[8]
    assert (rung.state, rung.reason) == (
        "NOT COMPARED",
        "the reference recorded no gradients: pass loss= to torch_ref.record.save",
    )
