from collections.abc import Callable

import numpy as np
import pytest

from tests.unit.jax_impl.parity.synthetic import Pair, Raw


def weight(raw: Raw, change: Callable[[np.ndarray], np.ndarray]) -> None:
    raw["start"]["head.weight"] = change(raw["start"]["head.weight"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: np.nextafter(w, np.inf), ("head.weight (weights before training): differ", "allowed 0")),
        (lambda w: w[:, ::-1], ("the same numbers in another order",)),
        (lambda w: w.T, ("shape (8, 3) instead of (3, 8)",)),
        (lambda w: w * 0, ("ours is zero",)),
        (lambda w: w * np.nan, ("NaN in 24 of ours and 0 of theirs",)),
    ],
)
def test_weights_must_be_equal(pair: Pair, change: Callable[[np.ndarray], np.ndarray], words: tuple[str, ...]) -> None:
    line = pair.verdict(lambda raw: weight(raw, change)).first_line
    assert all(word in line for word in words), line


def test_a_missing_weight_fails(pair: Pair) -> None:
    line = pair.verdict(lambda raw: raw["start"].pop("head.bias")).first_line
    assert line == "first divergence: head.bias (weights before training): differ: ours has none"


def test_weights_of_the_users_converter_are_named(pair: Pair) -> None:
    rung = pair.verdict(lambda raw: raw.update(loaded=False)).rungs[3]
    assert rung.notes == ("the port came with weights of its own (load=False): these are what your converter made",)


def test_sums_and_parts_of_leaves_are_compared(changed: Callable[..., Pair]) -> None:
    """As the biases of an LSTM, which Flax adds into one, and of a GRU, of which it adds a part."""
    a, b = (np.random.RandomState(seed).randn(6) for seed in (0, 1))

    def add(raw: Raw) -> None:
        for name, array in (("a", a), ("b", b)):
            leaf = {"name": name, "kind": "parameter", "shape": [6], "dtype": "float64", "module": ""}
            raw["leaves"].append(leaf)
            raw["start"][name] = array

    def own(total: np.ndarray, rest: np.ndarray) -> Callable[[Raw], None]:
        def edit(raw: Raw) -> None:
            raw["leaves"] += [{"name": name, "kind": "parameter", "shape": [1], "dtype": "float64"} for name in "xyz"]
            raw["mapping"]["leaves"] += [
                {"theirs": ["a[0:4]", "b[0:4]"], "ours": ["x"], "summed": True},
                {"theirs": ["a[4:6]"], "ours": ["y"]},
                {"theirs": ["b[4:6]"], "ours": ["z"]},
            ]
            raw["start"] |= {"a[0:4] + b[0:4]": total, "a[4:6]": rest, "b[4:6]": b[4:]}

        return edit

    pair = changed(add)
    assert pair.verdict(own((a + b)[:4], a[4:])).passed
    assert pair.verdict(own((a + b)[:4] * (1 + 2**-52), a[4:])).passed  # a sum is rounded
    line = pair.verdict(own(a[:4], a[4:])).first_line
    assert line.startswith("first divergence: a[0:4] + b[0:4] (weights before training): differ")
    assert "a[4:6] (weights" in pair.verdict(own((a + b)[:4], a[:2])).first_line
