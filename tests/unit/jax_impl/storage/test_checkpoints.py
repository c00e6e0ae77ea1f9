"""Checkpoints come back to the last bit, or the one before is used."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from jax_impl.errors import ArgumentError, UserError
from jax_impl.storage import checkpoints, tensors
from jax_impl.storage.checkpoints import Checkpoints

IDENTITY = {"recipe": {"learning_rate": 0.1, "layers": (3, 2)}, "data": "abc"}
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated in the header": lambda content: content[:20],
    "truncated in the middle": lambda content: content[: len(content) // 2],
    "truncated by a byte": lambda content: content[:-1],
    "all zeros": lambda content: bytes(len(content)),
    "zeros at the start": lambda content: bytes(64) + content[64:],
    "zeros in the middle": lambda content: content[:1000] + bytes(512) + content[1512:],
    "zeros at the end": lambda content: content[:-16] + bytes(16),
    "a bit in the header": lambda content: flipped(content, 30),
    "a bit in the middle": lambda content: flipped(content, len(content) // 2),
    "a bit at the end": lambda content: flipped(content, len(content) - 3),
    "another number in the facts": lambda content: content.replace(b"30.1", b"30.7"),
    "another file": lambda content: tensors.packed(arrays(30)),
}


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def arrays(number: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    return {
        "state.params.kernel": rng.normal(size=(30, 20)).astype(np.float32),
        "losses": rng.normal(size=(1, 7)),
        "count": np.array(number, np.int32),
    }


def facts(number: int) -> dict[str, object]:
    return {"costs": [0.1 + number, 1e-300], "done": 1, "epochs": 3}


def same(ones: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> bool:
    return ones.keys() == others.keys() and all(
        ones[name].dtype == others[name].dtype and np.array_equal(ones[name], others[name]) for name in ones
    )


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    """Checkpoints after steps 10, 20 and 30, of which the last two are kept."""
    made = Checkpoints(tmp_path / "run" / "checkpoints", IDENTITY)
    for step in (10, 20, 30):
        made.save(step, arrays(step), facts(step))
    return made


def names(kept: Checkpoints) -> list[str]:
    return sorted(path.name for path in kept.folder.iterdir())


def test_the_last_two_are_kept_to_the_last_bit(kept: Checkpoints) -> None:
    assert names(kept) == ["000000020.safetensors", "000000030.safetensors"]
    assert [path.name for path in kept.paths()] == names(kept)
    lines: list[str] = []
    found = kept.newest(lines.append)
    assert found
    assert lines == []
    assert same(found.tensors, arrays(30))
    assert found.facts == kept.peek() == facts(30)


def test_a_checkpoint_can_be_opened_with_safetensors_alone(kept: Checkpoints) -> None:
    path = kept.paths()[-1]
    assert same(safetensors.numpy.load_file(path), arrays(30))
    with safetensors.safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["facts"])["facts"] == facts(30)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_renamed_and_the_one_before_is_used(kept: Checkpoints, damage: str) -> None:
    path = kept.paths()[-1]
    right = path.read_bytes()
    path.write_bytes(DAMAGES[damage](right))
    assert path.read_bytes() != right
    assert kept.peek() == facts(20)
    lines: list[str] = []
    found = kept.newest(lines.append)
    assert found
    assert same(found.tensors, arrays(20))
    assert found.facts == facts(20)
    assert lines == [f"checkpoint {path} is damaged: renamed to 000000030.safetensors.damaged"]
    assert names(kept) == ["000000020.safetensors", "000000030.safetensors.damaged"]
    assert kept.newest(lines.append)
    assert len(lines) == 1


def test_if_all_are_damaged_that_is_an_error_and_new_ones_can_be_saved(kept: Checkpoints) -> None:
    for path in kept.paths():
        path.write_bytes(b"junk")
    assert kept.peek() is None
    with pytest.raises(UserError, match=r"all checkpoints in .* are damaged: start again without --resume"):
        kept.newest(lambda line: None)
    for step in (30, 40, 50):
        kept.save(step, arrays(step), facts(step))
    assert [path.stem for path in kept.paths()] == ["000000040", "000000050"]
    assert len(list(kept.folder.glob("*.damaged"))) == 2


def test_a_checkpoint_of_another_computation_is_refused_and_what_differs_is_named(kept: Checkpoints) -> None:
    other = kept._replace(identity={"recipe": {"learning_rate": 0.2, "layers": (3, 2)}, "data": "abc"})
    with pytest.raises(ArgumentError) as error:
        other.newest(print)
    assert str(error.value) == (
        f"{kept.folder.parent} cannot be resumed: its recipe.learning_rate is 0.1, not 0.2; use the settings it was "
        "started with, or another --out"
    )
    assert len(kept.paths()) == 2


def test_files_left_by_a_killed_process_are_ignored_and_deleted(kept: Checkpoints) -> None:
    (kept.folder / ".000000040.safetensors.0123abcd").write_bytes(b"half")
    found = kept.newest(print)
    assert found
    assert found.facts == facts(30)
    kept.save(40, arrays(40), facts(40))
    assert names(kept) == ["000000030.safetensors", "000000040.safetensors"]


def test_a_full_disk_leaves_the_old_checkpoints(kept: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*000000040\.safetensors: No space left on device") as error:
        kept.save(40, arrays(40), facts(40))
    assert "\n" not in str(error.value)
    assert names(kept) == ["000000020.safetensors", "000000030.safetensors"]
    found = kept.newest(print)
    assert found
    assert same(found.tensors, arrays(30))


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*: Not a directory"):
        Checkpoints(tmp_path / "file" / "below", IDENTITY).save(1, arrays(1), {})
    with pytest.raises(UserError, match=r"cannot read .*file: Not a directory; name another --out"):
        Checkpoints(tmp_path / "file", IDENTITY).newest(print)


def test_without_checkpoints_there_is_nothing_to_read(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "nowhere", IDENTITY)
    assert (kept.newest(print), kept.peek(), kept.paths()) == (None, None, [])
    kept.remove()
    assert not kept.folder.exists()


def test_removed_checkpoints_are_gone(kept: Checkpoints) -> None:
    kept.remove()
    assert not kept.folder.exists()
    assert kept.folder.parent.exists()


def test_room_is_checked_before_anything_is_written(kept: Checkpoints) -> None:
    kept.check_room(arrays(1))
    huge = {"array": np.broadcast_to(np.zeros(1), 2**45)}  # 256 TiB, of which one number is in memory
    with pytest.raises(UserError, match=r"cannot write \d+ MB to .*run: .*; free some space, or name another --out"):
        kept.check_room(huge)
    assert [path.name for path in kept.folder.parent.iterdir()] == ["checkpoints"]


def test_with_resume_the_newest_is_returned_or_a_line_says_that_there_is_none(kept: Checkpoints) -> None:
    lines: list[str] = []
    found = kept.to_resume(lines.append)
    assert found
    assert found.facts == facts(30)
    assert lines == []
    kept.remove()
    assert kept.to_resume(lines.append) is None
    assert lines == [f"nothing to resume in {kept.folder.parent}: starting"]


def test_a_run_can_be_resumed_by_the_same_one_with_as_many_epochs_or_more(kept: Checkpoints) -> None:
    assert [kept.can_be_resumed(epochs) for epochs in (0, 1, 3, 9)] == [False, True, True, True]
    kept.save(31, arrays(31), facts(31) | {"steps": 1})  # within the second epoch
    assert [kept.can_be_resumed(epochs) for epochs in (1, 2)] == [False, True]
    assert not kept._replace(identity={}).can_be_resumed(9)
    kept.remove()
    assert not kept.can_be_resumed(9)


def test_differences_are_named_by_their_path() -> None:
    difference = checkpoints.difference
    assert difference({"a": {"b": [1, 2]}}, {"a": {"b": (1, 2)}}) == ""
    assert difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "its a.b is 1, not 2"
    assert difference({"a": 1, "old": 3}, {"a": 1}) == "its old is 3, not null"
    assert difference({"a": 1}, {"a": 1, "new": "x"}) == 'its new is null, not "x"'
