from collections.abc import Callable

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw


def inputs(raw: Raw, number: int = 0) -> dict[str, np.ndarray]:
    return raw["own_batches"][number]["tuple"][0]


def test_the_ports_batches_are_compared(pair: Pair) -> None:
    rung = pair.verdict().rungs[1]
    assert (rung.state, len(rung.checks)) == ("PASS", 7)


def test_without_batches_of_its_own_nothing_is_compared(pair: Pair) -> None:
    rung = pair.verdict(lambda raw: raw.update(own_batches=None)).rungs[1]
    assert rung.state == "NOT COMPARED"
    assert rung.reason.startswith("ours used theirs's batches: pass batches= to jax_impl.parity.save")


def scaled(raw: Raw) -> None:
    inputs(raw)["array"] = inputs(raw)["array"] * 255


def shuffled(raw: Raw) -> None:
    inputs(raw)["array"] = inputs(raw)["array"][::-1]


def other_order(raw: Raw) -> None:
    raw["own_batches"].reverse()


def rounded(raw: Raw) -> None:
    inputs(raw, 1)["array"] = inputs(raw, 1)["array"].astype(np.float32).astype(np.float64)


def label(raw: Raw) -> None:
    raw["own_batches"][2]["tuple"][1]["array"][4] += 1


def nothing(raw: Raw) -> None:
    raw["own_batches"] = []


def bare(raw: Raw) -> None:
    raw["own_batches"][0] = inputs(raw)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (scaled, ("batch 1[0] (data): differs", "ours is 255 × theirs")),
        (shuffled, ("batch 1[0] (data): another order of the samples",)),
        (other_order, ("batch 1[0] (data): differs",)),
        (rounded, ("batch 2[0] (data): differs", "as small as float32 rounding")),
        (label, ("batch 3[1] (data): differs: measured 1, allowed 0 unequal elements", "first at [4]")),
        (nothing, ("batches (data): fewer batches: theirs 3, ours 0",)),
        (bare, ("batch 1 (data): another structure: theirs has 2 arrays or values, ours 1",)),
    ],
)
def test_other_data_fail(pair: Pair, edit: Callable[[Raw], None], words: tuple[str, ...]) -> None:
    line = pair.verdict(edit).first_line
    assert all(word in line for word in words), line


def test_channels_may_be_last(changed: Callable[..., Pair]) -> None:
    images = np.random.RandomState(0).randn(4, 3, 5, 6)
    pair = changed(lambda raw: raw["batches"].append({"array": images}))
    assert pair.verdict(lambda raw: raw["own_batches"].append({"array": np.moveaxis(images, 1, -1)})).passed
    wrong = np.moveaxis(images, 1, -1)[:, ::-1]
    assert not pair.verdict(lambda raw: raw["own_batches"].append({"array": wrong})).passed


def test_plain_values_and_dicts_are_compared(changed: Callable[..., Pair]) -> None:
    pair = changed(lambda raw: raw["batches"].append({"dict": {"n": {"value": 3}, "text": {"value": "a"}}}))

    def values(n: int) -> Callable[[Raw], None]:
        return lambda raw: raw["own_batches"].append({"dict": {"text": {"value": "a"}, "n": {"value": n}}})

    assert pair.verdict(values(3)).passed
    assert pair.verdict(values(4)).first_line == (
        "first divergence: batch 4['n'] (data): another value: theirs 3, ours 4"
    )
