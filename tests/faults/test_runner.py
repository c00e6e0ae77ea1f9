"""What `make faults` is made of: the damage, the cases, and the table that tells what came of them."""

import random
from pathlib import Path

import pytest

from tests.faults import __main__ as runner
from tests.faults import damages, soak, test_inputs, zygote
from tests.faults.cases import Case, Part, World
from tests.faults.commands import (
    PACKAGES,
    TASKS,
    ZYGOTES,
    Ended,
    after_the_first_epoch,
    command,
    ended,
    judged,
    run,
    start,
)
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


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (Ended(0, "", ""), ""),
        (Ended(1, "", "error: the disk is full\n"), ""),
        (Ended(2, "", "error: what\n"), "exit code 2"),
        (Ended(1, "", "error: this is a bug, KeyError: x; y says where\n"), "exit code 1"),
        (Ended(1, "", "Traceback (most recent call last):\nerror: x\n"), "exit code 1"),
        (Ended(1, "", "error: x\nand more\n"), "said"),
        (Ended(1, "", "error: x\nerror: y\n"), "said"),
        (Ended(-9, "", ""), "exit code -9"),
    ],
)
def test_an_end_is_good_only_with_its_code_and_one_line(found: Ended, wrong: str) -> None:
    assert judged(found, 0, 1).startswith(wrong)
    assert bool(judged(found, 0, 1)) == bool(wrong)


def test_a_case_that_is_wrong_or_raises_is_in_the_row() -> None:
    def raises() -> str:
        raise TimeoutError("it never ended")

    part = Part("kills", "resumed", [Case("a", lambda: ""), Case("b", lambda: "another result"), Case("c", raises)])
    *steps, row = runner.tried(part, 2)
    assert steps == [None] * 3
    assert row is not None
    assert row[:5] == ("kills", 3, 1, "resumed", ["b: another result", "c: TimeoutError: it never ended"])


def test_what_is_lost_is_in_the_table() -> None:
    rows = [
        runner.Row("kills", 10, 10, "resumed to the same bits", [], 66.0),
        runner.Row("damage", 5, 4, "refused", ["torch_ref, config.json, zeroed: another result"], 6.0),
    ]
    text = runner.table(rows, runner.Options(), 1.25)
    assert ": 1.2 minutes.\n" in text
    assert "| kills | 10 | 10 | resumed to the same bits | 1.1 |" in text
    assert "- damage: torch_ref, config.json, zeroed: another result" in text
    assert "## Failures" not in runner.table(rows[:1], runner.Options(), 1.0)


def test_a_soak_that_breaks_off_or_grows_is_a_row_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(seconds: float, *_: Path) -> list[soak.Sample]:
        raise ValueError(f"after {seconds} s")

    monkeypatch.setattr(soak, "soaked", breaks)
    assert runner.soaking(2, Path())[:5] == ("studies for 2 minutes", 1, 0, "", ["ValueError: after 120 s"])
    samples = [soak.Sample(6.0 * number, 600 * 2**20, 8, 30, 91 + number // 18) for number in range(20)]
    monkeypatch.setattr(soak, "soaked", lambda *_: samples)
    assert runner.soaking(2, Path())[1:5] == (20, 0, "", ["compilations from 91 to 92"])


def test_numbers_below_what_can_be_done_are_refused_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.refused(runner.Options()) == ""
    assert runner.refused(runner.Options(kills=-1)) == "error: --kills must be at least 0, got -1"
    assert runner.main(runner.Options(jobs=0)) == 2
    assert capsys.readouterr().err == "error: --jobs must be at least 1, got 0\n"


def test_every_property_has_its_long_form() -> None:
    """The table would not show that a reader was left out."""
    found = [name for name, value in vars(test_inputs).items() if hasattr(value, "hypothesis")]
    assert [case.title for case in runner.inputs(1).cases] == found[::-1]
    assert len(found) == 8


@pytest.mark.slow
def test_a_forked_process_runs_a_command_line_and_ends_as_any_other(
    tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zygote.opened() as zygotes:
        for package in PACKAGES:
            real = run(command(package, "--epochs", "-1"), mnist_dir)
            monkeypatch.setitem(ZYGOTES, package, zygotes[package])
            assert run(command(package, "--epochs", "-1"), mnist_dir) == real
            assert real.code == 2
            process = start(command(package, "--epochs", "1000", "--out", str(tmp_path / package)), mnist_dir)
            assert isinstance(process, zygote.Forked)
            assert after_the_first_epoch(process).startswith("Epoch: 0001")
            assert process.poll() is None
            process.kill()
            assert ended(process).code == -9


@pytest.mark.slow
def test_a_damaged_folder_is_judged_and_another_result_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    half = world.whole("jax_impl").out
    damage = (half, Path("metrics.jsonl"), b"")
    assert damages.damaged(world, "jax_impl", *damage) == ""

    def resumed_with(*more: str) -> None:
        words = (*TASKS["jax_impl"].resume, *more)
        monkeypatch.setattr(damages, "resumed", lambda task, out: command(task, "--out", str(out), *words))

    resumed_with("--epochs", "7")
    assert damages.damaged(world, "jax_impl", *damage).startswith("another result, parameters: ")
    resumed_with("--debug", "--epochs", "1")
    assert damages.damaged(world, "jax_impl", *damage).startswith("exit code 1: ")
