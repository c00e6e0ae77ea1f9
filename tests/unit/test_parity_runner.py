"""`make parity` on two quick rungs and one fault: what it keeps, what it repeats, and how it fails."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from jax_impl.errors import UserError
from tests.parity import __main__ as runner
from tests.parity import cells, climbing, faults, ladder, test_04_structure, test_05_weights
from tests.parity.ladder import Measured
from tests.parity.test_04_structure import same_settings

RUNGS = ("test_04_structure", "test_05_weights")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "RUNGS", RUNGS)
    monkeypatch.setattr(faults, "RUNGS", (*RUNGS, "test_15_speed"))
    swapped = next(fault for fault in faults.FAULTS if fault.name == "two equal layers swapped")
    monkeypatch.setattr(climbing, "FAULTS", (swapped,))
    monkeypatch.setattr(test_04_structure, "measure", lambda _: Measured(comparisons=[same_settings("mnist_nn")]))


def break_rung(monkeypatch: pytest.MonkeyPatch, module: object, *, by: type[BaseException]) -> None:
    def measure(_: ladder.Size) -> Measured:
        raise by("not to be measured again")

    monkeypatch.setattr(module, "measure", measure)


@pytest.mark.slow
def test_a_climb_is_written_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(size="quick", jobs=1, out=tmp_path) == 0
    assert "2 of 2 rungs pass\n1 of 1 planted faults are caught first" in capsys.readouterr().out
    first = json.loads((tmp_path / "parity.json").read_text(encoding="utf-8"))
    assert [rung["number"] for rung in first["rungs"]] == [4, 5]
    assert first["faults"][0]["caught_by"] == [5]
    assert {"index.html", "parity.md", "parity.json", "cells"} == {path.name for path in tmp_path.iterdir()}
    (tmp_path / "cells" / ".DS_Store").touch()  # not a cell
    break_rung(monkeypatch, test_04_structure, by=AssertionError)
    assert runner.main(size="quick", jobs=1, out=tmp_path) == 0
    assert json.loads((tmp_path / "parity.json").read_text(encoding="utf-8"))["rungs"] == first["rungs"]


@pytest.mark.slow
def test_an_interrupted_climb_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        break_rung(patch, test_05_weights, by=KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            runner.main(size="quick", jobs=1, out=tmp_path)
    assert not (tmp_path / "parity.json").exists()
    (finished,) = tmp_path.glob("cells/*/*.json")
    made = finished.stat().st_mtime_ns
    assert finished.name == "test_04_structure.json"
    assert runner.main(size="quick", jobs=1, out=tmp_path) == 0
    assert finished.stat().st_mtime_ns == made


@pytest.mark.slow
def test_changed_code_is_measured_again_and_a_broken_rung_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.main(size="quick", jobs=1, out=tmp_path)
    monkeypatch.setattr(cells, "SOURCES", ("jax_impl/*.py",))  # other sources have another fingerprint
    break_rung(monkeypatch, test_04_structure, by=RuntimeError)
    assert runner.main(size="quick", jobs=1, out=tmp_path) == 1
    broken = json.loads((tmp_path / "parity.json").read_text(encoding="utf-8"))["rungs"][0]
    assert (broken["passed"], broken["note"]) == (False, "RuntimeError: not to be measured again")


@pytest.mark.slow
def test_a_failed_rung_is_exit_1_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(test_04_structure, "measure", lambda _: Measured(comparisons=[]))
    assert runner.main(size="quick", jobs=1, out=tmp_path) == 1
    assert "failed: rung 4 (structure)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_fault_that_slips_through_is_exit_1_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(climbing, "FAULTS", (faults.Fault("no fault at all", 5, lambda _: None),))
    assert runner.main(size="quick", jobs=1, out=tmp_path) == 1
    assert "failed: the fault 'no fault at all'" in capsys.readouterr().err


@pytest.mark.slow
def test_several_processes_share_the_work(tmp_path: Path) -> None:
    work = {str(number): partial(pow, number, 2) for number in range(5)}
    assert dict(cells.computed(work, 2, tmp_path)) == {"0": 0, "1": 1, "2": 4, "3": 9, "4": 16}
    with pytest.raises(ZeroDivisionError):
        dict(cells.computed({"wrong": partial(divmod, 1, 0)} | work, 2, tmp_path))
    with pytest.raises(UserError, match=r"^a process of the climb was killed, .*: repeat the command with a smaller"):
        dict(cells.computed({"killed": partial(os._exit, 1)} | work, 2, tmp_path))


def test_an_interrupted_fault_leaves_no_programs_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[bool] = []
    monkeypatch.setattr(faults, "forget", lambda: forgotten.append(True))
    with pytest.raises(KeyboardInterrupt), faults.planted(faults.Fault("any", 5, lambda _: None)):
        raise KeyboardInterrupt
    assert len(forgotten) == 2


def test_the_memory_limits_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def available(n_bytes: int) -> Callable[[], SimpleNamespace]:
        return lambda: SimpleNamespace(available=n_bytes)

    for n_bytes, jobs in ((2**40, 8), (9 * 2**30, 2), (2**30, 1)):
        monkeypatch.setattr(cells.psutil, "virtual_memory", available(n_bytes))
        assert cells.jobs_that_fit(8) == jobs
