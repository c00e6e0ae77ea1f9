from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jax_impl import parity
from jax_impl.parity.verdict import Check, Rung, Verdict, told
from tests.unit.jax_impl.parity.network import PARAMETERS
from tests.unit.jax_impl.parity.synthetic import Pair, Raw


def test_a_correct_port_passes_every_rung(pair: Pair) -> None:
    verdict = pair.verdict()
    assert verdict.first_line == "PASS: 14 of 14 rungs agree"
    assert [rung.number for rung in verdict.rungs] == list(range(1, 15))
    assert verdict.require() is verdict
    assert (verdict.passed, verdict.first, verdict.failures) == (True, None, ())


@pytest.mark.parametrize("seed", range(10))
def test_rounding_errors_never_fail(pair: Pair, seed: int) -> None:
    verdict = pair.verdict(jitter=100 + seed)
    assert verdict.passed, verdict.first_line


FIRST_LINES = {
    "eps": ({"eps": 1e-3}, "body.bn (settings): epsilon differs: theirs eps=1e-05, ours epsilon=0.001"),
    "momentum": (
        {"momentum": 0.9},
        "body.bn (settings): momentum differs: theirs momentum=0.1, ours momentum=0.1, which is 0.9 in torch's meaning",
    ),
    "between": (
        {"between": 1.2},
        "body (forward, training mode): what it hands to bn differs (after fc): measured 0.2, allowed 3.9e-14 "
        "(ours is 0.8 × theirs; largest at [5, 7]: ours 8.754, theirs 10.94)",
    ),
    "slope": (
        {"slope": 0.5},
        "body (forward, training mode): what it hands to drop differs (after bn and relu): measured 0.36, "
        "allowed 3.5e-14 (largest at [1, 6]: ours -2.058, theirs -0)",
    ),
    "evaluation": (
        {"evaluates_in_training_mode": True},
        "body.bn (forward, evaluation mode): input and weights agree, output differs: measured 0.78, allowed 4.8e-14 "
        "(largest at [5, 2]: ours -3.31, theirs -13.68)",
    ),
    "summed": (
        {"summed": True},
        "the value (loss, training mode): differs: measured 15, allowed 4.2e-14 "
        "(ours 32.17, theirs 2.01: ours is 16 × theirs)",
    ),
    "detached": (
        {"detached_head": True},
        "body.bn.weight (gradients): differs, those of later modules agree: measured 1, allowed 6e-14 "
        "(ours is zero; largest at [3]: ours 0, theirs 0.3471)",
    ),
    "rate": (
        {"lr": (0.01, 0.01, 0.02)},
        "all 6 parameters (optimizer, step 3, learning rate 0.01, in ours as if 0.02): update differs: measured 1, "
        "allowed 7.1e-13 (most in head.bias: ours is 2 × theirs; largest at [1]: ours -0.01402, theirs -0.007008)",
    ),
    "biased": (
        {"biased": True},
        "body.bn.running_var (state after step 1): differs: measured 0.029, allowed 3.8e-14 "
        "(largest at [7]: ours 3.053, theirs 3.152)",
    ),
    "never": (
        {"updates_statistics": False},
        "body.bn.running_mean (state after step 1): was not updated: measured 0.26, allowed 2.8e-14 "
        "(largest at [0]: ours 0.698, theirs 0.3966)",
    ),
    "mask": (
        {"same_mask": True},
        "body.drop (training, all steps): the port draws the same mask in every step: masks that differ: 1 of 3 steps",
    ),
}


@pytest.mark.parametrize("name", FIRST_LINES)
def test_the_first_line_says_what_is_wrong(pair: Pair, name: str) -> None:
    program, line = FIRST_LINES[name]
    assert pair.verdict(**program).first_line == f"first divergence: {line}"


def zeros(raw: Raw) -> None:
    for one in raw["forward"].values():
        for role in ("free", "forced"):
            for call in one[role]:
                call["outputs"] = [array * 0 for array in call["outputs"]]


def constants(raw: Raw) -> None:
    raw["after"]["outputs"] = [np.full((16, 3), raw["after"]["outputs"][0].mean())]


def trained_elsewhere(raw: Raw) -> None:
    """The port copied the reference's weights after training: its updates are zero."""
    for step in (*raw["injected"], *raw["trajectory"]):
        step["updates"] = {name: array * 0 for name, array in step["updates"].items()}


def empty(raw: Raw) -> None:
    raw["forward"] = {"train": None, "eval": None}
    for part in ("gradients", "injected", "trajectory", "after", "own_masks", "fresh", "accuracy", "own_batches"):
        raw[part] = None


def no_forward(raw: Raw) -> None:
    raw["forward"] = {}


def fewer_calls(raw: Raw) -> None:
    for one in raw["forward"].values():
        one["forced"] = [call for call in one["forced"] if call["module"] == "head"]
        one["free"] = [call for call in one["free"] if call["module"] == "head"]


def fewer_leaves(raw: Raw) -> None:
    raw["mapping"]["leaves"] = raw["mapping"]["leaves"][:2]


def fewer_gradients(raw: Raw) -> None:
    raw["gradients"] = {}


@pytest.mark.parametrize(
    "cheat",
    [zeros, constants, trained_elsewhere, empty, no_forward, fewer_calls, fewer_leaves, fewer_gradients],
    ids=lambda cheat: cheat.__name__,
)
def test_cheats_fail(pair: Pair, cheat: Callable[[Raw], None]) -> None:
    verdict = pair.verdict(cheat)
    assert not verdict.passed
    assert verdict.first_line.startswith("first divergence: ")


def nan(raw: Raw) -> None:
    """The same not-a-number on both sides, as after a division by zero."""
    for mode in ("train", "eval"):
        for role in ("free", "forced"):
            for call in raw["forward"][mode][role]:
                call["outputs"] = [np.where(array > 0, array, np.nan) for array in call["outputs"]]


@pytest.mark.parametrize(
    "both",
    [
        nan,
        lambda raw: raw["gradients"].update({name: raw["gradients"][name] * np.nan for name in PARAMETERS}),
        lambda raw: raw["trajectory"][0].update(loss=np.nan),
        lambda raw: raw["after"].update(outputs=[np.full((16, 3), np.nan)]),
    ],
)
def test_nan_on_both_sides_is_no_pass(changed: Callable[..., Pair], both: Callable[[Raw], None]) -> None:
    verdict = changed(both).verdict(both)
    assert not verdict.passed
    assert "nan" in verdict.first_line.casefold()


def test_two_empty_records_are_no_pass(changed: Callable[..., Pair]) -> None:
    verdict = changed(empty).verdict(empty)
    assert not verdict.passed
    assert verdict.first_line == "first divergence: the records (forward): no call of a module and no loss was compared"


def test_what_is_not_compared_is_in_the_first_line(pair: Pair) -> None:
    line = pair.verdict(lambda raw: raw.update(fresh=None, accuracy=None)).first_line
    assert line == "PASS: 12 of 14 rungs agree, not compared: 5, 14"


def test_a_verdict_has_no_truth_value(pair: Pair) -> None:
    with pytest.raises(TypeError, match=r"a Verdict has no truth value: read \.passed, or call \.require\(\)"):
        assert pair.verdict()


def test_require_raises_with_the_first_line_and_the_failures(pair: Pair) -> None:
    verdict = pair.verdict(between=1.2)
    with pytest.raises(AssertionError) as error:
        verdict.require()
    first, *others = str(error.value).splitlines()
    assert first == verdict.first_line
    assert others[0] == f"  {verdict.failures[0]}"
    assert others[-1] == f"  and {len(verdict.failures) - 20} more"


def failed(**values: Any) -> str:
    return str(Check(place="a", stage="b", what="c", passed=False, finding="differs", **values))


def test_checks_as_text() -> None:
    assert failed() == "a (b): differs"
    assert failed(detail="one") == "a (b): differs: one"
    assert failed(measured=0.25, allowed=1e-6, unit="relative") == "a (b): differs: measured 0.25, allowed 1e-6"
    assert failed(measured=5.0, allowed=4.0, unit="standard errors", detail="x") == (
        "a (b): differs: measured 5, allowed 4 standard errors (x)"
    )
    assert failed(measured=float("inf"), allowed=0.0, detail="shape") == "a (b): differs: shape"


@pytest.mark.parametrize(
    ("measured", "allowed", "texts"),
    [
        (2.0, 1.0, ("2", "1")),
        (1.001, 1.0, ("1.001", "1")),
        (1.0000001e-7, 1e-7, ("1.0000001e-7", "1e-7")),
        (float("nan"), 1.0, ("not a number", "1")),
        (3.0, 3.0, ("3", "3")),
    ],
)
def test_numbers_have_the_digits_that_tell_them_apart(measured: float, allowed: float, texts: tuple[str, str]) -> None:
    assert told(measured, allowed) == texts


def test_a_rung_without_checks_has_not_passed() -> None:
    rung = Rung(number=1, title="x", question="?")
    assert rung.state == "NOT COMPARED"
    side = pytest.importorskip("jax_impl.parity.verdict").Side(folder="x")
    assert not Verdict(rungs=(rung,), tree=(), coverage="", theirs=side, ours=side).passed


def test_the_package_finds_its_public_names_when_they_are_used(pair: Pair) -> None:
    assert parity.compare_records(pair.theirs, pair.ours()).passed
    with pytest.raises(AttributeError, match=r"module 'jax_impl\.parity' has no attribute 'provee'"):
        parity.provee  # noqa: B018
