"""What `make faults` is made of: the damage, and the table that tells what came of it."""

import random
from pathlib import Path

import pytest

from tests.faults import __main__ as runner
from tests.faults.files import CHANGES, REPLACED, cases


def test_every_case_changes_a_file_and_all_files_and_kinds_come_up(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    names = ("one", "two", "below/three")
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes(range(1 + number, 200)))
    (tmp_path / ".lock").touch()
    found = list(cases(tmp_path, 24, random.Random(0)))
    assert {(str(case.name), case.how) for case in found} == {
        (name, how) for name in names for how in (*CHANGES, REPLACED)
    }
    assert all((tmp_path / case.name).read_bytes() != case.content for case in found)
    assert found == list(cases(tmp_path, 24, random.Random(0)))


def test_what_is_lost_is_in_the_table_and_in_the_exit_code() -> None:
    rows = [
        runner.Row("kills", 10, 10, "resumed to the same bits", [], 66.0),
        runner.Row("damage", 5, 4, "refused", ["torch_ref, config.json, zeroed: another result"], 6.0),
    ]
    text = runner.table(rows, runner.Options())
    assert "| kills | 10 | 10 | resumed to the same bits | 1.1 |" in text
    assert "- damage: torch_ref, config.json, zeroed: another result" in text
    assert "## Failures" not in runner.table(rows[:1], runner.Options())


def test_a_damaged_folder_is_judged_and_another_result_is_seen(
    tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = runner.undisturbed("jax_impl", tmp_path, mnist_dir)
    assert 0 < whole.begun < whole.over
    damage = (mnist_dir, Path("metrics.jsonl"), b"")
    assert runner.damaged("jax_impl", whole, tmp_path / "one", *damage) == ""
    real = runner.command
    monkeypatch.setattr(runner, "command", lambda *words: [*real(*words), "--epochs", "7"])
    assert runner.damaged("jax_impl", whole, tmp_path / "two", *damage) == "another result"
    monkeypatch.setattr(runner, "command", lambda *words: [*real(*words), "--debug", "--epochs", "1"])
    assert runner.damaged("jax_impl", whole, tmp_path / "three", *damage).startswith("exit code 1: ")
