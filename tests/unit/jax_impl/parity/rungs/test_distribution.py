from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.unit.jax_impl.parity import network
from tests.unit.jax_impl.parity.synthetic import Pair, Raw

LARGE = (8, 400)


def leaves(raw: Raw) -> dict[str, np.ndarray]:
    return raw["fresh"]["leaves"]


def uniform(seed: int, shape: tuple[int, ...] = LARGE) -> np.ndarray:
    return np.random.RandomState(seed).uniform(-1, 1, shape)


@pytest.fixture
def large(changed: Callable[..., Pair]) -> Callable[..., Any]:
    """A function that judges a leaf of 8 x 400 samples against uniform ones."""

    def add(raw: Raw) -> None:
        leaves(raw)["body.fc.weight"] = uniform(0)
        leaves(raw)["head.weight"] = uniform(1)

    pair = changed(add)

    def judge(sample: np.ndarray, other: np.ndarray | None = None) -> Any:
        def edit(raw: Raw) -> None:
            leaves(raw)["body.fc.weight"] = sample
            leaves(raw)["head.weight"] = uniform(3) if other is None else other

        return pair.verdict(edit).rungs[4]

    return judge


def test_the_same_distribution_passes(pair: Pair, large: Callable[..., Any]) -> None:
    assert pair.verdict().rungs[4].state == "PASS"
    assert large(uniform(2)).state == "PASS"


@pytest.mark.slow
def test_few_of_many_seeds_fail(pair: Pair) -> None:
    failed = [
        seed
        for seed in range(20)
        if pair.verdict(lambda raw, seed=seed: raw["fresh"].update(leaves=network.fresh(100 + seed))).rungs[4].failures
    ]
    assert failed == []  # each fails with a probability of about 0.002


@pytest.mark.parametrize(
    ("sample", "line"),
    [
        (uniform(2) * 1.1, "moments differs"),
        (uniform(2) + 0.1, "moments differs"),
        (np.random.RandomState(2).randn(*LARGE) / np.sqrt(3), "distribution differs"),  # the same mean and variance
        (np.zeros(LARGE), "initialised differently: theirs random, std 0.583, ours 0"),
        (np.repeat(uniform(2)[:1], 8, 0), "every fresh model of the port has the same weights"),
        (uniform(2) * np.nan, "NaN or infinite initial weights"),
    ],
)
def test_another_distribution_fails(large: Callable[..., Any], sample: np.ndarray, line: str) -> None:
    first = large(sample).failures[0]
    assert f"body.fc.weight (initial distribution): {line}" in str(first)


def test_leaves_must_be_drawn_independently(large: Callable[..., Any]) -> None:
    sample = uniform(2)
    assert "head.weight (initial distribution): independence of 2 leaves differs" in str(
        large(sample, 0.9 * sample + 0.1 * uniform(5)).failures[-1]
    )


@pytest.mark.parametrize("factor", [-1.0, 0.999])
def test_a_multiple_of_another_leaf_is_not_drawn_independently(large: Callable[..., Any], factor: float) -> None:
    """Both laws are right, but one key was used for both."""
    sample = uniform(2)
    assert "independence of 2 leaves differs" in str(large(sample, factor * sample).failures[-1])


def test_constants_must_be_equal(pair: Pair) -> None:
    line = pair.verdict(lambda raw: leaves(raw)["body.bn.weight"].fill(0.5)).first_line
    expected = "body.bn.weight (initial distribution): initialised differently: theirs 1, ours 0.5"
    assert line == f"first divergence: {expected}"


def test_leaves_that_are_copies_must_be_copies_in_the_port(changed: Callable[..., Pair]) -> None:
    equal = [["body.fc.weight", "head.weight"], ["head.weight", "head.bias"]]
    pair = changed(lambda raw: raw["fresh"].update(equal=equal))
    assert "body.fc.weight = head.bias = head.weight" in pair.verdict().first_line
    assert "start equal in theirs, different in ours" in pair.verdict().first_line
    chain = [["head.bias", "head.weight"], ["body.fc.weight", "head.bias"]]  # the same group, by other pairs
    assert pair.verdict(lambda raw: raw["fresh"].update(equal=chain)).passed


def test_copies_in_the_port_alone_fail(pair: Pair) -> None:
    line = pair.verdict(lambda raw: raw["fresh"].update(equal=[["body.fc.bias", "body.bn.bias"]])).first_line
    assert "body.fc.bias (initial distribution): start equal in ours, different in theirs" in line


def test_a_leaf_without_samples_fails(pair: Pair) -> None:
    line = pair.verdict(lambda raw: leaves(raw).pop("head.bias")).first_line
    assert line == "first divergence: head.bias (initial distribution): the port's fresh models lack this leaf"


def test_fixed_tables_are_compared_by_their_numbers(changed: Callable[..., Pair]) -> None:
    table = np.repeat(uniform(9, (1, 50)), 8, 0)
    pair = changed(lambda raw: leaves(raw).update({"head.bias": table}))
    assert pair.verdict(lambda raw: leaves(raw).update({"head.bias": table})).passed
    assert not pair.verdict(lambda raw: leaves(raw).update({"head.bias": table * 1.01})).passed
    assert not pair.verdict(lambda raw: leaves(raw).update({"head.bias": uniform(9, (8, 50))})).passed


@pytest.mark.parametrize("side", ["theirs", "ours"])
def test_without_fresh_weights_nothing_is_compared(changed: Callable[..., Pair], side: str) -> None:
    drop = {"theirs": lambda raw: raw.update(fresh=None), "ours": lambda raw: None}
    rung = changed(drop["theirs"] if side == "theirs" else lambda raw: None).verdict(drop["theirs"]).rungs[4]
    assert rung.state == "NOT COMPARED"
    assert "pass fresh= to " + ("torch_ref.record.save" if side == "theirs" else "jax_impl.parity.save") in rung.reason


def fixed(sample: np.ndarray, value: float = 0.0) -> np.ndarray:
    sample[:, 40:44] = value
    return sample


def test_elements_that_never_change_are_compared(changed: Callable[..., Pair]) -> None:
    """An embedding's row for padding is zero in every fresh model, among random ones."""

    def judge(ours: np.ndarray, theirs: np.ndarray) -> list[str]:
        pair = changed(lambda raw: leaves(raw).update({"body.fc.weight": theirs}))
        rung = pair.verdict(lambda raw: leaves(raw).update({"body.fc.weight": ours})).rungs[4]
        return [f"{check.finding}: {check.detail}" for check in rung.failures if check.what == "fixed elements"]

    assert judge(fixed(uniform(2)), fixed(uniform(0))) == []
    finding = "elements that do not change from model to model differ: 4 of 400 elements: "
    assert judge(uniform(2), fixed(uniform(0))) == [f"{finding}theirs always 0, ours random"]
    assert judge(fixed(uniform(2)), uniform(0)) == [f"{finding}theirs random, ours always 0"]
    assert judge(fixed(uniform(2), 1.0), fixed(uniform(0))) == [f"{finding}theirs always 0, ours always 1"]
    sparse = [uniform(seed) * (uniform(seed + 9) > 0.8) for seed in (0, 2)]  # nine of ten are zero, at random places
    assert judge(*sparse) == []
