"""Causes of a training that parts although its pieces agree."""

import hashlib
from typing import Any

import numpy as np
import pytest

from jax_impl.parity.pair import Pair
from jax_impl.parity.records.content import Mask, OwnMasks, Step
from jax_impl.parity.rungs.trajectory import trajectory as rung
from tests.unit.jax_impl.parity.causes.in_memory import causes, record

RATES, STEPS, PLACES = (0.1, 0.5, 0.3), 4, ("a", "b", "c")


def masks_of(seed: Any, rate: float = 0.5) -> Any:
    return np.random.RandomState(seed).rand(8, 16) >= rate


def drawn(seeds: list[list[int]]) -> Pair:
    """Return records whose port draws its masks from these seeds, by step and place; the reference's all differ."""
    first, second = (record(side, {}, {"": ("Net", {}), **{path: ("Dropout", {}) for path in PLACES}})
                     for side in ("torch", "jax"))  # fmt: skip
    steps = []
    for step in range(STEPS):
        masks = [Mask(rate=0.5, shape=[8, 16], module=path, array=first.put("masks", masks_of(100 + 10 * step + place)))
                 for place, path in enumerate(PLACES)]  # fmt: skip
        steps.append(Step(updates={}, loss=1.0, masks=masks))
    own = [[Mask(rate=0.5, shape=[8, 16], digest=hashlib.sha256(masks_of(seed).tobytes()).hexdigest()) for seed in row]
           for row in seeds]  # fmt: skip
    first.change(trajectory=steps)
    second.change(trajectory=[Step(updates={}, loss=1.0) for _ in steps], own_masks=OwnMasks(steps=own))
    return Pair(first, second, 0.01)


def test_one_mask_for_all_steps() -> None:
    every = causes(drawn([[1, 2, 3]] * STEPS), "trajectory", 12, rung)
    assert [one.cause for one in every] == ["one dropout mask for all 4 steps, in all dropout layers"]
    one = causes(drawn([[10 * step, 2, 10 * step + 3] for step in range(STEPS)]), "trajectory", 12, rung)
    assert [each.cause for each in one] == ["one dropout mask for all 4 steps, in b"]


def test_one_mask_for_two_places() -> None:
    found = causes(drawn([[10 * step, 10 * step + 1, 10 * step] for step in range(STEPS)]), "trajectory", 12, rung)
    assert [one.cause for one in found] == ["one dropout mask for several places, in every step: a, c"]


def test_new_masks_have_no_cause() -> None:
    assert not rung(drawn([[10 * step + place for place in range(3)] for step in range(STEPS)])).failures


def sized(losses: list[float], sizes: tuple[int, ...] = (8, 8, 3)) -> Pair:
    """Return records of batches of these sizes, with these losses in the port; the reference's are all 2."""
    first, second = (record(side, {}, {"": ("Net", {})}) for side in ("torch", "jax"))
    batches = [{"array": vars(first.put("batches", np.arange(size)))} for size in sizes]
    first.change(batches=batches, trajectory=[Step(updates={}, loss=2.0, loss_noise=1e-16) for _ in batches])
    second.change(trajectory=[Step(updates={}, loss=loss) for loss in losses])
    return Pair(first, second, 0.01)


def test_a_smaller_batch_is_divided_by_the_size_of_the_others() -> None:
    found = causes(sized([2.0, 2.0, 2.0 * 3 / 8]), "trajectory", 12, rung)
    assert [one.cause for one in found] == [
        "the loss of a batch of 3 instead of 8, in step 3, is divided by the size of the others"
    ]


@pytest.mark.parametrize(
    ("loss", "words"), [(2.0 * 5 / 4, "is divided by the size of the others"), (2.0 * 5, "is summed up"),
                        (2.0 * 4 / 5, "is weighed like a whole one")]
)  # fmt: skip
def test_a_larger_batch_in_a_longer_training(loss: float, words: str) -> None:
    found = causes(sized([2.0, loss, 2.0, 2.0], (4, 5, 4, 4)), "trajectory", 12, rung)
    assert [one.cause for one in found] == [f"the loss of a batch of 5 instead of 4, in step 2, {words}"]


def test_other_losses_of_it_have_no_cause() -> None:
    assert causes(sized([2.0, 2.0, 2.1]), "trajectory", 12, rung) == []
    assert causes(sized([2.0, 2.0 * 3 / 8, 2.0]), "trajectory", 12, rung) == []
