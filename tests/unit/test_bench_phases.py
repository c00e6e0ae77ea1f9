"""Where the seconds of a command go: the clock counts each second once, and every timed function exists."""

import builtins
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.bench.commands import phase_child, phase_names, phases
from tests.bench.commands.phase_child import StackClock
from tests.bench.settings import Settings


def clock(*times: float) -> StackClock:
    """A clock that begins in the rest and reads these times."""
    return StackClock("the rest", iter(times).__next__)


def test_a_phase_does_not_count_the_phases_within_it() -> None:
    found = clock(0, 1, 3, 7, 15, 31)
    found.enter("training")
    found.enter("testing")
    found.leave("testing")
    found.leave("training")
    found.charge()
    assert found.seconds == {"the rest": 1 + 16, "training": 2 + 8, "testing": 4}


def test_a_phase_that_ends_within_another_is_an_error() -> None:
    found = clock(0, 1, 2)
    found.enter("training")
    with pytest.raises(RuntimeError, match="the phase 'testing' ended within 'training'"):
        found.leave("testing")


def test_other_threads_are_not_counted() -> None:
    found = clock(0, 1)
    thread = threading.Thread(target=found.enter, args=("training",))
    thread.start()
    thread.join()
    found.charge()
    assert found.seconds == {"the rest": 1}


def test_a_function_that_fails_ends_its_phase() -> None:
    found = clock(0, 1, 5, 6)
    with pytest.raises(ZeroDivisionError):
        phase_child.timed(lambda: 1 // 0, "drawing", found)()
    found.charge()
    assert found.seconds == {"the rest": 2, "drawing": 4}


def test_every_timed_function_exists_and_has_a_row() -> None:
    phase_child.check_names()
    assert set(phase_names.FUNCTIONS.values()) | set(phase_names.EVENTS.values()) <= set(phase_names.PHASES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jax_impl.model:gone", "jax_impl.model has no gone, which is timed: name what took its place"),
        ("jax_impl.storage.checkpoints:Checkpoints.gone", "has no Checkpoints.gone, which is timed"),
        ("jax_impl.gone:accuracy", "there is no module jax_impl.gone, whose accuracy is timed: name what took"),
    ],
)
def test_a_timed_function_that_is_gone_is_an_error(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=message):
        phase_child.check_names([name])
    monkeypatch.setattr(phase_child.check_names, "__defaults__", ([name],))
    with pytest.raises(RuntimeError, match=message):  # before any command has run
        next(phases.measure(Settings()))


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ModuleType]]:
    """Two modules, the second of which takes a function from the first; import the second anew."""
    (tmp_path / "bench_first.py").write_text("def work():\n    pass\n", encoding="utf-8")
    (tmp_path / "bench_second.py").write_text("from bench_first import work\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)

    def import_second() -> ModuleType:
        import bench_second

        return bench_second

    yield import_second
    for name in ("bench_first", "bench_second"):
        sys.modules.pop(name, None)


def test_a_function_is_timed_before_another_module_takes_it(imports: Callable[[], ModuleType]) -> None:
    found = StackClock("the rest")
    phase_child.watch_imports(found, {"bench_first:work": "drawing"})
    imports().work()
    assert found.seconds.keys() == {"the rest", "importing", "drawing"}
    assert found.stack == ["the rest"]


def test_an_import_fails_if_its_timed_function_is_gone(imports: Callable[[], ModuleType]) -> None:
    phase_child.watch_imports(StackClock("the rest"), {"bench_first:gone": "drawing"})
    with pytest.raises(RuntimeError, match="bench_first has no gone, which is timed"):
        imports()


def test_the_rows_of_a_command_sum_to_its_whole_time() -> None:
    child = {"entered": 10.5, "left": 14.0, "seconds": {"importing": 2.0, "the rest": 1.5}}
    found = phases.by_phase(10.0, 15.0, child)
    assert sum(found.values()) == 5.0
    assert list(found) == list(phase_names.PHASES)
    assert (found["until Python runs our code"], found["ending the process"]) == (0.5, 1.0)
    with pytest.raises(RuntimeError, match="no row for sleeping: add it to PHASES"):
        phases.by_phase(10.0, 15.0, child | {"seconds": {"sleeping": 3.5}})
    with pytest.raises(RuntimeError, match=r"the phases sum to 3.5 s of 5.0 s"):
        phases.by_phase(10.0, 15.0, child | {"seconds": {"importing": 2.0}})


def test_a_real_command_is_divided(mnist_dir: Path) -> None:
    found = phases.run(("data", "--data-dir", str(mnist_dir)), {})
    assert {phase for phase, seconds in found.items() if seconds} == {
        "until Python runs our code", "importing", "reading MNIST", "the rest", "ending the process",
    }  # fmt: skip
    assert all(seconds >= 0 for seconds in found.values())


@pytest.mark.parametrize("words", [("nothing",), ("evaluate", "--params", "none")])
def test_a_command_that_fails_is_no_measurement(words: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeError, match=f"{words[-1]} ended with [12]; what it said is above"):
        phases.run(words, {})


def test_both_states_of_the_cache_have_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(arguments: tuple[str, ...], _: dict[str, str]) -> dict[str, float]:
        asked.append(" ".join(arguments))
        return dict.fromkeys(phase_names.PHASES, 1.0)

    monkeypatch.setattr(phases, "run", run)
    *_, found = phases.measure(Settings(epochs=2))
    (trained,) = (words for words in asked if words.startswith("train --epochs 2") and "empty" in words)
    assert trained.rpartition(" ")[2] == asked[1].rpartition(" ")[2]  # what evaluate reads
    empty, filled = phases.tables(found)
    assert empty.headings == filled.headings == ("phase", "train", "evaluate", "study", "rbm", "dbn", "data")
    assert filled.rows[-1] == ("**the whole command**", *["15.00"] * 6)
    half = {name: found[name] for name in ("commands", "empty")}
    assert len(phases.tables(half)) == 1  # of a run that was interrupted


@pytest.mark.slow
def test_training_compiling_and_testing_have_seconds_of_their_own(tmp_path: Path, mnist_dir: Path) -> None:
    words = ("train", "--epochs", "1", "--out", str(tmp_path / "run"), "--data-dir", str(mnist_dir))
    found = phases.run(words, {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")})
    assert {phase for phase, seconds in found.items() if not seconds} == {"measuring"}
