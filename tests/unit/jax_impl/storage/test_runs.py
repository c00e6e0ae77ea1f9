import json
from pathlib import Path

import pytest

from jax_impl import data
from jax_impl.errors import UserError
from jax_impl.storage import runs


def test_a_folder_is_created_and_otherwise_unchanged(tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    runs.check_writable(out)
    runs.check_writable(out)
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--out .*file is a file: name a folder"):
        runs.check_writable(tmp_path / "file")
    with pytest.raises(UserError, match=r"cannot write to --out .*below: Not a directory; name another folder"):
        runs.check_writable(tmp_path / "file" / "below")


def test_config_describes_the_run_and_the_results_named_are_deleted(tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "notes.txt"):
        (tmp_path / name).touch()
    runs.describe(tmp_path, ["metrics.jsonl", "curve.png"], stream="torch")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "notes.txt"]
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["package"] == "jax_impl"
    assert config["stream"] == "torch"
    assert config["data_sha256"] == data.SHA256
    assert {"python", "jax", "flax", "optax", "numpy"} <= config["versions"].keys()
