"""Checkpoints come back to the last bit, or are known to be damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jax_impl.errors import ArgumentError, UserError
from jax_impl.storage import packing
from jax_impl.storage.checkpoint import Checkpoints

IDENTITY = {"recipe": {"learning_rate": 0.1, "layers": (3, 2)}, "data": "abc"}
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeroed": lambda content: bytes(len(content)),
    "one bit": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:] if len(content) > 3 else b"\1",
}


def arrays(number: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    return {
        "['a'].b": rng.normal(size=(30, 20)).astype(np.float32),
        "double": rng.normal(size=7),
        "count": np.array(number, np.int32),
        "bytes": rng.integers(0, 256, 50, dtype=np.uint8),
        "key": np.array([number, 2**32 - 1], np.uint32),
    }


def same(ones: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> bool:
    return ones.keys() == others.keys() and all(
        ones[name].dtype == others[name].dtype and np.array_equal(ones[name], others[name]) for name in ones
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Checkpoints 10, 20 and 30, of which the last two are kept."""
    with Checkpoints(tmp_path / "checkpoints", IDENTITY) as kept:
        for place in (10, 20, 30):
            kept.save(place, arrays(place), {"costs": [0.1 + place, 1e-300], "epochs": 3})
    return tmp_path / "checkpoints"


def test_the_last_two_are_kept_to_the_last_bit(folder: Path) -> None:
    kept = Checkpoints(folder, IDENTITY)
    assert kept.places() == [20, 30]
    heard: list[str] = []
    found = kept.newest(heard.append)
    assert found
    assert heard == []
    assert same(found.arrays, arrays(30))
    assert found.facts == kept.glance() == {"costs": [30.1, 1e-300], "epochs": 3}


def test_what_is_changed_after_saving_is_saved_as_it_was(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, IDENTITY) as kept:
        ours = arrays(1)
        kept.save(1, ours, {})
        for array in ours.values():
            array[...] = 0
    found = Checkpoints(tmp_path, IDENTITY).newest(print)
    assert found
    assert same(found.arrays, arrays(1))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_noticed_and_the_one_before_taken(folder: Path, damage: str) -> None:
    """Every file in turn; one that only Orbax's bookkeeping needs may be damaged without harm."""
    names = [path.relative_to(folder) for path in sorted((folder / "30").rglob("*")) if path.is_file()]
    assert len(names) >= 6
    noticed = 0
    for name in names:
        path = folder / name
        right = path.read_bytes()
        path.write_bytes(DAMAGE[damage](right))
        heard: list[str] = []
        found = Checkpoints(folder, IDENTITY).newest(heard.append)
        assert found
        place = round(found.facts["costs"][0] - 0.1)
        assert same(found.arrays, arrays(place))
        if place == 20:
            noticed += 1
            assert heard == [f"checkpoint {folder / '30'} is damaged: set aside as 30.damaged-1"]
            (folder / "30.damaged-1").rename(folder / "30")
        path.write_bytes(right)
    assert noticed >= 3
    assert Checkpoints(folder, IDENTITY).places() == [20, 30]


@pytest.mark.parametrize("part", ["facts", "arrays"])
def test_what_still_can_be_read_but_is_not_what_was_saved_is_noticed(folder: Path, part: str) -> None:
    """A digit of a number, and the whole part of another checkpoint: for these there is nothing but the digest."""
    if part == "facts":
        path = folder / "30" / "facts" / "metadata"
        path.write_text(path.read_text(encoding="utf-8").replace("30.1", "30.7"), encoding="utf-8")
    else:
        shutil.rmtree(folder / "30" / "arrays")
        shutil.copytree(folder / "20" / "arrays", folder / "30" / "arrays")
    heard: list[str] = []
    assert Checkpoints(folder, IDENTITY).glance() == {"costs": [20.1, 1e-300], "epochs": 3}
    found = Checkpoints(folder, IDENTITY).newest(heard.append)
    assert found
    assert found.facts["costs"][0] == 20.1
    assert heard == [f"checkpoint {folder / '30'} is damaged: set aside as 30.damaged-1"]


def test_a_damaged_one_does_not_stand_in_the_way(folder: Path) -> None:
    for name in ("30", "20"):
        (folder / name / "facts" / "metadata").write_text('{"facts": {}, "digest": "0"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"no checkpoint in .* is whole: begin anew, without --resume"):
        Checkpoints(folder, IDENTITY).newest(print)
    with Checkpoints(folder, IDENTITY) as kept:
        kept.save(30, arrays(31), {})
        kept.save(40, arrays(41), {})
        kept.save(50, arrays(51), {})
    assert kept.places() == [40, 50]
    assert {path.name for path in folder.glob("*.damaged-*")} == {"30.damaged-1", "20.damaged-1"}


def test_another_computation_s_is_refused_with_what_differs(folder: Path) -> None:
    other = {"recipe": {"learning_rate": 0.2, "layers": (3, 2)}, "data": "abc"}
    with pytest.raises(ArgumentError, match=r"its recipe\.learning_rate is 0\.1, not 0\.2; give what it was begun"):
        Checkpoints(folder, other).newest(print)
    assert Checkpoints(folder, other).places() == [20, 30]


def test_what_a_killed_process_left_is_removed(folder: Path) -> None:
    torn = folder / "40.orbax-checkpoint-tmp"
    torn.mkdir()
    kept = Checkpoints(folder, IDENTITY)
    assert kept.places() == [20, 30]
    with kept:
        kept.save(40, arrays(40), {})
    assert {path.name for path in folder.iterdir()} == {"30", "40"}


def test_a_folder_that_cannot_be_written_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot write a checkpoint to .*: Not a directory; name an --out") as caught,
        Checkpoints(tmp_path / "file" / "below", IDENTITY) as kept,
    ):
        kept.save(1, arrays(1), {})
    assert "\n" not in str(caught.value)


def test_an_error_in_the_background_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(UserError, match=r"cannot write a checkpoint .*: No space left on device"),
        Checkpoints(tmp_path, IDENTITY) as kept,
    ):
        kept.save(1, arrays(1), {})
        kept.wait()
        monkeypatch.setattr(kept.manager, "wait_until_finished", full)


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "nowhere", IDENTITY)
    assert (kept.newest(print), kept.glance(), kept.places()) == (None, None, [])


def test_the_digest_sees_every_part() -> None:
    found = {
        packing.digest(*content)
        for content in (
            ({"a": np.zeros(2, np.float32)}, {"x": 1}),
            ({"a": np.zeros(2, np.float32)}, {"x": 2}),
            ({"b": np.zeros(2, np.float32)}, {"x": 1}),
            ({"a": np.zeros((2, 1), np.float32)}, {"x": 1}),
            ({"a": np.zeros(1, np.float64)}, {"x": 1}),
            ({"a": np.array([0, 1e-45], np.float32)}, {"x": 1}),
            ({}, {"x": 1}),
        )
    }
    assert len(found) == 7


def test_differences_are_named_by_their_path() -> None:
    assert packing.difference({"a": {"b": [1, 2]}}, {"a": {"b": (1, 2)}}) == ""
    assert packing.difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "its a.b is 1, not 2"
    assert packing.difference({"a": 1, "old": 3}, {"a": 1}) == "its old is 3, not null"
