"""The regression watch: which ratios a benchmark has, when one has changed, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jax_impl.commands.shared.cores import cores
from jax_impl.errors import ArgumentError
from tests.bench import __main__ as command
from tests.bench import comparison, side_by_side
from tests.bench.ratios import Ratio, ratios

THEN = Ratio(1.2, 1.1, 1.3, 5)


def contenders(**seconds: list[float]) -> dict[str, Any]:
    return {name.replace("_", "-"): {"title": name, "seconds": values} for name, values in seconds.items()}


def benchmark(jax: float = 2.0, *, n_cores: int = 2) -> dict[str, Any]:
    """A bench.json of all parts, three rounds of which take the same time; `jax` is an epoch of the network."""
    missing = {"keras": {"title": "Keras", "missing": "not installed"}}
    epoch = contenders(jax=[jax] * 3, sklearn=[8.0] * 3, floor_jax=[1.0] * 3) | missing
    return {
        "machine": {"processor": "a processor", "cores": n_cores},
        "date": "2026-11-28T05:00:00Z",
        "epochs": {"net": {"images": 60_000, "contenders": epoch, "floor": {"name": "floor-jax"}}},
        "cold": {cache: {"first_epoch": {"seconds": [one] * 3}} for cache, one in (("empty", 6.0), ("filled", 4.0))},
        "seeds": {
            "seeds": 8,
            "images": 20_000,
            "cells": {"cell": {"single": {"seconds": [1.0] * 3}, "together": {"seconds": [4.0] * 3}}},
        },
        "rbm": {"images": 60_000, "contenders": contenders(jax=[2.0] * 3, torch=[4.0] * 3, floor=[1.0] * 3)},
        "commands": {
            "epochs": 15,
            "commands": contenders(jax=[12.0, 12.0, 12.0], notebook=[60.0]) | missing,
            "own_epochs": {"seconds": [8.0] * 3},
        },
        "phases": {},
    }


def without(part: str) -> dict[str, Any]:
    return {name: found for name, found in benchmark().items() if name != part}


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write a benchmark to a new file."""

    def save(found: dict[str, Any]) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        return path

    return save


def test_our_time_is_the_numerator_of_every_ratio() -> None:
    medians = {name: found.median for name, found in ratios(benchmark()).items()}
    assert medians == {
        "net, 60,000 images: JAX / matrix products": 2.0,
        "net, 60,000 images: JAX / sklearn": 0.25,
        "first epoch: empty / filled compilation cache": 1.5,
        "cell, 20,000 images: 8 runs / 8 single runs": 0.5,
        "RBM, 60,000 images: JAX / torch": 0.5,
        "RBM, 60,000 images: JAX / matrix products": 2.0,
        "train, 15 epochs: whole command / its epochs": 1.5,
        "train, 15 epochs: whole command / that of notebook": 0.2,
    }
    assert ratios({"machine": {}}) == {}


def test_a_ratio_is_taken_round_by_round_in_the_rounds_that_both_have() -> None:
    found = benchmark()
    found["epochs"]["net"]["contenders"]["jax"]["seconds"] = [2.0, 40.0, 4.0]
    found["epochs"]["net"]["contenders"]["sklearn"]["seconds"] = [2.0, 10.0]
    assert ratios(found)["net, 60,000 images: JAX / sklearn"] == Ratio(2.5, 1.0, 4.0, 2)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (Ratio(1.5, 1.44, 1.6, 5), "slower"),  # 1.43 is 1.1 times the largest one then
        (Ratio(1.5, 1.42, 1.6, 5), ""),
        (Ratio(9.0, 1.29, 9.9, 5), ""),
        (Ratio(0.95, 0.9, 1.01, 5), ""),
        (Ratio(0.95, 0.9, 0.99, 5), "faster"),
        (Ratio(9.0, 9.0, 9.0, 2), ""),  # two rounds have no spread to speak of
    ],
)
def test_a_ratio_has_changed_if_the_ranges_lie_apart(now: Ratio, expected: str) -> None:
    assert comparison.verdict(THEN, now) == expected


def test_a_ratio_that_grew_ends_with_1_and_a_line(
    saved: Callable[[dict[str, Any]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code = command.main(compare=saved(benchmark(2.0)), other=saved(benchmark(2.5)))
    out, error = capsys.readouterr()
    assert code == 1
    assert error.splitlines() == [
        f"slower: net, 60,000 images: JAX / {other} grew from {then} to {now}: "
        "find the change, or commit a new baseline"
        for other, then, now in (
            ("matrix products", "2.00 (2.00 to 2.00)", "2.50 (2.50 to 2.50)"),
            ("sklearn", "0.25 (0.25 to 0.25)", "0.31 (0.31 to 0.31)"),
        )
    ]
    assert "2 of 7 ratios have changed since 2026" in out


def test_a_ratio_that_fell_is_shown_and_no_failure(
    saved: Callable[[dict[str, Any]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(compare=saved(benchmark(2.0)), other=saved(benchmark(1.0))) == 0
    out, error = capsys.readouterr()
    assert error == ""
    assert out.count("faster") == 2


@pytest.mark.parametrize(("then", "now", "why"), [("rbm", "none", "Only now"), ("none", "rbm", "Only then")])
def test_missing_ratios_are_listed_and_no_failure(
    then: str, now: str, why: str, saved: Callable[[dict[str, Any]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(compare=saved(without(then)), other=saved(without(now))) == 0
    out = capsys.readouterr().out
    assert f"{why}, not judged: RBM, 60,000 images: JAX / torch" in out.splitlines()
    assert "Fewer than 3 rounds, not judged: train, 15 epochs: whole command / that of notebook" in out.splitlines()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"^cannot read \S+: No such file or directory; name a bench.json that"),
        ("{", r"is not a bench.json \(JSONDecodeError: .*\): name a bench.json that"),
        ("[]", "is not a bench.json"),
        ("{}", "is not a bench.json"),
        ('{"date": "2026-11-28", "machine": {"processor": "a processor", "cores": "2"}}', "is not a bench.json"),
        ('{"machine": {"cores": 2}, "epochs": {"net": 1}}', "is not a bench.json"),
        (
            json.dumps(benchmark(n_cores=10_000)),
            "the number of cores must be that of .*, 10000, got .*taskset -c 0-9999",
        ),
    ],
)
def test_a_baseline_that_does_not_fit_is_refused_before_anything_is_measured(
    content: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "measure", lambda *_: pytest.fail("measured"))
    file = tmp_path / "baseline.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ArgumentError, match=message) as raised:
        command.main(compare=file)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


def test_a_refusal_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.bench", "--compare", str(tmp_path / "none.json")]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)
    assert found.stderr.startswith("error: cannot read ")


def test_with_needs_something_to_compare_with(saved: Callable[[dict[str, Any]], Path]) -> None:
    with pytest.raises(ArgumentError, match="add --compare FILE"):
        command.main(other=saved(benchmark()))


def test_what_was_measured_is_compared(
    saved: Callable[[dict[str, Any]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "measure", lambda *_: benchmark(3.0))
    assert command.main(compare=saved(benchmark(2.0, n_cores=cores()))) == 1
    assert command.main(compare=saved(benchmark(3.0, n_cores=cores()))) == 0
    assert command.main() == 0


def test_ratios_of_another_processor_are_listed_and_not_judged(
    saved: Callable[[dict[str, Any]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = benchmark(3.0)
    other["machine"] = other["machine"] | {"processor": "another"}
    assert command.main(compare=saved(benchmark(2.0)), other=saved(other)) == 0
    found = capsys.readouterr()
    assert "not judged: the baseline is of another processor, a processor; to judge" in found.out
    assert not found.err


def test_machines_stand_side_by_side() -> None:
    other = without("rbm") | {"machine": {"processor": "another", "cores": 4}}
    lines = side_by_side.table([("one", benchmark()), ("two", other)]).splitlines()
    assert lines[0] == "| ratio | one: a processor, 2 cores, 2026-11-28 | two: another, 4 cores, 2026-11-28 |"
    assert "| net, 60,000 images: JAX / matrix products | 2.00 (2.00 to 2.00) | 2.00 (2.00 to 2.00) |" in lines
    assert "| RBM, 60,000 images: JAX / torch | 0.50 (0.50 to 0.50) |  |" in lines


def test_side_by_side_prints_the_table_or_one_line(
    saved: Callable[[dict[str, Any]], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(benchmark())
    assert side_by_side.main((file, file)) == 0
    assert capsys.readouterr().out.count("\n") == 2 + len(ratios(benchmark()))
    assert side_by_side.main(()) == 2
    assert capsys.readouterr().err.startswith("error: side_by_side needs a FILE: ")
    assert side_by_side.main((tmp_path / "none.json",)) == 2
    assert capsys.readouterr().err.count("\n") == 1
