from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw, write


@pytest.mark.parametrize("what", ["loss", "gradient_norm"])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, None])
def test_a_wrong_number_in_a_step_fails(pair: Pair, what: str, value: float | None) -> None:
    line = pair.verdict(lambda raw: raw["trajectory"][1].update({what: value})).first_line
    assert f"{what.replace('_', ' ')} (training, step 2, learning rate 0.01): differs" in line


def test_a_wrong_update_names_leaf_and_step(pair: Pair) -> None:
    def edit(raw: Raw) -> None:
        raw["trajectory"][2]["updates"]["head.weight"] *= 1.001

    line = pair.verdict(edit).first_line
    assert line.startswith(
        "first divergence: head.weight (training, step 3, learning rate 0.01): update differs: measured 0.001"
    )


def test_fewer_steps_fail(pair: Pair) -> None:
    failures = pair.verdict(lambda raw: raw.update(trajectory=raw["trajectory"][:1])).rungs[11].failures
    assert str(failures[0]).startswith("step 2 (training): is missing: theirs 3, ours 1")


def test_one_mask_for_all_steps_fails(pair: Pair) -> None:
    assert pair.verdict(same_mask=True).first_line == (
        "first divergence: body.drop (training, all steps): the port draws the same mask in every step: "
        "masks that differ: 1 of 3 steps"
    )


def test_another_number_of_masks_fails(pair: Pair) -> None:
    line = pair.verdict(lambda raw: raw["own_masks"]["steps"][1].clear()).first_line
    assert line == ("first divergence: body.drop (training, step 2): another number of masks: theirs draws 1, ours 0")


def two_places(raw: Raw) -> None:
    """A second dropout, with masks of its own."""
    for step in raw["trajectory"]:
        first = step["masks"][0]
        step["masks"].append(first | {"module": "head", "array": first["array"][::-1]})


def test_one_mask_for_two_places_fails(changed: Callable[..., Pair]) -> None:
    pair = changed(two_places)

    def own(*, same: bool) -> Callable[[Raw], None]:
        def edit(raw: Raw) -> None:
            for step in raw["own_masks"]["steps"]:
                step.append(step[0] if same else step[0] | {"digest": f"other {step[0]['digest']}"})

        return edit

    assert pair.verdict(own(same=False)).passed
    assert pair.verdict(own(same=True)).first_line == (
        "first divergence: head (training, step 1): the port draws one mask for two places: the other is body.drop"
    )


def test_small_masks_may_be_equal_by_chance(changed: Callable[..., Pair]) -> None:
    def small(raw: Raw) -> None:
        for step in raw["trajectory"]:
            step["masks"][0] |= {"shape": [4], "array": step["masks"][0]["array"][0, :4]}

    assert changed(small).verdict(same_mask=True).rungs[11].state == "PASS"


def unstable(pair: Pair, folder: Any, step: int) -> Pair:
    """A reference whose own rounding error decides where training goes, from a step on."""
    noisy = [{**one, "trajectory": [dict(entry) for entry in one["trajectory"]]} for one in pair.noisy]
    for one in noisy:
        for entry in one["trajectory"][step - 1 :]:
            entry["loss"] *= 1.01
    pair.digest = write(folder / "theirs", pair.reference, noisy)
    return pair


def diverge(step: int) -> Callable[[Raw], None]:
    def edit(raw: Raw) -> None:
        for entry in raw["trajectory"][step - 1 :]:
            entry["loss"] *= 2
            entry["updates"] = {name: array * 2 for name, array in entry["updates"].items()}
        raw["after"]["loss"] = 5.0

    return edit


def test_an_unstable_training_is_judged_only_before_it_parts(changed: Callable[..., Pair], tmp_path: Any) -> None:
    pair = unstable(changed(lambda raw: None), tmp_path, 3)
    text = "the training itself is unstable from step 3 on: two correct programs part there; not decidable after"
    verdict = pair.verdict(diverge(3))
    assert verdict.passed, verdict.first_line
    assert verdict.rungs[11].notes == (text,)
    assert {check.stage.split(",")[1] for check in verdict.rungs[11].checks if "step" in check.stage} == {
        " step 1",
        " step 2",
        " all steps",
    }
    assert (verdict.rungs[12].state, verdict.rungs[12].reason) == ("NOT COMPARED", text)
    assert {check.stage for check in verdict.rungs[10].checks} == {"state after step 1", "state after step 2"}
    assert not pair.verdict(diverge(2)).passed


def test_a_training_unstable_from_the_start_is_not_compared(changed: Callable[..., Pair], tmp_path: Any) -> None:
    def no_masks(raw: Raw) -> None:
        for step in raw["trajectory"]:
            step["masks"] = []

    rung = unstable(changed(no_masks), tmp_path, 1).verdict(diverge(1)).rungs[11]
    assert rung.state == "NOT COMPARED"
    assert rung.reason.startswith("the training itself is unstable from step 1 on")
