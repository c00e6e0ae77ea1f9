import os
from pathlib import Path

import pytest

from jax_impl.errors import UserError
from jax_impl.storage import files


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    files.write(path, b"one")
    files.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_stays_until_the_new_one_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")
    seen: list[bytes] = []
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        assert os.fstat(descriptor).st_size == len(b"the new one")
        seen.append(path.read_bytes())

    monkeypatch.setattr("os.fsync", fsync)
    files.write(path, b"the new one")
    assert seen == [b"old"]
    assert path.read_bytes() == b"the new one"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(UserError, match=r"cannot write .*file: No space left on device; name another folder"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*below: File exists"):
        files.write(tmp_path / "file" / "below", b"x")


def test_room_on_the_disk_is_checked_without_a_trace(tmp_path: Path) -> None:
    files.check_room(tmp_path, 1000)
    with pytest.raises(UserError, match=r"cannot write \d+ MB to .*; free some space, or name another --out"):
        files.check_room(tmp_path, 2**60)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_nobody_can_read_is_respected_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "READABLE_LOCKS", False)  # as on Windows
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: pytest.fail("wrote a locked file"))
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("read a locked file"))
    refused = pytest.raises(UserError, match="is in use by another process: wait for it")
    with files.locked(tmp_path), refused, files.locked(tmp_path):
        pass


def test_a_locked_folder_is_refused_and_its_owner_named(tmp_path: Path) -> None:
    with files.locked(tmp_path):
        with pytest.raises(UserError) as error, files.locked(tmp_path):
            pass
        assert str(error.value).startswith(f"{tmp_path} is in use by process {os.getpid()} on ")
        assert str(error.value).endswith(": wait for it, or name another --out")
    with files.locked(tmp_path):
        pass
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match=r"cannot write .*file: .*; name another --out"), files.locked(file):
        pass
