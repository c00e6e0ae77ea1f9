"""The parts of the benchmark beside the epochs: seeds, machines and whole commands, measured by fakes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jax_impl.data import Mnist
from jax_impl.errors import UserError
from jax_impl.recipes import Recipe
from tests.bench import __main__ as command
from tests.bench import rbm, results, seeds, turns
from tests.bench.commands import phases, whole
from tests.bench.ratios import ratios
from tests.bench.settings import Settings
from tests.bench.tables import Table


def test_several_seeds_are_compared_with_as_many_single_runs(small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {1: iter([9.0, 1.0, 2.0, 4.0]), 4: iter([9.0, 2.0, 4.0, 4.0])}  # the first round warms up
    monkeypatch.setattr(seeds, "epochs", lambda recipe, n, mnist: seconds[n])
    cell = seeds.time_cell(Recipe(name="cell"), 4, 3, small)
    assert cell["single"] == {"seconds": [1.0, 2.0, 4.0], "median": 2.0, "min": 1.0, "max": 4.0}
    assert cell["share"] == {"median": 0.5, "min": 0.25, "max": 0.5}
    (table,) = seeds.tables({"seeds": 4, "images": 20_000, "cells": {"a cell": cell}})
    assert table.headings == ("cell", "one run, s", "4 runs, s", "of 4 single runs")
    assert table.rows == [("a cell", "2.00", "4.00", "0.50 (0.25 to 0.50)")]
    assert "20,000 images" in table.before
    assert "3 rounds" in table.before


def test_seeds_are_timed_by_a_process_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words: list[str], **_: object) -> SimpleNamespace:
        assert words[1:-2] == ["-m", "tests.bench.seeds", "--rounds", "2", "--images", "500"]
        Path(words[-1]).write_text(json.dumps({"seeds": 8}), encoding="utf-8")
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    assert list(seeds.measure(Settings(rounds=2, images=500))) == [{"seeds": 8}]


def test_seeds_whose_process_fails_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(RuntimeError, match="ended with 1; what it said is above"):
        list(seeds.measure(Settings(rounds=2, images=500)))


@pytest.mark.slow
def test_seeds_write_what_they_measured(tmp_path: Path, small: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds.data, "load", lambda: small)
    monkeypatch.setattr(seeds, "cells", lambda: {"cell": Recipe(name="cell", layers=(784, 8, 10))})
    seeds.main(seeds=2, rounds=1, images=500, out=tmp_path / "seeds.json")
    found = json.loads((tmp_path / "seeds.json").read_text(encoding="utf-8"))
    assert found["images"] == 500
    assert found["cells"]["cell"]["share"]["median"] > 0


@pytest.mark.parametrize("name", rbm.CONTENDERS)
def test_every_machine_takes_the_images_it_is_given(
    name: str, small: Mnist, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in rbm.missing():
        pytest.skip(f"{name} is not installed")
    monkeypatch.setattr(rbm.data, "load", lambda folder: small)
    monkeypatch.setattr(rbm, "HIDDEN", 20)

    def first(epochs: Iterator[float]) -> None:
        print(next(epochs) > 0)

    monkeypatch.setattr(turns, "serve", first)
    assert len(rbm.pixels("float32", 300)) == 300
    rbm.contend(name, 300)
    assert capsys.readouterr().out == "True\n"


def test_machines_that_are_not_installed_have_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rbm, "find_spec", lambda name: None if name == "sklearn" else True)
    monkeypatch.setattr(turns, "Contender", lambda *words: words)
    asked: dict[str, Any] = {}

    def measure(running: dict[str, Any], rounds: int) -> dict[str, list[float]]:
        asked.update(running)
        return {name: [2.0] * rounds for name in running}

    monkeypatch.setattr(turns, "measure", measure)
    (found,) = rbm.measure(Settings(rounds=3, images=500))
    assert list(asked) == ["jax", "torch", "floor"]
    assert asked["floor"] == ("tests.bench.rbm", "--only", "floor", "--images", "500")
    (table,) = rbm.tables(found)
    assert ("scikit-learn's BernoulliRBM, float32", "not installed", "", "", "") in table.rows
    assert (rbm.CONTENDERS["floor"], "2.00", "2.00", "2.00", "1.00 (1.00 to 1.00)") in table.rows


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    """Commands as they are asked for: name, epochs, and whether a compilation cache is given. None runs."""
    asked: list[tuple[str, int, bool]] = []

    def run(name: str, epochs: int, out: Path, environment: dict[str, str]) -> float:
        asked.append((name, epochs, bool(environment)))
        out.mkdir(parents=True)
        (out / "metrics.jsonl").write_text('{"seconds": 2.0}\n' * epochs, encoding="utf-8")
        return {"jax": 12.0, "keras": 24.0, "notebook": 60.0}[name]

    monkeypatch.setattr(whole, "run", run)
    return asked


def test_whole_commands_of_others_run_once(ran: list[tuple[str, int, bool]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "find_spec", lambda name: True)
    (found,) = whole.measure(Settings(rounds=3, epochs=4))
    first = [("jax", 1, True), ("jax", 4, True), ("keras", 4, False), ("notebook", 4, False)]
    assert ran == [*first, ("jax", 4, True), ("jax", 4, True)]
    assert found["own_epochs"]["seconds"] == [8.0] * 3
    assert found["whole_over_epochs"] == {"median": 1.5, "min": 1.5, "max": 1.5}
    (table,) = whole.tables(found)
    assert table.rows[1] == (whole.COMMANDS["keras"].title, "1", "24.0", "24.0", "24.0", "2.00 (2.00 to 2.00)")
    assert "take 8.0 s" in table.after
    assert "1.50 (1.50 to 1.50) times as long" in table.after


def test_a_command_that_is_not_installed_has_a_row_that_says_so(
    ran: list[tuple[str, int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "find_spec", lambda name: None if name == "keras" else True)
    (found,) = whole.measure(Settings(rounds=1, epochs=1))
    assert "keras" not in {name for name, _, _ in ran}
    assert (whole.COMMANDS["keras"].title, "not installed", "", "", "", "") in whole.tables(found)[0].rows


def test_a_whole_command_that_fails_is_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(whole.COMMANDS, "jax", whole.Command("nobody", "tests.bench.nobody", "jax"))
    with pytest.raises(RuntimeError, match=r"nobody .* ended with 1"):
        whole.run("jax", 1, tmp_path, {})


@pytest.mark.slow
def test_whole_commands_run(tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_DATA_DIR", str(mnist_dir))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name, one in whole.COMMANDS.items():
        if whole.find_spec(one.needs):
            assert whole.run(name, 1, tmp_path / name, {}) > 0
    assert whole.sum_of_epochs(tmp_path / "jax" / "metrics.jsonl") > 0


def interrupted(_: Settings) -> Iterator[dict[str, Any]]:
    """A part of which a contender dies."""
    yield {"words": "half of it"}
    raise RuntimeError("died")


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts in place of the real ones; the second one is interrupted."""

    def tables(found: dict[str, Any]) -> list[Table]:
        return [Table(found["words"], ("what", "s"), [("a", "1.00")])]

    first = results.Part(lambda settings: iter([{"words": "all of it"}]), tables)
    monkeypatch.setattr(results, "PARTS", {"one": first, "two": results.Part(interrupted, tables)})
    monkeypatch.setattr(results, "where", lambda: {**WHERE, "minutes": {}})


WHERE = {
    "machine": {"processor": "a processor", "cores": 2, "device": "cpu", "python": "3", "versions": {"jax": "1"}},
    "threads": 2,
    "date": "2026",
}


@pytest.mark.usefixtures("parts")
def test_an_interrupted_benchmark_keeps_what_it_has_measured(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="died"):
        command.measure(Settings(), (), tmp_path)
    found = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert (found["one"], found["two"]) == ({"words": "all of it"}, {"words": "half of it"})
    assert set(found["minutes"]) == {"one", "two"}
    page = (tmp_path / "bench.md").read_text(encoding="utf-8")
    assert "## all of it\n\n| what | s |\n| --- | ---: |\n| a | 1.00 |\n\n## half of it\n" in page
    assert not (tmp_path / "bench.png").exists()


@pytest.mark.usefixtures("parts")
def test_a_part_can_be_left_out(tmp_path: Path) -> None:
    assert "two" not in command.measure(Settings(), ("two",), tmp_path)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PARTS", {"one": results.Part(lambda settings: pytest.fail("measured"), list)})
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        command.measure(Settings(), (), tmp_path / "file")


def test_the_cores_that_count_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "cores", lambda: 7)
    assert results.where()["machine"]["cores"] == 7


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")
def test_a_contender_has_a_thread_for_each_core_of_the_process() -> None:
    one = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{one}}}); from tests.bench import turns; print(turns.THREADS)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "1\n"


def test_the_defaults_train_fewer_images_where_60000_take_too_long() -> None:
    assert Settings().images_of("mnist_nn_xavier") == 60_000
    assert Settings().images_of("mnist_nn_deep") == 20_000
    assert Settings(images=500).images_of("mnist_nn_deep") == 500


def test_a_table_has_a_range_in_one_cell(capsys: pytest.CaptureFixture[str]) -> None:
    values = turns.spread(list(np.array([1.0, 3.0, 2.0])))
    table = Table("A title", ("what", "s"), [("[a] b", turns.with_range(values))], "Before [it].", "After.")
    assert table.markdown() == (
        "## A title\n\nBefore [it].\n\n| what | s |\n| --- | ---: |\n| [a] b | 2.00 (1.00 to 3.00) |\n\nAfter."
    )
    table.show()
    out = capsys.readouterr().out
    assert all(words in out for words in ("A title", "[a] b", "2.00 (1.00 to 3.00)", "Before [it].", "After."))


@pytest.mark.slow
def test_one_run_measures_every_part(tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_DATA_DIR", str(mnist_dir))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(phases, "commands", lambda epochs: {"data": ("data",)})
    options = {"rounds": 1, "images": 1000, "epochs": 1, "out": tmp_path}
    assert command.main(("mnist_nn_xavier",), ("floor-jax",), **options) == 0
    file = tmp_path / "bench.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    assert set(results.PARTS) <= set(found)
    assert all(found["minutes"][name] > 0 for name in results.PARTS)
    # The floor, the cache, four cells, machines over three others and their floor, and a command over its epochs
    assert len(ratios(found)) >= 1 + 1 + 4 + 4 + 1
    page = (tmp_path / "bench.md").read_text(encoding="utf-8")
    assert page.count("\n## ") == 1 + 1 + 1 + 1 + 1 + 2
    assert command.main(compare=file, other=file) == 0
