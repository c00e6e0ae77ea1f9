"""The folder of a record: complete or not at all, and never instead of something else."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from torch_ref.errors import UserError
from torch_ref.record import files
from torch_ref.record.arrays import Recording

ARRAYS = {"start": {"a": np.ones(3)}, "masks": {}}


def test_a_record_is_written_with_its_references(tmp_path: Path) -> None:
    recording = Recording()
    array, number = recording.array("slot", torch.ones(2), "steps"), recording.number("loss", 2.0)
    files.write(tmp_path / "a" / "new", {"array": array, "loss_noise": number}, recording.files)
    assert {path.name for path in (tmp_path / "a" / "new").iterdir()} == {"record.json", "steps.safetensors"}
    assert '"loss_noise": 0.0' in (tmp_path / "a" / "new" / "record.json").read_text(encoding="utf-8")
    assert safetensors.numpy.load_file(tmp_path / "a" / "new" / "steps.safetensors")["0"].tolist() == [1, 1]


@pytest.mark.skipif(os.name == "nt", reason="permissions are another matter on Windows")
def test_everybody_who_may_read_the_record_may_read_its_arrays(tmp_path: Path) -> None:
    files.write(tmp_path / "new", {}, ARRAYS)
    modes = {path.stat().st_mode for path in (tmp_path / "new").iterdir()}
    assert len(modes) == 1


def test_an_earlier_record_of_torch_is_replaced(tmp_path: Path) -> None:
    files.write(tmp_path / "new", {"side": "torch"}, ARRAYS)
    files.check(tmp_path / "new", overwrite=False)
    files.write(tmp_path / "new", {"side": "torch", "steps": 5}, {})
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"record.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_another_record_is_replaced_only_if_told(tmp_path: Path) -> None:
    files.write(tmp_path, {"side": "jax"}, ARRAYS)
    with pytest.raises(UserError, match="not torch's: name another folder, or pass overwrite=True"):
        files.check(tmp_path, overwrite=False)
    files.check(tmp_path, overwrite=True)
    (tmp_path / "record.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="not torch's"):
        files.check(tmp_path, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_anything_else_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "start.safetensors").write_bytes(b"weights")
    with pytest.raises(UserError, match=r"holds start.safetensors, so it is no record"):
        files.check(tmp_path, overwrite=overwrite)
    (tmp_path / "record.json").write_text("{}", encoding="utf-8")
    (tmp_path / "thesis.tex").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"holds thesis.tex, so it is no record: name another folder"):
        files.check(tmp_path, overwrite=overwrite)
    with pytest.raises(UserError, match="is a file: name a folder"):
        files.check(tmp_path / "thesis.tex", overwrite=overwrite)


def test_a_full_disk_leaves_the_earlier_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(tmp_path / "new", {"side": "torch"}, ARRAYS)
    before = (tmp_path / "new" / "record.json").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for owner, name in ((Path, "write_text"), (safetensors.numpy, "save_file")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            with pytest.raises(UserError, match=r"cannot write .*new: No space left on device"):
                files.write(tmp_path / "new", {"side": "torch"}, ARRAYS)
    assert (tmp_path / "new" / "record.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_folder_that_cannot_be_renamed_leaves_the_earlier_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(tmp_path / "new", {"side": "torch"}, ARRAYS)
    rename, calls = Path.rename, list[Path]()

    def second_fails(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(UserError, match="Permission denied"):
        files.write(tmp_path / "new", {"side": "another"}, ARRAYS)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert '"side": "torch"' in (tmp_path / "new" / "record.json").read_text(encoding="utf-8")


def test_a_number_that_json_cannot_hold_is_a_bug_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write(tmp_path / "new", {"loss": float("nan")}, ARRAYS)
    assert list(tmp_path.iterdir()) == []
